"""What Apache Otava finds: from series on standard input to its change points on standard output, both as JSON.

It runs in an environment of its own (`make bench-changes` makes it), for Otava pins another numpy than this project.
The answer has the indices of each series' change points, and the CPU seconds that finding them took.
"""

import json
import sys
import time

from otava.analysis import compute_change_points

MOST_P = 0.001
WINDOW = 50
"""Otava's own defaults."""


def main() -> None:
    series = json.load(sys.stdin)
    compute_change_points([1.0, 2.0] * 20, window_len=WINDOW, max_pvalue=MOST_P)  # what is loaded once
    began = time.process_time()
    points = [
        [int(point.index) for point in compute_change_points(one, window_len=WINDOW, max_pvalue=MOST_P)[0]]
        for one in series
    ]
    json.dump({"points": points, "cpu_s": time.process_time() - began}, sys.stdout)


if __name__ == "__main__":
    main()
