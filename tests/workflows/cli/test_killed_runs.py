"""A run killed at fifty moments: every visit that ended is in the store, or the next verb names and collects it."""

import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from analysis.sql import database
from analysis.store.store import Store
from workflows.cli import uncollected

NEVER = 100_000
MOMENTS = {"event": 20, "engine": 14, "step": 6, "twice": 10}
"""How many moments of each sort: before an event of the engine's, before its operation on a file of the store, before
one of a step's, which is collect; and Ctrl-C twice at an event."""


def runs(folder: Path, *moments: str) -> None:
    argv = [sys.executable, "-m", "tests.workflows.cli.killed_run", str(folder), *moments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr


def ended_visits(place: Path) -> set[int]:
    return {int(line) for line in (place / "journal").read_text().split()}


def measured_visits(store: Store) -> set[int]:
    with database.connect(store) as con:
        found = database.query(
            con, "select visit from trials group by run_id, visit having bool_and(outcome = 'measured')"
        )
    return set(found["visit"].to_pylist())


@pytest.mark.slow(seconds=40)
def test_run_killed_at_fifty_moments_loses_no_finished_visit(tmp_path: Path) -> None:
    runs(tmp_path, f"event:{NEVER}", f"engine:{NEVER}")
    assert ended_visits(tmp_path / f"event-{NEVER}") == {1, 2}
    totals = {how: NEVER - int((tmp_path / f"{how}-{NEVER}" / "left").read_text()) for how in ("event", "engine")}
    totals |= {"twice": totals["event"], "step": 30}
    chosen = {how: [1 + n * (totals[how] - 1) // (count - 1) for n in range(count)] for how, count in MOMENTS.items()}
    runs(tmp_path, *chain.from_iterable((f"{how}:{point}" for point in points) for how, points in chosen.items()))
    collected = before = 0
    for how, points in chosen.items():
        for point in points:
            place, output = tmp_path / f"{how}-{point}", list[str]()
            store = Store(str(place / "store"))
            ended = ended_visits(place)
            measured = measured_visits(store)
            before += not ended <= measured
            found = uncollected.collect_all(store, output.append)
            collected += len(found)
            assert [run.sentence for run in found] == output, f"{how} {point}: {output}"
            if found:
                measured = measured_visits(store)
            assert ended <= measured, f"{how} {point}: visits {ended} ended; {output}"
            assert uncollected.collect_all(store, output.append) == []
    assert sum(MOMENTS.values()) == 50
    assert collected >= before >= 10, "the kills came at moments that matter"
