"""The site of a thousand runs: how long all of its pages take, how long one more night, and in how much memory.

    python -m benchmarks.large_stores.site [--runs 1000]

The aim, on two cores: all pages in under a minute and within 512 MiB. Each figure is of a fresh process, with its
imports, as for a user who types the command. Each run has the verdict of a real analysis, so that each page is as large
as a real one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.console.terminal import printing
from benchmarks.large_stores.memory import peak_bytes

if TYPE_CHECKING:
    from analysis.summary.run.summary import Summary

AIM_S = 60.0
MIB = 2**20
AIM_BYTES = 512 * MIB
SAMPLES = 120
ANALYSED = 180
"""Runs of which the verdicts are made: as many nights of two environments as a history has."""


def main(arguments: list[str]) -> int:
    """Make the store, build its site three times, print; 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--build", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.build:
        print(json.dumps(build(options.build)))
        return 0
    with tempfile.TemporaryDirectory(prefix="site-") as folder:
        fill(folder, options.runs)
        whole, peak = measured("all pages", folder)
        measured("again, with nothing new", folder)
        add_night(folder, options.runs)
        measured("after one more night", folder)
    in_time, in_memory = whole < AIM_S, peak < AIM_BYTES
    print(f"all pages: {'under' if in_time else 'NOT under'} {AIM_S:.0f} s")
    print(f"all pages: {'within' if in_memory else 'NOT within'} {AIM_BYTES // MIB} MiB")
    return 0 if in_time and in_memory else 1


def fill(folder: str, runs: int) -> None:
    """Write the runs, each with the verdict of a real analysis of its environment's nights, and with a report."""
    import numpy as np  # noqa: PLC0415 - the measured processes do without
    import pyarrow as pa  # noqa: PLC0415

    from analysis.store.store import Store  # noqa: PLC0415
    from analysis.summary.run.summary import to_json  # noqa: PLC0415
    from benchmarks.large_stores import synthetic  # noqa: PLC0415

    began = time.perf_counter()
    store, found, dice = Store(folder), summaries(min(runs, ANALYSED)), np.random.default_rng(7)
    for night in range(runs):
        run_id = f"night-{night:05d}"
        tables = synthetic.make(run_id, night, SAMPLES, dice)
        row = tables["runs"]
        verdict = to_json(replace(found[row["environment"][0].as_py()], run_id=run_id))
        place = row.schema.get_field_index("verdict")
        tables["runs"] = row.set_column(place, row.schema.field(place), pa.array([verdict]))
        store.write_tables(run_id, tables)
        store.write_report(run_id, {"report.html": "<p>The report.</p>"}, latest=False)
    size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
    verdict_bytes = sum(len(to_json(one)) for one in found.values()) / len(found)
    print(
        f"wrote {runs} runs in {time.perf_counter() - began:.0f} s: {size / MIB:.0f} MiB, a verdict of "
        f"{verdict_bytes / 1024:.0f} KiB each; {len(os.sched_getaffinity(0))} cores",
        flush=True,
    )


def summaries(runs: int) -> "dict[str, Summary]":
    """The summary of the last run of each environment, over so many nights of a store of their own."""
    from analysis.sql import database  # noqa: PLC0415 - the measured processes do without
    from analysis.store.store import Store  # noqa: PLC0415
    from analysis.summary.run.summary import summarise  # noqa: PLC0415
    from benchmarks.large_stores import synthetic  # noqa: PLC0415
    from steps.catalogue.options import method  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="site-") as folder:
        store = Store(folder)
        synthetic.write_runs(store, runs, SAMPLES)
        with closing(database.connect(store, asking="")) as con:
            rows = database.query(con, "select run_id, environment from runs order by started_at").to_pylist()
            last = {row["environment"]: row["run_id"] for row in rows}
            return {name: summarise(con, run_id, method) for name, run_id in last.items()}


def add_night(folder: str, runs: int) -> None:
    """Write one more run, without a verdict."""
    import numpy as np  # noqa: PLC0415 - the measured processes do without

    from analysis.store.store import Store  # noqa: PLC0415
    from benchmarks.large_stores import synthetic  # noqa: PLC0415

    run_id = f"night-{runs:05d}"
    Store(folder).write_tables(run_id, synthetic.make(run_id, runs, SAMPLES, np.random.default_rng(1)))


def measured(what: str, folder: str) -> tuple[float, int]:
    """Build the site in a fresh process, and print its seconds and the most bytes that it had; returns both."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.large_stores.site", "--build", folder]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    found = json.loads(done.stdout.splitlines()[-1])
    files = [path for path in Path(folder, "site").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    print(
        f"{what}: {seconds:.1f} s; {found['sentence']} {size / MIB:.0f} MiB of pages; peak memory "
        f"{found['peak_bytes'] / MIB:.0f} MiB",
        flush=True,
    )
    return seconds, int(found["peak_bytes"])


def build(folder: str) -> dict[str, str | int]:
    """Bring the site in the store up to date."""
    from analysis import site  # noqa: PLC0415 - timed
    from analysis.store.store import Store  # noqa: PLC0415 - timed
    from steps.settings.compared import COMPARED  # noqa: PLC0415 - timed

    store = Store(folder)
    written = site.write_site(store, store.files.below(site.FOLDER), COMPARED)
    return {"sentence": written.sentence, "peak_bytes": peak_bytes()}


if __name__ == "__main__":
    sys.exit(printing(lambda: main(sys.argv[1:])))
