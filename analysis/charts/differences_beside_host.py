"""What each dataplane gains or loses against the baseline, relative to the host network in the same seconds."""

from functools import partial

from analysis.charts.drawing.forest import differences, forest
from analysis.metrics.throughput import HOST_NETWORK_RATIO

TITLE = "Against the baseline, relative to the host network"
READING = (
    "Each trial's throughput divided by that of the host network just before and after it. What a drifting machine "
    "does to both falls out, so these intervals are often shorter; what a dataplane itself does to the host network "
    "falls out as well. Marks and lines as in the first chart."
)
EMPTY = "No trial has the host network's throughput beside it, so there is nothing to relate it to."
ORDER = 12

frame = partial(differences, metrics=[HOST_NETWORK_RATIO])
chart = forest
