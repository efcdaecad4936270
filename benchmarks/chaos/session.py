"""One session of a matrix: points are tried until the time is over, and each outcome is kept before the next begins."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from benchmarks.chaos import tables
from benchmarks.chaos.outcomes import Outcome
from benchmarks.chaos.points import Point


def left(points: Iterable[Point], judged: Mapping[str, Outcome], *, again: bool) -> list[Point]:
    """The points that are to be tried.

    Args:
        points: of the matrix.
        judged: the last outcome of each, by its name.
        again: also those that missed the bar, or whose run did not come to them.
    """
    return [point for point in points if (one := judged.get(point.name)) is None or (again and not one.is_kept)]


def try_points(
    points: Sequence[Point],
    try_one: Callable[[Point], Outcome],
    keep: Callable[[Outcome], None],
    say: Callable[[str], None],
    *,
    longest_s: float | None,
    clock: Callable[[], float],
) -> None:
    """Try points one after another; no point begins that would not end in time by those before it.

    Args:
        points: in their order.
        try_one: tries one.
        keep: called with each outcome at once.
        say: called with a sentence for each outcome.
        longest_s: how long the session lasts; None: until there is no point left.
        clock: in seconds.
    """
    began = clock()
    found: list[Outcome] = []
    for done, point in enumerate(points):
        longest = max((one.took_s or 0.0 for one in found), default=0.0)
        if longest_s is not None and clock() - began + longest > longest_s:
            say(f"The session is over: {tables.time_left(len(points) - done, found)}")
            return
        found.append(try_one(point))
        keep(found[-1])
        say(f"{point.name}: {found[-1].verdict}; {tables.time_left(len(points) - done - 1, found)}")
