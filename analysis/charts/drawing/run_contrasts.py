"""The chart of a comparison of runs: how far B is from A, its interval and the margin."""

from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa

from analysis.charts.drawing.data import Row, to_frame
from analysis.charts.drawing.forest import MARKS, forest, ratios
from analysis.charts.drawing.svg import to_specs, to_svg
from analysis.charts.drawing.theme import LAYOUTS
from analysis.metrics import LEADING
from analysis.metrics.throughput import THROUGHPUT
from analysis.stats.contrasts.contrast import Contrast

TITLE: Final = "B against A"
READING: Final = (
    "Each figure of B against the same of A; of a dataplane against another, the ratio of the two in B against that in "
    f"A. All intervals, drawn as lines, hold together in 95 % of comparisons. {MARKS}"
)


def frame(contrasts: Sequence[Contrast], names: Mapping[str, str]) -> pa.Table:
    """A row for each contrast by a leading metric; `value`, `low`, `high` are ratios to A."""
    rows: list[Row] = []
    leading = [metric.name for metric in LEADING]
    shown = [one for one in contrasts if one.metric in leading and one.scale == "ratio"]
    mixed = len({one.better for one in shown}) > 1
    for one in sorted(shown, key=lambda each: leading.index(each.metric)):
        path = one.path if one.metric == THROUGHPUT else f"{one.path}: {one.metric_title}"
        own, base = (names.get(name or "", name or "") for name in (one.dataplane, one.against))
        outcome = "the same" if one.outcome == "same" else one.outcome
        rows.append(
            {
                "path": path + (" (left is better)" if mixed and one.better == "lower" else ""),
                "baseline": "A",
                "dataplane": f"{own} / {base}" if base else own,
            }
            | ratios(one, outcome, one.doubt.mark)
        )
    return to_frame(rows)


def draw(contrasts: Sequence[Contrast], names: Mapping[str, str]) -> tuple[str, ...]:
    """An SVG for each layout; none where there is nothing to draw."""
    specs = to_specs(frame(contrasts, names), forest)
    return tuple(to_svg(specs[layout.name], layout, "contrasts", f"{TITLE}. {READING}") for layout in LAYOUTS if specs)
