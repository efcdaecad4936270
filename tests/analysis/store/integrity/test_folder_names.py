"""What the folders above a store are called means nothing: no name is a partition, and no letter a pattern."""

from pathlib import Path
from typing import Any

import pytest

from analysis.sql import database
from analysis.store import compaction
from analysis.store.store import Store
from analysis.summary.run import stored as verdict
from tests.analysis import synthetic
from tests.analysis.store.stored import rows, shown, write_older
from tests.analysis.synthetic import ENTRIES, Recipe, summarise

NAMES = [
    "plain",
    "topology=node-to-node/res",
    "run_id=ci-17",
    "visit=7/trial=x",
    "a?b",
    "a*b",
    "**",
    "[ab]",
    "[!a]",
    "x[",
    "{a,b}",
    "back\\slash",
    "back\\*",
    "it's",
    'say "so"',
    " ",
    "100%",
    "%41",
    "a#b",
    "a?x=1&y=2",
    "日本",
    "~",
    "new\nline",
    "s3:",
    "__HIVE_DEFAULT_PARTITION__=x",
]


def neighbours(root: Path, name: str) -> None:
    """Folders that the name would also mean if it were a pattern, each with runs of its own."""
    first = name.partition("/")[0]
    for other in {"axb", "aab", "a", "b", "xx", "plain2", first.replace("*", "y"), first.replace("?", "y")} - {first}:
        if "/" not in other and other.strip("."):
            (root / other).mkdir(exist_ok=True)
            Store(str(root / other)).write("run-other", rows("run-other", "other"))


@pytest.mark.parametrize("name", NAMES)
def test_store_in_folder_with_special_characters(name: str, tmp_path: Path) -> None:
    if set("*?[") & set(name):
        neighbours(tmp_path, name)
    store = Store(f"{tmp_path}/{name}")
    store.write("run-a", rows("run-a", "x", trials=4))
    store.write("run-b", rows("run-b", "y"))
    expected: dict[str, tuple[str, str | None]] = {"run-a": ("x", None), "run-b": ("y", None)}
    assert shown(store) == expected
    with store.files.lock():
        assert compaction.compact(store.files, pack_at=1, keep_loose=0) == 2
    assert shown(store) == expected


@pytest.mark.parametrize("name", ["topology=node-to-node/res", "run_id=ci-17", "outcome=failed", "a?b[c]*"])
def test_verdict_leaves_trial_files_unchanged(name: str, tmp_path: Path) -> None:
    recipe = Recipe(rounds=2, cells=synthetic.QUICK[1:3], entries=ENTRIES[:2])
    store = Store(f"{tmp_path}/{name}")
    store.write(recipe.run_id, synthetic.rows(recipe))
    children = {path: path.read_bytes() for table in ("visits", "trials", "samples") for path in folder(store, table)}
    with database.connect(store) as con:
        stored, trials = told(con)
        summary = summarise(con, recipe.run_id)
    assert "pod-to-pod" in {trial["topology"] for trial in trials}
    verdict.store_summary(store, summary)
    assert {path: path.read_bytes() for t in ("visits", "trials", "samples") for path in folder(store, t)} == children
    with database.connect(store) as con:
        assert told(con) == [stored, trials]
    assert verdict.find_summary(store, recipe.run_id) == summary
    assert len(folder(store, "runs")) == 1


def told(con: database.Connection) -> list[list[dict[str, Any]]]:
    """The runs, but for their verdicts, and the trials."""
    wanted = ("select * exclude (verdict) from runs", "select * from trials order by trial")
    return [database.query(con, sql).to_pylist() for sql in wanted]


def folder(store: Store, table: str) -> list[Path]:
    path = Path(store.files.path(table))
    return sorted(path.iterdir()) if path.exists() else []


def test_verdict_of_packed_run_leaves_packed_files_unchanged(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for run_id in ("run-a", "run-b"):
        store.write(run_id, rows(run_id, "x"))
    with store.files.lock():
        compaction.compact(store.files, pack_at=1, keep_loose=0)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    store.keep_verdict("run-a", "{}")
    assert {path: path.read_bytes() for path in before} == before
    assert shown(store) == {"run-a": ("x", "{}"), "run-b": ("x", None)}
    store.keep_verdict("run-a", '{"again": 1}')
    assert shown(store) == {"run-a": ("x", '{"again": 1}'), "run-b": ("x", None)}
    assert len(folder(store, "runs")) == 2


def test_verdict_of_older_schema_version_keeps_that_version(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    write_older(store, "run-old")
    before = {path: path.read_bytes() for table in ("visits", "trials", "samples") for path in folder(store, table)}
    store.keep_verdict("run-old", "{}")
    assert {path: path.read_bytes() for path in before} == before
    assert shown(store) == {"run-old": ("x", "{}")}
