"""The few verbs a step may ask of a cluster, whatever the cluster is.

`lab/` answers with network namespaces on this machine. An adapter keeps no state in memory: each verb may be called
from a process of its own, as each step of a workflow is, and each may be called again after it was cut short.
"""

from typing import Protocol

from steps.catalogue.options import Settings
from steps.domain import Change, Finding, Moment, Placement, Sign, SwitchCost, Visit


class Cluster(Protocol):
    """A cluster under test. Every verb raises `analysis.errors.Problem` with a sentence when it can't."""

    @property
    def measured_nodes(self) -> tuple[str, ...]:
        """The nodes on which a dataplane must be proven."""
        ...

    def preflight(self, settings: Settings) -> list[Finding]:
        """All reasons at once why the run, a dataplane or a topology can't be had here. Changes nothing."""
        ...

    def provenance(self, settings: Settings) -> dict[str, object]:
        """Facts a reader needs to judge the figures, JSON-serialisable. A fact that can't be had is None."""
        ...

    def snapshot(self) -> dict[str, object]:
        """Everything that configure may touch, and what is absent, as it is before the first change."""
        ...

    def configure(self, visit: Visit, settings: Settings) -> list[Change]:
        """Switch to the visit's dataplane. A second call changes nothing; one after a crash finishes the first."""
        ...

    def observe(self, visit: Visit, moment: Moment) -> list[Sign]:
        """Look at each measured node now, sending what traffic the signs need. Derives nothing from what was asked."""
        ...

    def cost(self) -> SwitchCost | None:
        """What the last switch cost open connections; None: no connections were held across it."""
        ...

    def retreat(self, visit: Visit, reason: str | None) -> list[Change]:
        """Leave a dataplane that was not proven, at once, for what ran before the run.

        `reason`: why it can't be had here at all, so that later visits of it fail without trying; None: they may try.
        """
        ...

    def prepare(self, visit: Visit, settings: Settings) -> list[Placement]:
        """Start servers and Service for the visit's topologies and the node-to-node canary; say how to reach them."""
        ...

    def clear(self) -> None:
        """Take away what prepare brought. Safe to run twice."""
        ...

    def unfinished(self) -> Visit | None:
        """This run's visit whose servers are still there, without its trials: a Stop cut it short. None: there is none.

        Like `left` and `restore` it asks the cluster alone: where the network is broken, nothing else may be reachable.
        """
        ...

    def left(self) -> list[str]:
        """What restoring now won't put back, as sentences."""
        ...

    def restore(self) -> list[Change]:
        """Put everything back. Safe to run twice, after a crash, and where nothing was changed."""
        ...
