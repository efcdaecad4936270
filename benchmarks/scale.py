"""Ten million samples of a thousand runs: how long the trend takes, how long a report, and in how much memory.

    python -m benchmarks.scale [--runs 1000] [--samples 10000000] [--store FOLDER]

The aims, on two cores: the trend query under 0.5 s, a report under 10 s, peak memory under 1 GiB. Each figure is of a
fresh process, as for a user who types the command: imports and the opening of the store are given beside it.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from analysis.console.terminal import printing
from analysis.store.store import Store

GIB = 2**30
AIMS = {"trend": 0.5, "report": 10.0}
REPEATS = 3


def main(arguments: list[str]) -> int:
    """Make the store where it isn't there, measure each in a process of its own, print; 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=10_000_000, help="of all runs together")
    parser.add_argument("--store", help="a folder to keep the store in, for another time; else a temporary one")
    parser.add_argument("--measure", help=argparse.SUPPRESS, choices=sorted(MEASURES))
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(MEASURES[options.measure](options.store)))
        return 0
    with ExitStack() as stack:
        folder = options.store or stack.enter_context(tempfile.TemporaryDirectory(prefix="scale-"))
        fill(folder, options.runs, options.samples)
        met = [report_on(what, folder) for what in MEASURES]
    return 0 if all(met) else 1


def fill(folder: str, runs: int, samples: int) -> None:
    """Write the runs, unless the folder has them."""
    store = Store(folder)
    if sum(table.num_rows for table in store.inventory().runs.values()) != runs:
        from benchmarks.synthetic import fill as write  # noqa: PLC0415 - needs numpy, the measured processes don't

        began = time.perf_counter()
        write(store, runs, samples // runs)
        print(f"wrote {runs} runs in {time.perf_counter() - began:.1f} s", flush=True)
    files = [path for path in Path(folder).rglob("*.parquet") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    print(f"store: {len(files)} files, {size / 2**20:.0f} MiB; {len(os.sched_getaffinity(0))} cores")


def report_on(what: str, folder: str) -> bool:
    """Measure in fresh processes, print the middle one; returns whether the aims are met."""
    found = []
    for _ in range(REPEATS):
        command = [sys.executable, "-m", "benchmarks.scale", "--store", folder, "--measure", what]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    middle = sorted(found, key=lambda one: one["seconds"])[REPEATS // 2]
    peak = max(one["peak_bytes"] for one in found)
    fast, small = bool(middle["seconds"] < AIMS[what]), bool(peak < GIB)
    print(
        f"{what}: {middle['seconds']:.3f} s ({'under' if fast else 'NOT under'} {AIMS[what]} s) for {middle['rows']}; "
        f"opening the store before it {middle['connect_s']:.3f} s, imports {middle['import_s']:.3f} s; "
        f"peak memory {peak / 2**20:.0f} MiB ({'under' if small else 'NOT under'} 1 GiB)"
    )
    return fast and small


def measured(folder: str, run: Callable[[Any], tuple[float, str]], import_s: float) -> dict[str, float | str]:
    """Open the store and run a query; its seconds and peak memory."""
    from analysis.sql import database  # noqa: PLC0415 - timed

    began = time.perf_counter()
    con = database.connect(Store(folder), asking="")  # as a question and a report do: neither reads samples
    connect_s = time.perf_counter() - began
    seconds, rows = run(con)
    con.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "rows": rows, "connect_s": connect_s, "import_s": import_s, "peak_bytes": peak}


def trend(folder: str) -> dict[str, float | str]:
    """Every path and dataplane of one environment, over all its nights."""
    began = time.perf_counter()
    from analysis.sql import database  # noqa: PLC0415 - timed

    import_s = time.perf_counter() - began

    def run(con: database.Connection) -> tuple[float, str]:
        began = time.perf_counter()
        answer = database.answer_question(con, "trend", environment="lab")
        seconds = time.perf_counter() - began
        return seconds, f"{answer.num_rows} rows of {len(set(answer['run_id'].to_pylist()))} nights"

    return measured(folder, run, import_s)


def report(folder: str) -> dict[str, float | str]:
    """The report of the latest run, trend over all nights included."""
    began = time.perf_counter()
    from analysis.report import render  # noqa: PLC0415 - timed
    from analysis.sql import database  # noqa: PLC0415 - timed
    from analysis.summary.summary import summarise  # noqa: PLC0415 - timed
    from steps.catalogue.options import method  # noqa: PLC0415 - timed

    import_s = time.perf_counter() - began

    def run(con: database.Connection) -> tuple[float, str]:
        last = database.query(con, "select run_id from latest_runs where environment = 'lab'")["run_id"][0].as_py()
        began = time.perf_counter()
        html = render(con, last, summarise(con, last, method))
        return time.perf_counter() - began, f"the report of {last}, {len(html) / 1024:.0f} KiB"

    return measured(folder, run, import_s)


MEASURES: dict[str, Callable[[str], dict[str, float | str]]] = {"trend": trend, "report": report}


if __name__ == "__main__":
    sys.exit(printing(lambda: main(sys.argv[1:])))
