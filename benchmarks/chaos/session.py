"""One session of a matrix: points are tried until the time is over, and each outcome is kept before the next begins."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from benchmarks.chaos import tables
from benchmarks.chaos.outcomes import PointOutcome
from benchmarks.chaos.points import Point


def left(points: Iterable[Point], judged: Mapping[str, PointOutcome], *, again: bool) -> list[Point]:
    """The points that are to be tried.

    `judged`: the last outcome of each, by its name. `again`: also those that missed the bar, or whose run did not come
    to them.
    """
    return [point for point in points if (one := judged.get(point.name)) is None or (again and not one.is_kept)]


def try_points(
    groups: Sequence[tuple[Point, ...]],
    try_run: Callable[[tuple[Point, ...]], Iterable[PointOutcome]],
    keep: Callable[[PointOutcome], None],
    say: Callable[[str], None],
    *,
    longest_s: float | None,
    clock: Callable[[], float],
) -> None:
    """Try the points of one run after another; no run begins that would not end in time by those before it.

    Where several points of a run miss the bar, or the run did not come to one of them, each is tried alone. `try_run`:
    tries the points of one run, with each outcome as it comes; without one for a point that tells nothing. `keep`:
    called with each outcome at once. `longest_s`: None: until there is no point left.
    """
    began, longest = clock(), 0.0
    found: list[PointOutcome] = []
    waiting = list(groups)
    while waiting:
        begins = clock()
        if longest_s is not None and begins - began + longest > longest_s:
            say(f"The session is over: {tables.time_left(sum(map(len, waiting)), found)}")
            return
        group = waiting.pop(0)
        judged = {}
        for outcome in try_run(group):
            keep(outcome)
            judged[outcome.point] = outcome
        longest = max(longest, clock() - begins)
        found += judged.values()
        missed = [point for point in group if (one := judged.get(point.name)) is None or one.misses]
        alone = missed if len(group) > 1 else []
        waiting = [*((point,) for point in alone), *waiting]
        for outcome in judged.values():
            say(f"{outcome.point}: {outcome.verdict}; {tables.time_left(sum(map(len, waiting)), found)}")
