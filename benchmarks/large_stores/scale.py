"""Ten million samples of a thousand runs: how long the trend, a report and a comparison take, in how much memory.

    python -m benchmarks.large_stores.scale [--runs 1000] [--samples 10000000] [--store FOLDER]

Each figure is the middle one of fresh processes, as for a user who types the command: imports and the opening of the
store are given beside it, and the CPU time, which a busy machine does not change much. Beside it stands what DuckDB
takes by hand on the same files, and which files were opened: one that the question does not need is a failure, as is a
limit that is missed. The trend is also asked of a bucket whose every answer takes 20 ms longer. Exit code 1 where
anything failed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from analysis.console.terminal import printing
from analysis.store.index.run_entries import RunEntry
from analysis.store.integrity.stock import read_rows
from analysis.store.store import Store
from benchmarks.large_stores import slow_bucket
from benchmarks.large_stores.measures import ENVIRONMENT, ProcessMeasurement
from benchmarks.large_stores.opened_files import watched

MOST_BYTES: Final = 512 * 2**20
REPEATS: Final = 3


@dataclass(frozen=True, slots=True)
class Limit:
    """A question, and how long its parts may take together, in seconds. `by_hand`: the measure without this project."""

    what: str
    most_s: float
    parts: tuple[str, ...] = ("asking",)
    by_hand: str = "rows-by-hand"
    slow_bucket: bool = False

    @property
    def title(self) -> str:
        """What is measured, in a few words."""
        return f"{self.what} of a bucket {slow_bucket.DELAY_S * 1000:.0f} ms away" if self.slow_bucket else self.what

    def taken_s(self, found: ProcessMeasurement) -> float:
        """What counts of a measurement."""
        return sum(found.wall_s[part] for part in self.parts)


LIMITS: Final = (
    Limit("trend", 0.1, by_hand="trend-by-hand"),
    Limit("report", 3.0),
    Limit("compare", 3.0),
    Limit("trend", 3.0, ("imports", "opening", "asking"), "trend-by-hand", slow_bucket=True),
)


@dataclass(frozen=True, slots=True)
class Filled:
    """A store with its runs. `run_id`: the latest of the environment that is asked about."""

    folder: Path
    run_id: str
    entries: tuple[RunEntry, ...]

    @property
    def files(self) -> dict[str, list[str]]:
        """The files with rows of the environment's runs, by table."""
        found = {"runs": sorted({entry.name for entry in self.entries})}
        for table in ("visits", "trials"):
            names = {name for entry in self.entries for name in entry.children if name.startswith(f"{table}/")}
            found[table] = sorted(names)
        return {table: [str(self.folder / name) for name in names] for table, names in found.items()}

    def needed(self, what: str) -> set[Path]:
        """The files that a question needs: all rows of runs, and of the environment's visits and trials."""
        found = {Path(name) for names in self.files.values() for name in names}
        found |= set((self.folder / "runs").glob("*.parquet"))
        if what == "report":  # which checks all files of its run
            found |= {self.folder / name for e in self.entries if e.run_id == self.run_id for name in e.children}
        return found


