"""What came of each point: kept in a file, and judged by the bar."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, ValidationError

from analysis.errors import BadInput
from steps.strict_model import Count, Seconds, StrictModel, faults_of

MOST_S: Final = 180.0
"""Within this time after a run's end, nothing of it may be left."""

_BEGINNING: Final = '{"point":'
"""Of every line of the file."""


class PointOutcome(StrictModel):
    """What was found after one point. Times are missing in files from before they were kept.

    Attributes:
        seed: of the order that it was drawn in.
        struck_at: the steps at work at that moment; None: the run ended before it came to the point.
        effect: whether the cluster saw the fault; None: it was not looked at.
        changed: the objects that were not as before, at the end; empty: all were.
        lock: who still held the cluster's lock; None: nobody.
        lost: of the trials that were measured before the fault, those that are not stored as measured.
        store: why the store can't be read; None: it can.
        back_s: from the end of the fault and of the run until all was as before; None: it never was.
        stuck: why the run did not come to its end, as a clause; None: it did.
        beside: the other points that struck the same run before its end, before a Retry too. For those after it all of
            this but the fault's own is the same.
        moment_s: from the submission, or the fault before in that run, to the fault, its delay included.
        end_s: from there to the end of the run.
        took_s: all of it, with what is looked at before and after; where there are others beside it, its share.
    """

    point: str
    seed: int
    run: str
    struck_at: str | None
    effect: bool | None = None
    changed: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    lock: str | None = None
    left: Annotated[tuple[str, ...], Field(max_length=10_000)] = ()
    measured: Count = 0
    lost: Count = 0
    store: str | None = None
    back_s: Seconds | None = None
    stuck: str | None = None
    beside: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    moment_s: Seconds | None = None
    fault_s: Seconds | None = None
    end_s: Seconds | None = None
    took_s: Seconds | None = None

    @property
    def misses(self) -> list[str]:
        """How it misses the bar, each as a clause."""
        late = self.back_s is None or self.back_s > MOST_S
        return [
            clause
            for clause, missed in (
                ("objects differ", bool(self.changed)),
                (f"{self.lost} measured rows lost", self.lost > 0),
                ("the store can't be read", self.store is not None),
                (f"not as before within {MOST_S:g} s", late),
                (f"the run {self.stuck}", self.stuck is not None),
            )
            if missed
        ]

    @property
    def is_struck(self) -> bool:
        """Whether the run came to its point, and the fault was not seen to have no effect."""
        return self.struck_at is not None and self.effect is not False

    @property
    def is_kept(self) -> bool:
        """Whether the fault struck and the bar was kept; one that did not strike shows nothing."""
        return self.is_struck and not self.misses

    @property
    def verdict(self) -> str:
        """In words: `kept`, `not struck`, `without effect`, or how the bar was missed."""
        without = "without effect" if self.effect is False else "not struck"
        return "; ".join(self.misses) or ("kept" if self.is_kept else without)


def append(path: Path, outcome: PointOutcome) -> None:
    """Add an outcome to the file, behind whatever a killed process has left of a line."""
    cut = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * cut + outcome.model_dump_json() + "\n")


def read(path: Path) -> list[PointOutcome]:
    """The outcomes of a file in the order of their trial, without a line that was cut short; none if there is no file.

    Raises:
        BadInput: it is no such file.
    """
    if not path.exists():
        return []
    try:
        found = [_read(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror}.") from None
    except ValidationError as error:
        raise BadInput(f"{path} is no file of outcomes: {faults_of(error)[0]}: name another.") from None
    return [outcome for outcome in found if outcome is not None]


def latest(found: Iterable[PointOutcome]) -> dict[tuple[str, int], PointOutcome]:
    """The last outcome of each point and seed: a point may have been tried again."""
    return {(outcome.point, outcome.seed): outcome for outcome in found}


def missed_together(found: Iterable[PointOutcome]) -> list[PointOutcome]:
    """Those that missed the bar beside others of their run, while each of these kept it alone, one of each run."""
    found = list(found)
    kept = {outcome.point for outcome in latest(found).values() if outcome.is_kept}
    first: dict[str, PointOutcome] = {}
    for one in found:
        if one.beside and one.misses and {one.point, *one.beside} <= kept:
            first.setdefault(one.run, one)
    return list(first.values())


def misses_bar(found: Iterable[PointOutcome]) -> bool:
    """Whether a point misses the bar, or several did together."""
    found = list(found)
    return any(outcome.misses for outcome in latest(found).values()) or bool(missed_together(found))


def _read(line: str) -> PointOutcome | None:
    """The outcome of a line; None: the process was killed while it wrote it."""
    try:
        return PointOutcome.model_validate_json(line)
    except ValidationError as error:
        is_json = all(each["type"] != "json_invalid" for each in error.errors())
        if is_json or line[: len(_BEGINNING)] != _BEGINNING[: len(line)]:
            raise
        return None
