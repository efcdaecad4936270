"""The interface of a network plugin: how it is switched, observed, and restored.

Clients, pods, servers and the lock do not depend on the plugin. Each folder of `plugins` implements this
interface; `cnis` chooses the implementation for a cluster.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from steps.catalogue.options import Settings
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.fields import Field
from steps.cluster.kube.api.nodes import ClusterNode
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.ownership.owner import LockOwner
from steps.cluster.kube.probe.agent import Agent
from steps.domain import Change, Finding, Moment, Sign, SwitchCost, Visit


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a plugin gets from the adapter.

    Attributes:
        client: of the cluster.
        owner: of the lock while the cluster is switched.
        asked_nodes: the two measured nodes that a user named, separated by a comma; empty: they are chosen.
        variables: of the environment.
        say: called with a sentence for what is done, or waited for.
        sleep: waits for a number of seconds.
    """

    client: Client
    owner: LockOwner
    asked_nodes: str
    variables: Mapping[str, str]
    say: Callable[[str], None]
    sleep: Callable[[float], None]


class CniState(Protocol):
    """The state of a cluster, read once."""

    @property
    def dataplane(self) -> str | None:
        """The name of the running dataplane in the catalogue; None: unknown."""

    @property
    def nodes(self) -> Sequence[ClusterNode]:
        """All nodes of the cluster."""

    def outside_findings(self, outside: ClusterNode, entry: str, settings: Settings) -> Iterable[Finding]:
        """What in the plugin's configuration prevents measuring from a client outside.

        `outside`: the client's node. `entry`: the node whose NodePort it connects to.
        """


@dataclass(frozen=True, slots=True)
class ToProve:
    """A restored dataplane, and the nodes where it should be proven. `unprovable`: why that is impossible, a clause."""

    dataplane: str
    nodes: tuple[str, ...]
    unprovable: str | None = None


S = TypeVar("S", bound=CniState)


class Cni(Protocol[S]):
    """A network plugin on one cluster. Every verb raises `analysis.errors.Problem` with a sentence when it fails."""

    def __init__(self, surroundings: Surroundings) -> None:
        """Makes no call."""

    @staticmethod
    def runs(client: Client) -> bool:
        """Whether the cluster's network is this plugin's."""

    @staticmethod
    def written_fields() -> Sequence[Field]:
        """The fields that a switch of any cluster sets in objects that exist: the admission policies permit no others.

        Texts of ConfigMaps are not among them, since a policy can't read what is in a text.
        """

    @staticmethod
    def agents() -> Mapping[str, str]:
        """The namespaces in which the plugin's agents may run, each with the container that their pods have.

        A pod of one of their DaemonSets may be deleted where the agent has to start again.
        """

    @staticmethod
    def agent() -> Agent:
        """What the probe asks of an agent on its node; `Agent()`: nothing."""

    def stand(self, *, to_switch: bool) -> S:
        """Read the state of the cluster. `to_switch`: with what only the switching account may read."""

    def findings(self, standing: S, settings: Settings, accepted: frozenset[str]) -> list[Finding]:
        """What prevents the run or one of its dataplanes, such as one that no implementation can switch to."""

    def rehearsed(self, standing: S, asked: Iterable[str], original: Object | None) -> list[Finding]:
        """Why switching to one of these dataplanes would fail, by a dry run of every write."""

    def provenance(self, standing: S, measured: tuple[str, ...]) -> dict[str, object]:
        """Facts for judging the figures; None is unknown."""

    def snapshot(self, standing: S) -> Object:
        """Every object that a switch may touch, or its absence, by `snapshot.take_snapshot`."""

    def configure(
        self, dataplane: str, before: Callable[[S, tuple[str, ...]], None], visit: Visit | None = None
    ) -> list[Change]:
        """Switch to a dataplane of the catalogue; as-is is what ran before the run.

        `before`: called with the lock taken and before the first change, with the measured nodes. `visit`: that the
        lock names from now on, if a run switches.
        """

    def unfit_with(self, dataplane: str) -> frozenset[str]:
        """The dataplanes, this one included, that are unavailable for the same reason as this one."""

    def watch(self, standing: S, measured: Sequence[str]) -> None:
        """Open connections that the switch may break."""

    def place_probes(self, standing: S, nodes: Sequence[str], needed: Sequence[str]) -> Mapping[str, str]:
        """Start what observes these nodes, wherever it can run; why it can't on each other, by the node's name.

        Raises:
            Problem: it does not run on a node of `needed`, or on none.
        """

    def await_switch(self, standing: S, measured: Sequence[str], visit: Visit) -> None:
        """Wait until new pods on these nodes get what the visit's switch made, which proves nothing."""

    def observe(
        self,
        standing: S,
        measured: Sequence[str],
        visit: Visit,
        moment: Moment,
        *,
        whole: bool = False,
        unprobed: Sequence[str] = (),
    ) -> list[Sign]:
        """The signs now.

        `whole`: no second observation follows, so every condition has to hold now. `unprobed`: nodes where nothing of
        ours can run: what their agents show to be incomplete counts.
        """

    def cost(self, standing: S, measured: Sequence[str], *, final: bool) -> SwitchCost | None:
        """The effect of the last switch on open connections; None: there were none.

        `final`: wait until none of them can recover any more; otherwise None if one can.
        """

    def commands(self, dataplane: str | None) -> list[str]:
        """The kubectl lines for switching to this dataplane now, or for restoring if None."""

    def left(self) -> list[str]:
        """What restoring now would not put back, as sentences."""

    def restore(self, prove: Callable[[], None]) -> list[Change]:
        """Put everything back, and give the lock back unless `prove` raises."""

    def to_prove(self, standing: S) -> ToProve | None:
        """What has to be proven after restoring; None: nothing can be."""
