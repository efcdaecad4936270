"""What the benchmarks share: a real run of the command line, in a store of its own, and its wall time."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from analysis.sql import database
from analysis.sql.database import Connection
from analysis.store.store import Store


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """One run: its wall seconds from the command's start to its end, and its rows."""

    wall_s: float
    run_id: str
    con: Connection


@contextmanager
def measured_run(*flags: str) -> Iterator[MeasuredRun]:
    """Run `python -m workflows run` with these flags. A run with failures counts; one that was refused ends all."""
    with tempfile.TemporaryDirectory(prefix="dataplane-benchmark-") as results:
        began = time.monotonic()
        code = subprocess.run(
            [sys.executable, "-m", "workflows", "run", *flags, f"--results={results}"], check=False
        ).returncode
        wall_s = time.monotonic() - began
        if code not in {0, 1}:
            sys.exit(f"The run was refused with exit code {code}; there is nothing to measure.")
        with database.connect(Store(results)) as con:
            (run_id,) = database.query(con, "select max(run_id) as run_id from runs")["run_id"].to_pylist()
            yield MeasuredRun(wall_s, str(run_id), con)
