"""What each dataplane costs against the baseline."""

from functools import partial

from analysis.charts.drawing.forest import differences, forest
from analysis.metrics import COMPARED

TITLE = "What it costs"
READING = (
    "CPU time per Gbit, and the slowest hundredth and thousandth of connects and responses, against the baseline; less "
    "is better. Marks and lines as in the first chart."
)
EMPTY = "No two dataplanes have CPU figures on the same path, so there is no difference in cost to show."
ORDER = 15

frame = partial(differences, metrics=[m.name for m in COMPARED if not m.leads and m.better == "lower"])
chart = forest
