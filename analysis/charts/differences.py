"""The first chart of a report: what each dataplane gains or loses against the baseline."""

from functools import partial

from analysis.charts.drawing.forest import MARKS, differences, forest
from analysis.metrics import LEADING
from analysis.stats.verdicts.judgement import SHARES

TITLE = "Against the baseline"
READING = (
    "Throughput, connect time and response time against the baseline. All intervals, drawn as lines, hold the "
    f"true difference together in {SHARES}. {MARKS}"
)
EMPTY = "No two dataplanes were measured on the same path, so there is no difference to show."
ORDER = 10

frame = partial(differences, metrics=[metric.name for metric in LEADING])
chart = forest
