"""What a network plugin's folder offers to the rest of this package: how it is switched, seen, and put back.

Clients, pods, servers and the lock are the same whatever connects the nodes. `calico/` is one such folder; which one
answers for a cluster is decided in `cnis`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from steps.catalogue.options import Settings
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.nodes import ClusterNode
from steps.cluster.kube.lock import LockOwner
from steps.domain import Change, Finding, Moment, Sign, SwitchCost, Visit

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a plugin works with.

    Attributes:
        client: of the cluster.
        owner: who holds the cluster while it is switched.
        asked_nodes: the two that a person chose to measure on, separated by a comma; empty: they are chosen.
        variables: of the environment.
        say: called with a sentence for what is done, or waited for.
        sleep: passes time.
    """

    client: Client
    owner: LockOwner
    asked_nodes: str
    variables: Mapping[str, str]
    say: Callable[[str], None]
    sleep: Callable[[float], None]


class Standing(Protocol):
    """How a cluster stands, as one reading of it found."""

    @property
    def dataplane(self) -> str | None:
        """What runs, by its name in the catalogue; None where that is unknown."""
        ...

    @property
    def nodes(self) -> Sequence[ClusterNode]:
        """All nodes of the cluster."""
        ...

    def outside_findings(self, outside: ClusterNode, entry: str, settings: Settings) -> Iterable[Finding]:
        """What the plugin's configuration says against measuring from a client outside.

        Args:
            outside: the client's node.
            entry: the node whose NodePort it connects to.
            settings: of the run.
        """
        ...


@dataclass(frozen=True, slots=True)
class ToProve:
    """A dataplane that ran before the run, and the nodes on which it has to be seen to work again.

    `unprovable`: why nothing would show it, as a clause.
    """

    dataplane: str
    nodes: tuple[str, ...]
    unprovable: str | None = None


S = TypeVar("S", bound=Standing)


class Cni(Protocol[S]):
    """A network plugin on one cluster. Verbs raise `analysis.errors.Problem` with a sentence when they can't."""

    def __init__(self, surroundings: Surroundings) -> None:
        """Calls nothing."""
        ...

    @staticmethod
    def runs(client: Client) -> bool:
        """Whether the cluster's network is this plugin's."""
        ...

    def stand(self, *, to_switch: bool) -> S:
        """Read how the cluster stands. `to_switch`: with what only the switching account may read."""
        ...

    def findings(self, standing: S, settings: Settings, accepted: frozenset[str]) -> list[Finding]:
        """What speaks against the run or one of its dataplanes: one that nothing here can switch to, among others."""
        ...

    def rehearsed(self, standing: S, asked: Iterable[str], original: Object | None) -> list[Finding]:
        """Why switching to an asked dataplane would fail, by trying every write without effect."""
        ...

    def provenance(self, standing: S, measured: tuple[str, ...]) -> dict[str, object]:
        """Facts a reader needs to judge the figures; None is unknown."""
        ...

    def snapshot(self, standing: S) -> Object:
        """Every object that a switch may touch, or its absence, by `state.snapshot`."""
        ...

    def configure(
        self, dataplane: str, before: Callable[[S, tuple[str, ...], bool], None], visit: Visit | None = None
    ) -> list[Change]:
        """Switch to a dataplane of the catalogue; as-is is what ran before the run.

        Args:
            dataplane: without label.
            before: called once the cluster is held and before the first change, with the measured nodes and whether
                there is a change.
            visit: that the lock will name from now on, if a run switches.
        """
        ...

    def unfit_with(self, dataplane: str) -> frozenset[str]:
        """The dataplanes, itself included, that a cluster can't have for the reason that it can't have this one."""
        ...

    def watch(self, standing: S, measured: Sequence[str]) -> None:
        """Hold connections that the switch may break."""
        ...

    def observe(
        self,
        standing: S,
        measured: Sequence[str],
        visit: Visit,
        moment: Moment,
        *,
        whole: bool = False,
    ) -> list[Sign]:
        """The signs of one look. `whole`: nobody looks a second time, so what must pass first has to pass now."""
        ...

    def cost(self, standing: S, measured: Sequence[str]) -> SwitchCost | None:
        """What the last switch cost open connections; None: no connections were held across it."""
        ...

    def commands(self, dataplane: str | None) -> list[str]:
        """The kubectl lines that switching, or restoring if None, would amount to now."""
        ...

    def left(self) -> list[str]:
        """What restoring now won't put back, as sentences."""
        ...

    def restore(self, prove: Callable[[], None]) -> list[Change]:
        """Put everything back, and the lock away once `prove` has not raised."""
        ...

    def to_prove(self, standing: S) -> ToProve | None:
        """What has to be seen to work once all is put back; None: there is nothing that could be."""
        ...
