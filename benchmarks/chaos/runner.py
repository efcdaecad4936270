"""One run of the matrix: it is submitted, struck at its moments, and what it leaves is compared with before."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from analysis.errors import Problem, Unsupported
from analysis.store.store import Store
from benchmarks.chaos import before, before_and_after, moments
from benchmarks.chaos.before import Objects
from benchmarks.chaos.before_and_after import Remains, Trials
from benchmarks.chaos.outcomes import Outcome
from benchmarks.chaos.points import BY_NAME, Point, legs
from benchmarks.chaos.strikes import Strikes
from steps.cluster.kube.api.permissions import BENCHMARK, WORKFLOWS
from steps.polling import poll
from steps.tasks.shared.step import run_id
from workflows.deployment.user_client import UserClient
from workflows.submission import status, submit

Object = dict[str, Any]
T = TypeVar("T")

LONGEST_RUN_S: Final = 2700.0
"""After this time a run is taken for one that never ends."""

_GIVE_UP_S: Final = 300.0
"""Longer than the bar, so that the table says how late what was too late came."""

_LOOK_S: Final = 0.5
_PAUSE_S: Final = 2.0


class NotAsBeforeError(Problem):
    """The cluster is not as it was, so that no further point can be judged."""


@dataclass(frozen=True, slots=True)
class _Struck:
    """The fault of a point.

    `at`: the steps at work; None: none was made. `effect`: as the strike says. `known`: the trials measured before it.
    """

    point: Point
    at: str | None = None
    effect: bool | None = None
    known: Trials = frozenset()
    moment_s: float | None = None
    fault_s: float | None = None


class Runner:
    """Tries points on one cluster.

    Args:
        client: of the cluster, with the patience for an API server that is away.
        store: of its runs.
        strikes: makes the faults.
        fields: of the form, for the run of these points.
        objects: the file of the objects from before the first point; written then.
        put_back: restores the cluster as a user does, where a run has missed the bar.
        say: called with a sentence for what goes on.
        sleep: waits for a number of seconds.
        clock: in seconds.
    """

    def __init__(
        self,
        client: UserClient,
        store: Store,
        strikes: Strikes,
        fields: Callable[[Sequence[Point]], Mapping[str, str]],
        objects: Path,
        put_back: Callable[[], object],
        say: Callable[[str], None],
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._store = store
        self._strikes = strikes
        self._fields = fields
        self._objects = objects
        self._put_back = put_back
        self._say = say
        self._sleep = sleep
        self._clock = clock

    def run(self, points: Sequence[Point], seed: int) -> list[Outcome]:
        """Try the points of one run; the outcome of each.

        Where there are several, one whose moment the run had passed, or did not come to, has none: it tells nothing.

        Args:
            points: in the order in which the run comes to them. A run that one ends before the last is retried.
            seed: of the order in which they were drawn.

        Raises:
            NotAsBeforeError: the cluster is held, has objects of an earlier run, or is not as before the first point.
            Problem: the cluster or the store can't be reached, or a command of the user's failed.
        """
        began = self._clock()
        objects = self._objects_before()
        name = submit.create_run(self._client, self._fields(points))
        self._say(f"{', '.join(point.name for point in points)}: run {name}")
        found: list[Outcome] = []
        for leg in legs(points):
            if found and (found[-1].misses or not self._goes_on(name)):
                break  # the next ones are tried alone
            judged = self._run_leg(name, leg, objects, seed, began, alone=len(points) == 1)
            before_it = tuple(one.point for one in found)
            found += [one.model_copy(update={"beside": (*before_it, *one.beside)}) for one in judged]
            if not judged:
                break
            began = self._clock()
        return found

    def _goes_on(self, name: str) -> bool:
        """Press Retry on a run that a Stop ended; whether there was something to retry."""
        ended = self._client.get(WORKFLOWS, name, BENCHMARK)
        if ended is None or status.has_succeeded(ended):
            return False
        self._say(f"run {name} is retried")
        self._strikes.retry(name)
        return True

    def _run_leg(
        self, name: str, points: Sequence[Point], objects: Objects, seed: int, began: float, *, alone: bool
    ) -> list[Outcome]:
        """Strike a run, from where it was begun until it has ended; the outcomes, or none where it came to no point."""
        run, struck = self._strike_all(name, points, objects)
        over = self._clock()
        last = struck[-1]
        stuck, pressed = (self._await_end(name), True) if last.at is None else self._end(last.point, name)
        end_s = self._clock() - over
        left, back_s = self._await_remains(objects)
        if back_s is None:
            self._put_back_by_hand()
        rows, unreadable = before_and_after.stored(self._store, run)
        told = struck if alone else [one for one in struck if one.at is not None]
        return [
            Outcome(
                point=one.point.name,
                seed=seed,
                run=name,
                struck_at=one.at,
                effect=one.effect if pressed or one is not last else False,
                changed=left.changed,
                lock=left.lock,
                left=left.left,
                measured=len(rows),
                lost=len(one.known - rows),
                store=unreadable,
                back_s=back_s,
                stuck=stuck,
                beside=tuple(other.point.name for other in told if other is not one),
                moment_s=one.moment_s,
                fault_s=one.fault_s,
                end_s=end_s,
                took_s=(self._clock() - began) / len(told),
            )
            for one in told
        ]

    def _strike_all(self, name: str, points: Sequence[Point], objects: Objects) -> tuple[str, list[_Struck]]:
        """The run's id, and what was struck: at least one, and no more once the run has ended."""
        struck: list[_Struck] = []
        run, since = "", self._clock()
        for point in points:
            workflow, node = self._await_moment(name, point, objects, passed=bool(struck))
            run = run_id(name, workflow["metadata"]["uid"])
            found = _Struck(point) if node is None else self._strike(point, run, workflow, node, since)
            since = self._clock()
            struck.append(found)
            if node is None and not moments.has_passed(workflow, point):
                break  # the run has ended, or hangs
        return run, struck

    def _objects_before(self) -> Objects:
        """The objects from before the first point, which are there again; when nothing of a run is left."""
        known = before.read(self._objects)
        self._await_other_runs()
        self._require_nothing(known)
        if known is None:
            known = before_and_after.objects(self._client)
            before.write(self._objects, known)
        return known

    def _strike(self, point: Point, run: str, workflow: Object, node: Object, since: float) -> _Struck:
        """Wait for the point's delay, and make its fault, unless the run is over by then."""
        name = workflow["metadata"]["name"]
        known = before_and_after.measured_until_now(self._store, run)
        self._sleep(point.delay_s)
        now = self._client.get(WORKFLOWS, name, BENCHMARK) or workflow
        if status.has_ended(now):
            return _Struck(point)
        at = moments.at_work(now)
        self._say(f"{point.name}: at {at}, {len(known)} trials measured")
        began = self._clock()
        effect = self._strikes.strike(BY_NAME[point.fault], now, node)
        return _Struck(point, at, effect, known, began - since, self._clock() - began)

    def _end(self, point: Point, name: str) -> tuple[str | None, bool]:
        """Wait for the end of a run that was struck, with what a person presses later.

        Returns:
            Why it never came to its end, if so; and whether all was pressed: a run may be over before.
        """
        pressed = True
        if point.fault == "stop-twice":
            found = self._poll(
                lambda: self._client.get(WORKFLOWS, name, BENCHMARK),
                lambda run: run is None or status.has_ended(run) or moments.puts_back(run),
                _LOOK_S,
                LONGEST_RUN_S,
            )
            if pressed := found is not None and moments.puts_back(found):
                self._strikes.stop(name)
        stuck = self._await_end(name)
        if point.fault == "retry" and stuck is None:
            ended = self._client.get(WORKFLOWS, name, BENCHMARK)
            if pressed := ended is not None and not status.has_succeeded(ended):
                self._strikes.retry(name)
                stuck = self._await_end(name)
        return stuck, pressed

    def _put_back_by_hand(self) -> None:
        try:
            self._put_back()
        except Problem as problem:  # the next point finds the cluster held, unless the guard is at it
            self._say(str(problem))

    def _await_other_runs(self) -> None:
        names = self._poll(
            lambda: before_and_after.runs_at_work(self._client), lambda found: not found, _PAUSE_S, LONGEST_RUN_S
        )
        if names:
            raise NotAsBeforeError(
                f"{self._client.where}: run {names[0]} is at work for more than {LONGEST_RUN_S:g} s: stop it, and go "
                "on with the same command."
            )

    def _require_nothing(self, objects: Objects | None) -> None:
        found, _ = self._await_remains(objects)
        if not found.nothing:
            what = "; ".join((*found.changed, *([f"lock of {found.lock}"] if found.lock else []), *found.left))
            meant = f" Where a change is meant, delete {self._objects}." if found.changed else ""
            raise NotAsBeforeError(
                f"{self._client.where} is not as before the first point: {what}. Put it back with "
                f"`{self._client.restore_command}`, and go on with the same command.{meant}"
            )

    def _await_moment(self, name: str, point: Point, objects: Objects, *, passed: bool) -> tuple[Object, Object | None]:
        """The workflow, and the node of the point's step when the run has come to it; None: the run ended before.

        `passed`: a fault was made before, during which the run may have passed the moment; then there is no node.
        """
        at_start: Objects | None = None

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
            return workflow, moments.node_of(workflow, point, written=written)

        if passed and moments.has_passed(first := look()[0], point):
            return first, None
        return self._poll(
            look, lambda found: found[1] is not None or status.has_ended(found[0]), _LOOK_S, LONGEST_RUN_S
        )

    def _await_end(self, name: str) -> str | None:
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

    def _await_remains(self, objects: Objects | None) -> tuple[Remains, float | None]:
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
        return poll(look, lambda found: done(found) or self._clock() > until, pause_s=pause_s, sleep=self._sleep)
