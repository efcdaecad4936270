"""What a session of the matrix waits for: a moment of a run, its end, and that nothing of it is left."""

from collections.abc import Callable
from typing import Final, TypeVar

from analysis.errors import Problem, Unsupported
from benchmarks.chaos import before_and_after, moments
from benchmarks.chaos.before_and_after import ObjectsByName, Remains
from benchmarks.chaos.points import Point
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK, WORKFLOWS
from steps.polling import poll
from workflows.deployment.user_client import UserClient
from workflows.submission import status

T = TypeVar("T")

LONGEST_RUN_S: Final = 2700.0
"""After this time a run is taken for one that never ends."""

_GIVE_UP_S: Final = 300.0
"""Longer than the bar, so that the table says how late what was too late came."""

_LOOK_S: Final = 0.5
_PAUSE_S: Final = 2.0


class Waits:
    """Waits by looking at a cluster again and again.

    `client`: with the patience for an API server that is away.
    """

    def __init__(self, client: UserClient, sleep: Callable[[float], None], clock: Callable[[], float]) -> None:
        self._client = client
        self.sleep = sleep
        self._clock = clock

    def moment(
        self, name: str, point: Point, objects: ObjectsByName, *, passed: bool, over: frozenset[str]
    ) -> tuple[Object, Object | None]:
        """The workflow, and the node of the point's step when the run has come to it; None: the run ended before.

        `objects`: from before the first point. `passed`: a fault was made before, during which the run may have passed
        the moment; then there is no node. `over`: the nodes that were over when the run was retried, which it does not
        come to again; then there is none either, unless the step is one of each round.
        """
        at_start: ObjectsByName | None = None

        def look() -> tuple[Object, Object | None]:
            nonlocal at_start
            workflow = self._client.get(WORKFLOWS, name, BENCHMARK)
            if workflow is None:
                raise Problem(f"run {name} was deleted before it came to {point.name}.")
            written = False
            if point.part == "written" and moments.is_at_work(workflow, point):
                now = before_and_after.objects(self._client)
                at_start = at_start or now
                written = now != at_start or (point.step == "configure" and now != objects)
            return workflow, moments.node_of(workflow, point, written=written, over=over)

        if (passed or over) and moments.has_passed(first := look()[0], point, over):
            return first, None

        def is_decided(found: tuple[Object, Object | None]) -> bool:
            workflow, node = found
            is_passed = bool(over) and moments.has_passed(workflow, point, over)
            return node is not None or is_passed or status.has_ended(workflow)

        return self._poll(look, is_decided, _LOOK_S, LONGEST_RUN_S)

    def restore(self, name: str) -> Object | None:
        """The run when its exit handler puts the cluster back, or it has ended; None: it is gone."""
        return self._poll(
            lambda: self._client.get(WORKFLOWS, name, BENCHMARK),
            lambda run: run is None or status.has_ended(run) or moments.puts_back(run),
            _LOOK_S,
            LONGEST_RUN_S,
        )

    def end(self, name: str) -> str | None:
        """Wait until the run has ended, or is gone; why it never did, as a clause, and then it is deleted."""
        found = self._poll(
            lambda: self._client.get(WORKFLOWS, name, BENCHMARK),
            lambda workflow: workflow is None or status.has_ended(workflow),
            _PAUSE_S,
            LONGEST_RUN_S,
        )
        if found is None or status.has_ended(found):
            return None
        self._client.delete(WORKFLOWS, name, BENCHMARK)
        return f"had not ended after {LONGEST_RUN_S:g} s (at {moments.at_work(found)}), and was deleted"

    def other_runs(self) -> list[str]:
        """The runs at work when none is, or after the longest time."""
        return self._poll(
            lambda: before_and_after.runs_at_work(self._client), lambda found: not found, _PAUSE_S, LONGEST_RUN_S
        )

    def remains(self, objects: ObjectsByName | None) -> tuple[Remains, float | None]:
        """What is left when nothing is, or at last; and after how many seconds nothing was."""
        began = self._clock()

        def look() -> Remains:
            try:
                return before_and_after.remains(self._client, objects)
            except Unsupported as problem:  # such as a node that is not ready yet
                return Remains((str(problem),), None, ())

        found = self._poll(look, lambda found: found.nothing, _PAUSE_S, _GIVE_UP_S)
        return found, self._clock() - began if found.nothing else None

    def _poll(self, look: Callable[[], T], done: Callable[[T], bool], pause_s: float, timeout_s: float) -> T:
        """The first result for which `done` is true, or the first one after the timeout."""
        until = self._clock() + timeout_s
        return poll(look, lambda found: done(found) or self._clock() > until, pause_s=pause_s, sleep=self.sleep)
