"""The answer in words, for the page, the terminal, Markdown and notifications alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from analysis import formatting
from analysis.flags import LEGEND, MARKED
from analysis.summary.answer.answer import Answer
from analysis.summary.figures.standings import MetricStanding, Standing
from analysis.summary.figures.switch_costs import COSTS, NOT_MEASURED
from analysis.summary.figures.traffic import Claim, TrafficCell, count_claims

_PAIR: Final = 2

_CLAIMS: Final[Mapping[Claim, str]] = {
    "good": "best or as good",
    "worse": "worse",
    "mixed": "mixed",
    "undecided": "undecided",
}
"""Each claim in words, in the order of a line."""


@dataclass(frozen=True, slots=True)
class AnswerLine:
    """A standing in a cell: the arrow with a word, marked where flagged trials matter, and how far."""

    standing: Standing
    word: str
    extent: str

    @property
    def text(self) -> str:
        """All of it: `↓ worse by 31 to 38 %`; `↕ undecided, 12 % worse to 40 % better than eBPF`."""
        comma = "," if self.standing in {"undecided", "not-measured"} and self.extent else ""
        return f"{self.word}{comma} {self.extent}".rstrip()


def cell_lines(answer: Answer, cell: TrafficCell) -> list[AnswerLine]:
    """The lines of a cell of the table: one where all metrics agree, else one for each, with its name."""
    shown = cell.shown
    lines = []
    for place, each in enumerate(shown):
        name = f"{each.title.partition(',')[0]}: " if shown[1:] else ""
        beside = _beside(answer, cell) if place == 0 and each.standing == "undecided" else ""
        than = "" if place and each.standing == "undecided" else _than(answer, each)
        extent = "; ".join(filter(None, [each.extent + than, beside, each.reason]))
        lines.append(AnswerLine(each.standing, f"{each.arrow} {name}{each.word}{each.mark}", extent))
    return lines


def _beside(answer: Answer, cell: TrafficCell) -> str:
    """What is decided of a dataplane that may or may not be the best: how it stands to the baseline."""
    said = {"better": "better than", "same": "the same as"}.get(cell.to_baseline or "")
    return f"{said} {answer.title(answer.baseline)}" if said and len(answer.sides) > _PAIR else ""


def cost_rows(answer: Answer) -> list[tuple[str, list[str]]]:
    """What the move to each dataplane costs: the name of a row, and its text for each dataplane."""
    if not answer.moves:
        return []
    moves = [answer.move(side.name) for side in answer.sides]
    return [(name, ["no switch" if move is None else text(move) for move in moves]) for name, text in COSTS.items()]


def document(answer: Answer) -> dict[str, Any]:
    """The answer as a document for other programs: what readers see, by the names of dataplanes."""
    names, certainty = [side.name for side in answer.sides], answer.certainty
    return {
        "baseline": answer.baseline,
        "kinds": [
            {
                "kind": kind.title,
                "path": kind.path,
                "dataplanes": {
                    cell.dataplane: {
                        "answer": kind.claim(cell.dataplane),
                        "texts": [line.text for line in cell_lines(answer, cell)],
                    }
                    for cell in kind.cells
                },
            }
            for kind in answer.kinds
        ],
        "costs": {name: dict(zip(names, texts, strict=True)) for name, texts in cost_rows(answer)},
        "how_sure": certainty.basis,
        "undecided": certainty.undecided,
        "advice": certainty.advice,
        "command": certainty.command,
    }


def digest(answer: Answer) -> list[str]:
    """A line for each dataplane: on how many kinds of traffic it is what, and what the move to it costs.

    `eBPF: best or as good on 5, worse on 4; switch, until proven: 38 s (median of 3); ...`. By all metrics, as in the
    headline: a line by the leading one alone would call good what the table calls worse.
    """
    costs = cost_rows(answer)
    lines = []
    for place, side in enumerate(answer.sides if answer.kinds else ()):
        counted = count_claims(answer.kinds, side.name)
        standings = [f"{said} on {counted[claim]}" for claim, said in _CLAIMS.items() if counted[claim]]
        moves = [f"{name}: {texts[place]}" for name, texts in costs if texts[place] != NOT_MEASURED]
        lines.append(f"{side.title}: {'; '.join([', '.join(standings), *moves])}")
    return lines


def legend(answer: Answer) -> str:
    """How to read the table."""
    margin = formatting.percent(answer.margin_ratio, sign=False)
    return (
        "Best: decidedly better than every other. "
        f"As good: the same within {margin} as every other that may be the best. "
        "Worse: by how much, against the best mean of the row. Undecided: the truth lies between the two bounds. "
        "Where the leading metric, slow responses and CPU per Gbit disagree, each is named; mixed is better by one and "
        f"worse by another.{f' {LEGEND}' if answer.sentence.endswith(MARKED) else ''}"
    )


def _than(answer: Answer, standing: MetricStanding) -> str:
    """Which dataplane an interval refers to: losses are against the best mean of the row, if not said otherwise."""
    if standing.against is None or standing.low is None or len(answer.sides) == _PAIR:
        return ""
    if standing.standing == "worse" and standing.against_first:
        return ""
    return f" than {answer.title(standing.against)}"
