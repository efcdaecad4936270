"""One run of the matrix: it is submitted, struck at its moments, and what it leaves is compared with before."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.errors import Problem
from analysis.store.store import Store
from benchmarks.chaos import before_and_after, moments, waits
from benchmarks.chaos.before_and_after import ObjectsByName, Trials
from benchmarks.chaos.outcomes import PointOutcome
from benchmarks.chaos.points import BY_NAME, Point
from benchmarks.chaos.strikes import Strikes
from benchmarks.chaos.waits import Waits
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK, WORKFLOWS
from steps.tasks.shared.step import run_id
from workflows.deployment.user_client import UserClient
from workflows.submission import status, submit


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

    `client`: with the patience for an API server that is away. `fields`: of the form, for the run of these points.
    `objects`: the file of the objects from before the first point; written then. `put_back`: restores the cluster as a
    user does, where a run has missed the bar.
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
        self._waits = Waits(client, sleep, clock)
        self._clock = clock

    def run(self, points: Sequence[Point], seed: int) -> Iterator[PointOutcome]:
        """Try the points of one run; the outcome of each, once the run has ended after it.

        Where there are several, one whose moment the run had passed, or did not come to, has none: it tells nothing.
        `points`: in the order in which the run comes to them. A run that one ends before the last is retried.

        Raises:
            NotAsBeforeError: the cluster is held, has objects of an earlier run, or is not as before the first point.
            Problem: the cluster or the store can't be reached, or a command of the user's failed.
        """
        began = self._clock()
        objects = self._objects_before()
        name = submit.choose_name()
        submit.create_run(self._client, self._fields(points), name)
        self._say(f"{', '.join(point.name for point in points)}: run {name}")
        before_it: tuple[str, ...] = ()
        over: frozenset[str] | None = frozenset()
        waiting = list(points)
        while waiting and over is not None:
            run, struck = self._strike(name, waiting, objects, over)
            del waiting[: len(struck)]
            judged = self._judge(name, run, struck, objects, seed, began, alone=len(points) == 1)
            yield from (one.model_copy(update={"beside": (*before_it, *one.beside)}) for one in judged)
            if not judged or any(one.misses for one in judged):
                return
            before_it += tuple(one.point for one in judged)
            began = self._clock()
            over = self._retry(name) if waiting else None

    def _retry(self, name: str) -> frozenset[str] | None:
        """Press Retry on a run that a Stop ended; what it does not run again, or None if it can't be retried."""
        ended = self._client.get(WORKFLOWS, name, BENCHMARK)
        if ended is None or status.has_succeeded(ended):
            return None
        self._say(f"run {name} is retried")
        try:
            self._strikes.retry(name)
        except Problem as problem:  # its further points are tried in runs of their own
            self._say(str(problem))
            return None
        return moments.over(self._client.get(WORKFLOWS, name, BENCHMARK) or ended)

    def _judge(
        self,
        name: str,
        run: str,
        struck: Sequence[_Struck],
        objects: ObjectsByName,
        seed: int,
        began: float,
        *,
        alone: bool,
    ) -> list[PointOutcome]:
        """Wait until a run that was struck has ended; the outcomes, none where it came to no point."""
        ending = self._clock()
        last = struck[-1]
        stuck, pressed = (self._waits.end(name), True) if last.at is None else self._end(last.point, name)
        end_s = self._clock() - ending
        left, back_s = self._waits.remains(objects)
        if back_s is None:
            try:
                self._put_back()
            except Problem as problem:  # the next point finds the cluster held, unless the guard is at it
                self._say(str(problem))
        rows, unreadable = before_and_after.stored(self._store, run)
        told = struck if alone else [one for one in struck if one.at is not None]
        return [
            PointOutcome(
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

    def _strike(
        self, name: str, points: Sequence[Point], objects: ObjectsByName, over: frozenset[str]
    ) -> tuple[str, list[_Struck]]:
        """The run's id, and what was struck until it ends: at least one point, though perhaps one that was passed."""
        struck: list[_Struck] = []
        run, since = "", self._clock()
        for point in points:
            workflow, node = self._waits.moment(name, point, objects, passed=bool(struck), over=over)
            run = run_id(name, workflow["metadata"]["uid"])
            found = _Struck(point) if node is None else self._make(point, run, workflow, node, since)
            since = self._clock()
            struck.append(found)
            if found.at is not None and BY_NAME[point.fault].ends:
                break
            if found.at is None and (node is not None or not moments.has_passed(workflow, point, over)):
                break  # the run has ended, or hangs
        return run, struck

    def _objects_before(self) -> ObjectsByName:
        """The objects from before the first point, which are there again; when nothing of a run is left."""
        known = before_and_after.kept_objects(self._objects)
        self._await_other_runs()
        self._require_nothing(known)
        if known is None:
            known = before_and_after.objects(self._client)
            before_and_after.keep_objects(self._objects, known)
        return known

    def _make(self, point: Point, run: str, workflow: Object, node: Object, since: float) -> _Struck:
        """Wait for the point's delay, and make its fault, unless the run is over by then."""
        name = workflow["metadata"]["name"]
        known = before_and_after.measured_until_now(self._store, run)
        self._waits.sleep(point.delay_s)
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

        Returns why it never came to its end, if so; and whether all was pressed: a run may be over before.
        """
        pressed = True
        if point.fault == "stop-twice":
            found = self._waits.restore(name)
            if pressed := found is not None and moments.puts_back(found):
                self._strikes.stop(name)
        stuck = self._waits.end(name)
        if point.fault == "retry" and stuck is None:
            ended = self._client.get(WORKFLOWS, name, BENCHMARK)
            if pressed := ended is not None and not status.has_succeeded(ended):
                self._strikes.retry(name)
                stuck = self._waits.end(name)
        return stuck, pressed

    def _await_other_runs(self) -> None:
        if names := self._waits.other_runs():
            raise NotAsBeforeError(
                f"{self._client.where}: run {names[0]} is at work for more than {waits.LONGEST_RUN_S:g} s: stop it, "
                "and go on with the same command."
            )

    def _require_nothing(self, objects: ObjectsByName | None) -> None:
        found, _ = self._waits.remains(objects)
        if not found.nothing:
            what = "; ".join((*found.changed, *([f"lock of {found.lock}"] if found.lock else []), *found.left))
            meant = f" Where a change is meant, delete {self._objects}." if found.changed else ""
            raise NotAsBeforeError(
                f"{self._client.where} is not as before the first point: {what}. Put it back with "
                f"`{self._client.restore_command}`, and go on with the same command.{meant}"
            )
