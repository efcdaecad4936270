"""What came of each point: kept in a file, judged by the bar, and printed as a table."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, ValidationError

from analysis.errors import BadInput
from steps.strict_model import Count, Seconds, StrictModel, faults_of

MOST_S: Final = 180.0
"""Within this time after a run's end, nothing of it may be left."""

_HEADS: Final = ("point", "struck at", "objects", "lock", "left", "measured", "lost", "store", "back after, s", "bar")


class Outcome(StrictModel):
    """What was found after one point.

    Attributes:
        point: its name.
        seed: of the order that it was drawn in.
        run: the workflow's name.
        struck_at: the steps at work at that moment; None: the run ended before it came to the point.
        changed: the objects that were not as before, at the end; empty: all were.
        lock: who still held the cluster's lock; None: nobody.
        left: objects of ours that still existed.
        measured: trials that are stored as measured.
        lost: of the trials that were measured before the fault, those that are not stored as measured.
        store: why the store can't be read; None: it can.
        back_s: from the end of the fault and of the run until all was as before; None: it never was.
        stuck: why the run did not come to its end, as a clause; None: it did.
    """

    point: str
    seed: int
    run: str
    struck_at: str | None
    changed: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    lock: str | None = None
    left: Annotated[tuple[str, ...], Field(max_length=10_000)] = ()
    measured: Count = 0
    lost: Count = 0
    store: str | None = None
    back_s: Seconds | None = None
    stuck: str | None = None

    @property
    def misses(self) -> list[str]:
        """How it misses the bar, each as a clause; a point that the run did not come to has struck nothing."""
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


def append(path: Path, outcome: Outcome) -> None:
    """Add an outcome to the file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(outcome.model_dump_json() + "\n")


def read(path: Path) -> list[Outcome]:
    """The outcomes of a file, without a last line that was cut short; none if there is no file.

    Raises:
        BadInput: it is no such file.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    try:
        return [Outcome.model_validate_json(line) for line in lines if line.endswith("\n")]
    except ValidationError as error:
        raise BadInput(f"{path} is no file of outcomes: {faults_of(error)[0]}: name another.") from None


def table(outcomes: Iterable[Outcome]) -> list[str]:
    """The outcomes as lines of a Markdown table."""
    return [_line(_HEADS), _line(["---"] * len(_HEADS)), *(_line(_cells(outcome)) for outcome in outcomes)]


def summary(outcomes: Sequence[Outcome], left_out: Sequence[str]) -> list[str]:
    """The bar, and what no figure says, as sentences."""
    missed = [outcome for outcome in outcomes if outcome.misses]
    struck = sum(outcome.struck_at is not None for outcome in outcomes)
    equal = sum(not outcome.changed for outcome in outcomes)
    lost = sum(outcome.lost for outcome in outcomes)
    readable = sum(outcome.store is None for outcome in outcomes)
    back = [outcome.back_s for outcome in outcomes if outcome.back_s is not None]
    total = len(outcomes)
    sentences = [
        f"{struck} of {total} points struck; objects equal {equal} of {total}; measured rows lost {lost}; store "
        f"readable {readable} of {total}; as before {len(back)} of {total}"
        + (f", at the latest after {max(back):.0f} s." if back else ".")
    ]
    sentences += [f"Missed: {outcome.point} (run {outcome.run}): {'; '.join(outcome.misses)}." for outcome in missed]
    sentences += [f"Left out: {name}." for name in left_out]
    return sentences


def _cells(outcome: Outcome) -> list[str]:
    return [
        outcome.point,
        outcome.struck_at or "the run had ended",
        ", ".join(outcome.changed) or "equal",
        outcome.lock or "free",
        ", ".join(outcome.left) or "nothing",
        str(outcome.measured),
        str(outcome.lost),
        outcome.store or "readable",
        "never" if outcome.back_s is None else f"{outcome.back_s:.0f}",
        "; ".join(outcome.misses) or "kept",
    ]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
