"""The interface of a cluster under test, which `lab/` and `kube/` implement.

An adapter keeps no state in memory: each verb may be called from a process of its own, as each step of a workflow is,
and each may be called again after it was interrupted.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from steps.catalogue.factors import Scale
from steps.catalogue.options import Settings
from steps.domain import Change, Finding, Moment, Placement, ScaleSign, Sign, SwitchCost, Trial, Visit


class Cluster(Protocol):
    """A cluster under test. Every verb raises `analysis.errors.Problem` where it fails."""

    @property
    def measured_nodes(self) -> tuple[str, ...]:
        """The nodes on which a dataplane must be proven."""

    def now(self) -> datetime:
        """The time by the one clock that all steps of a run can compare, whichever nodes they run on."""

    def preflight(self, settings: Settings) -> list[Finding]:
        """All reasons at once why the run, a dataplane or a topology is impossible here. Changes nothing."""

    def provenance(self, settings: Settings) -> dict[str, object]:
        """Facts for the reader of the results, JSON-serialisable. A fact that is unavailable is None."""

    def snapshot(self) -> dict[str, object]:
        """Everything that configure may change, present or absent, as it is before the first change."""

    def await_turn(self, visit: Visit, settings: Settings) -> None:
        """Wait while another visit of this run is measured, as where Argo's Retry begins several at once."""

    def configure(self, visit: Visit, settings: Settings) -> list[Change]:
        """Switch to the visit's dataplane. A second call changes nothing; one after a crash completes the first."""

    def set_scale(self, visit: Visit, settings: Settings, scale: Scale) -> list[Change]:
        """Change the cluster from the scale that it has to this one, whatever that was. A second call changes nothing.

        `configure` or `prepare` makes the scale of the visit's first trial, before its servers are prepared; the step
        `scale` all later ones. `clear` ends what changes something all the time, and `restore` removes everything.
        """

    def count_scale(self, visit: Visit, settings: Settings, scale: Scale) -> list[ScaleSign]:
        """What each measured node has of the scale now, by counting there; the caller repeats it until all hold."""

    def time_changes(self, visit: Visit, settings: Settings, trial: Trial) -> str:
        """Do the work of a trial whose tool is `by_scale`: the `Times` of `steps.tools.programming`, as JSON."""

    def place_of_changes(self, trial: Trial) -> Placement:
        """Where such a trial is measured, with the monitors that its step may read."""

    def observe(self, visit: Visit, moment: Moment) -> list[Sign]:
        """The signs of each measured node now, by traffic where needed; independent of the request."""

    def cost(self, *, final: bool) -> SwitchCost | None:
        """What the last switch cost open connections; None: there were none.

        `final`: wait until none of them can recover any more; otherwise None if one can.
        """

    def rest(self) -> None:
        """Let everything that observes rest until the next observation, so that it disturbs no trial."""

    def retreat(self, visit: Visit, reason: str | None) -> list[Change]:
        """Leave a dataplane that was not proven for the one before the run.

        `reason`: why it is impossible here, so that later visits of it fail without trying; None: they may try.
        """

    def await_switch(self, visit: Visit) -> None:
        """Wait until the nodes run what configure made, as far as new pods need it."""

    def prepare(
        self, visit: Visit, settings: Settings, meanwhile: Callable[[], None] = lambda: None
    ) -> list[Placement]:
        """Start servers and Service for the visit's topologies and the node-to-node canary, beside the proof.

        The servers may yet have to start: `await_servers` waits for them, once there is a server of turns. `meanwhile`
        is called once, when their start has begun.
        """

    def turns(self, visit: Visit) -> str | None:
        """The server of the visit's turns, as in its placements; None: there is none, or not yet."""

    def await_servers(self, visit: Visit) -> None:
        """Wait until all serves that prepare started for the visit."""

    def clear(self, visit: Visit) -> None:
        """Remove what prepare made for this visit, without waiting for it. Safe to run twice."""

    def unfinished(self) -> Visit | None:
        """This run's visit whose servers still run after a Stop, without its trials; None: there is none.

        Like `left` and `restore` it needs the cluster alone, since nothing else may be reachable in a broken network.
        """

    def left(self) -> list[str]:
        """What restoring now can't put back, as sentences."""

    def restore(self) -> list[Change]:
        """Put everything back. Safe to run twice, after a crash, and where nothing was changed."""
