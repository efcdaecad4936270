"""What carried the traffic, from what was seen alone: counts on each node in, signs out.

Nothing here knows what was asked for, and nothing touches the machine: a mechanism brings what reads its counters.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from steps.cluster.lab.addresses import NODE_A, LabNode
from steps.domain import Moment, Sign

DATAGRAMS: Final = 50
"""How many datagrams are sent to the Service, and answered, for the evidence: each node forwards twice as many."""

TUNNELLED_RATIO: Final = 0.8
DIRECT_RATIO: Final = 0.3
"""Bytes per payload byte at the NodePort's node: from the first on the payload went through it, up to the second only
the client's acknowledgements did. Between them it can't be told."""


def _nothing_outlives_it() -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class Mechanism:
    """What forwards packets on the lab's nodes: its counters, and what it takes to have it. Dataplanes may share one.

    Attributes:
        name: as signs write it.
        counters: where its forwarded packets are counted, in words.
        packets: reads how many packets from and to a node's pods it has forwarded; None: nothing of it is there.
        connections: reads how many new connections the evidence's Service has had by it, likewise; None: it does not
            count them.
        refusal: why this kernel refuses it, and what would mend that; None: it does not.
        counting_programs: those that read its counters. They are needed whichever dataplane is measured, since the
            others must be seen to forward nothing.
        programs: those that only its own dataplanes need.
        root_only: what an ordinary user may not do of it, as a clause; None: nothing.
        takes_burden: whether it has rules, so that more can be put in front of each packet.
        remove: takes away what outlives the nodes' namespaces, and returns what a person would have typed.
    """

    name: str
    counters: str
    packets: Callable[[LabNode], int | None]
    connections: Callable[[LabNode], int | None] | None
    refusal: Callable[[], tuple[str, str] | None]
    counting_programs: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    root_only: str | None = None
    takes_burden: bool = True
    remove: Callable[[], list[str]] = _nothing_outlives_it


@dataclass(frozen=True, slots=True)
class Traits:
    """What tells the dataplanes apart from outside.

    `mechanism`: whose counters move. `tracks_connections`: the kernel's connection table fills. `returns_directly`:
    replies to a NodePort's client do not pass the node that was asked.
    """

    mechanism: Mechanism
    tracks_connections: bool
    returns_directly: bool

    def is_like(self, other: "Traits") -> bool:
        """Whether nothing that the signs look at tells the two apart."""
        own, its = ((t.mechanism.name, t.tracks_connections, t.returns_directly) for t in (self, other))
        return own == its


def mechanisms(known: Mapping[str, Traits]) -> tuple[Mechanism, ...]:
    """The mechanisms of these dataplanes, each once."""
    return tuple({traits.mechanism.name: traits.mechanism for traits in known.values()}.values())


@dataclass(frozen=True, slots=True)
class EvidenceTraffic:
    """The traffic that was sent to be seen. `problem`: why it did not get through; None if all of it did.

    `returned_bytes`: payload that the client outside got from the NodePort. `service_ports`: the client's ports of its
    connections to the Service.
    """

    returned_bytes: int
    service_ports: tuple[int, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class CountedTraffic:
    """What a node counted while that traffic ran.

    `packets`: forwarded from or to its pods, by the mechanism's name; None: it has nothing there that counts.
    `service_packets`: new connections to the Service, likewise. `connections`: entries of that traffic in the
    kernel's connection table; None: it can't be read. `passed_bytes`: sent by node-a, or received there from the wire.
    """

    packets: Mapping[str, int | None]
    service_packets: Mapping[str, int | None]
    connections: int | None
    passed_bytes: int


def node_signs(
    node: str,
    counted: CountedTraffic,
    traffic: EvidenceTraffic,
    known: Mapping[str, Traits],
    moment: Moment,
    at: datetime,
) -> list[Sign]:
    """The signs of one node. None of them tells anything if the traffic did not get through."""

    def sign(looked_at: str, seen: str, agrees: Callable[[Traits], bool] | None) -> Sign:
        indicates = None
        if traffic.problem is not None:
            seen = f"{seen}; but the evidence traffic failed: {traffic.problem}"
        elif agrees is not None:
            indicates = tuple(name for name, traits in known.items() if agrees(traits))
        return Sign(moment=moment, node=node, looked_at=looked_at, seen=seen, at=at, indicates=indicates)

    return [
        *(_forwarded(sign, mechanism, counted.packets.get(mechanism.name)) for mechanism in mechanisms(known)),
        *_new_connections(sign, counted.service_packets),
        _tracked(sign, counted.connections),
        _returned(sign, node, counted.passed_bytes, traffic.returned_bytes),
    ]


_Make = Callable[[str, str, Callable[[Traits], bool] | None], Sign]


def _forwarded(sign: _Make, mechanism: Mechanism, packets: int | None) -> Sign:
    name, where = mechanism.name, mechanism.counters
    if not packets:
        seen = "there are none" if packets is None else "0 packets"
        return sign(where, seen, lambda t: t.mechanism.name != name)
    seen = f"{packets} packets, where the traffic is at least {2 * DATAGRAMS}"
    return sign(where, seen, (lambda t: t.mechanism.name == name) if packets >= 2 * DATAGRAMS else None)


def _new_connections(sign: _Make, packets: Mapping[str, int | None]) -> Iterable[Sign]:
    for name, count in packets.items():
        where = f"counters of the {name} chain of the Service"
        if count:
            yield sign(where, f"{count} new connections", lambda t, n=name: t.mechanism.name == n)  # type: ignore[misc]
        else:
            seen = "there is none" if count is None else "0 new connections"
            yield sign(where, seen, lambda t, n=name: t.mechanism.name != n)  # type: ignore[misc]


def _tracked(sign: _Make, connections: int | None) -> Sign:
    where = "the kernel's connection table"
    if connections is None:
        return sign(where, "it can't be read on this kernel", None)
    return sign(where, f"{connections} entries of the traffic", lambda t: t.tracks_connections == (connections > 0))


def _returned(sign: _Make, node: str, passed_bytes: int, payload_bytes: int) -> Sign:
    way = "sent by node-a" if node == NODE_A.name else "that came to node-a, by which node-b answers"
    where = f"bytes on the wire {way}, per payload byte of a NodePort's reply"
    if payload_bytes <= 0:
        return sign(where, "no payload", None)
    ratio = passed_bytes / payload_bytes
    seen = f"{ratio:.2f} ({passed_bytes} for {payload_bytes})"
    if DIRECT_RATIO < ratio < TUNNELLED_RATIO:
        return sign(where, seen, None)
    return sign(where, seen, lambda t: t.returns_directly == (ratio <= DIRECT_RATIO))
