"""A writer killed before each of its changes of the store leaves every run whole: as it was, or as it was to be."""

import subprocess
import sys
from pathlib import Path

import pytest

from analysis.store.integrity.audit import EVERY
from analysis.store.store import Store
from tests.analysis.store.stored import rows, shown

OLD = ("old", None)
EVERY_FOURTH = 4
"""Of so many stores that were written again the rows are read, which takes ten times as long as their digests."""


def prepare(folder: Path, scenario: str) -> Store:
    store = Store(str(folder))
    folder.mkdir()
    if scenario == "first":
        return store
    for run_id in ("run-a", "run-b", "run-c"):
        store.write(run_id, rows(run_id, "old"))
    return store


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "before", "after"),
    [
        ("first", {}, {"run-a": ("new", None)}),
        ("again", dict.fromkeys(("run-a", "run-b", "run-c"), OLD), {"run-a": ("new", None)}),
        ("verdict", dict.fromkeys(("run-a", "run-b", "run-c"), OLD), {"run-a": ("old", "{}")}),
        ("pack", dict.fromkeys(("run-a", "run-b", "run-c"), OLD), {"run-d": ("new", None)}),
    ],
)
def test_writer_killed_at_every_write_leaves_whole_runs(
    scenario: str,
    before: dict[str, tuple[str, str | None]],
    after: dict[str, tuple[str, str | None]],
    tmp_path: Path,
) -> None:
    prepare(tmp_path / "prepared", scenario)
    copies = tmp_path / "copies"
    copies.mkdir()
    subprocess.run(
        [sys.executable, "-m", "tests.analysis.store.killed_writer", scenario, tmp_path / "prepared", copies],
        check=True,
        timeout=120,
    )
    outcomes = []
    for number in sorted(int(copy.name) for copy in copies.iterdir()):
        store = Store(str(copies / str(number)))
        found = shown(store)
        assert found in (before, before | after), f"killed at point {number}"
        outcomes.append(found == before)
        for run_id, (writing, verdict) in after.items():
            store.write(
                run_id, rows(run_id, writing, trials=5 if scenario in {"first", "again"} else 3, verdict=verdict)
            )
        stock = store.inventory(EVERY)
        assert {entry.run_id for entry in stock.counting} == (before | after).keys(), (
            f"killed at {number}, then written"
        )
        assert stock.left_out == (), f"killed at point {number}, then written again"
        if number % EVERY_FOURTH == 0:
            assert shown(store) == before | after, f"killed at point {number}, then written again"
    # Some kills came before the run's row was put, and none that came after it took the run back.
    assert outcomes[0]
    assert not outcomes[-1]
    assert outcomes == sorted(outcomes, reverse=True)
    assert len(outcomes) >= 6
