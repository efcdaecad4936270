"""What forwards packets on the lab's nodes, and the traits by which evidence separates the dataplanes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from steps.cluster.lab.kernel_support import Refusal
from steps.cluster.lab.network.addresses import LabNode
from steps.cluster.lab.tables import Tables


@dataclass(frozen=True, slots=True)
class Mechanism:
    """What forwards packets: its counters, and its requirements. Dataplanes may share one.

    Attributes:
        name: as signs write it.
        counters: where its forwarded packets are counted, in words.
        packets: reads how many packets from and to a node's pods it has forwarded; None: it is not installed there.
        connections: reads how many new connections to the evidence's Service it has forwarded, likewise; None: it does
            not count them.
        refusal: why this kernel refuses it; None: it does not.
        counting_programs: those that read its counters. They are needed whichever dataplane is measured, since the
            others must be proven to forward nothing.
        programs: those that only its own dataplanes need.
        root_only: what an ordinary user may not do of it, as a clause; None: nothing.
        routed_by_kernel: whether the node's own IP stack forwards its packets, which counts them.
        takes_burden: whether it has rules, so that more can be put in front of each packet.
        tables: what keeps its Services and policies, and changes with the scale; None: it has one scale.
        parts: lists what it has on a node, by name in words, without counters, Services and connections.
        remove: removes what outlives the nodes' namespaces, and returns the equivalent commands.
    """

    name: str
    counters: str
    packets: Callable[[LabNode], int | None]
    connections: Callable[[LabNode], int | None] | None
    refusal: Callable[[], Refusal | None]
    counting_programs: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    root_only: str | None = None
    routed_by_kernel: bool = True
    takes_burden: bool = True
    tables: Tables | None = None
    parts: Callable[[LabNode], dict[str, str]] = lambda _: {}
    remove: Callable[[], list[str]] = list


@dataclass(frozen=True, slots=True)
class Traits:
    """What is observable of a dataplane.

    Attributes:
        mechanism: whose counters grow.
        tracks_connections: the kernel's connection table has the traffic.
        returns_directly: replies to a NodePort's client do not pass the node that it connected to.
    """

    mechanism: Mechanism
    tracks_connections: bool
    returns_directly: bool

    @property
    def masquerades(self) -> bool:
        """Whether the server of a NodePort, or of a node's own request, sees another address than the client's."""
        return self.tracks_connections

    def is_like(self, other: "Traits") -> bool:
        """Whether no sign separates the two."""
        own, its = ((t.mechanism.name, t.tracks_connections, t.returns_directly) for t in (self, other))
        return own == its


def mechanisms(known: Mapping[str, Traits]) -> tuple[Mechanism, ...]:
    """The mechanisms of these dataplanes, each once."""
    return tuple({traits.mechanism.name: traits.mechanism for traits in known.values()}.values())