def main(arguments: list[str]) -> int:
    """Make the store where it isn't there, measure each question, print; 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=10_000_000, help="of all runs together")
    parser.add_argument("--store", help="a folder to keep the store in, for another time; else a temporary one")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = options.store or stack.enter_context(tempfile.TemporaryDirectory(prefix="scale-"))
        filled = fill(folder, options.runs, options.samples)
        met = [check(limit, filled) for limit in LIMITS]
    return 0 if all(met) else 1


def fill(folder: str, runs: int, samples: int) -> Filled:
    """Write the runs, unless the folder has them."""
    store = Store(folder)
    if len(read_rows(store.files).counting) != runs:
        from benchmarks.large_stores.synthetic import write_runs  # noqa: PLC0415 - needs numpy

        began = time.perf_counter()
        write_runs(store, runs, samples // runs)
        print(f"wrote {runs} runs in {time.perf_counter() - began:.1f} s", flush=True)
    stock = read_rows(store.files)
    places = {
        row["run_id"]: row["environment"]
        for rows in stock.runs.values()
        for row in rows.select(["run_id", "environment"]).to_pylist()
    }
    own = tuple(entry for entry in stock.counting if places[entry.run_id] == ENVIRONMENT)
    print(f"store: {_extent(Path(folder).rglob('*.parquet'))}; {len(os.sched_getaffinity(0))} cores")
    return Filled(Path(folder), max(entry.run_id for entry in own), own)


def check(limit: Limit, filled: Filled) -> bool:
    """Measure one question in fresh processes and print what it took; returns whether its limits are kept."""
    with slow_bucket.serving(str(filled.folder)) if limit.slow_bucket else nullcontext() as endpoint:
        if endpoint is not None:
            environment, url = slow_bucket.environment(endpoint), f"s3://{slow_bucket.BUCKET}"
        else:
            environment, url = dict(os.environ), str(filled.folder)
        with watched([filled.folder / table for table in ("runs", "visits", "trials", "samples")]) as opened:
            found = [_measured(limit.what, filled, url, environment) for _ in range(REPEATS)]
        requests = slow_bucket.counts(endpoint) if endpoint is not None else {}
    by_hand = _middle([_measured(limit.by_hand, filled, url, environment) for _ in range(REPEATS)], ("asking",))
    middle = _middle(found, limit.parts)
    peak = max(one.peak_bytes for one in found)
    needless = opened - filled.needed(limit.what)
    fast, small = limit.taken_s(middle) <= limit.most_s, peak <= MOST_BYTES
    print(
        f"{limit.title}: {limit.taken_s(middle):.3f} s ({_verdict(fast)} {limit.most_s} s) for {middle.answer}\n"
        f"  of it {_parts(middle)}\n"
        f"  peak memory {peak / 2**20:.0f} MiB ({_verdict(small)} {MOST_BYTES / 2**20:.0f} MiB)\n"
        f"  by hand ({limit.by_hand.replace('-', ' ')}) {by_hand.wall_s['asking']:.3f} s "
        f"({by_hand.cpu_s['asking']:.3f} s CPU), peak {by_hand.peak_bytes / 2**20:.0f} MiB"
    )
    if requests:
        received = requests.pop("bytes") / REPEATS / 2**20
        asked = ", ".join(f"{count / REPEATS:.0f} {method}" for method, count in sorted(requests.items()))
        print(f"  requests: {asked}; {received:.1f} MiB received")
    else:
        read_mib = middle.read_bytes / 2**20
        print(f"  opened {_extent(opened)}, of which not needed {len(needless)}; read {read_mib:.1f} MiB")
    return fast and small and not needless


def _measured(what: str, filled: Filled, url: str, environment: Mapping[str, str]) -> ProcessMeasurement:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.large_stores.measures", what, url, filled.run_id],
        input=json.dumps(filled.files),
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return ProcessMeasurement(**json.loads(done.stdout.splitlines()[-1]))


def _middle(found: list[ProcessMeasurement], parts: Iterable[str]) -> ProcessMeasurement:
    return sorted(found, key=lambda one: sum(one.wall_s[part] for part in parts))[len(found) // 2]


def _parts(found: ProcessMeasurement) -> str:
    return ", ".join(f"{part} {wall_s:.3f} s ({found.cpu_s[part]:.3f} s CPU)" for part, wall_s in found.wall_s.items())


def _extent(paths: Iterable[Path]) -> str:
    sizes = [path.stat().st_size for path in paths]
    return f"{len(sizes)} files of {sum(sizes) / 2**20:.1f} MiB"


def _verdict(kept: bool) -> str:  # noqa: FBT001 - private
    return "limit" if kept else "MISSED, limit"


if __name__ == "__main__":
    sys.exit(printing(lambda: main(sys.argv[1:])))
