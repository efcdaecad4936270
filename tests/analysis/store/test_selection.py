"""A question opens the files of the runs that it is about, and answers as if it had opened all."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from analysis.errors import BadInput
from analysis.sql import database
from analysis.store import compaction
from analysis.store.index import selection
from analysis.store.store import Store
from benchmarks.large_stores.opened_files import watched
from tests.analysis import synthetic

BEGAN = datetime(2026, 3, 1, 22, tzinfo=UTC)
NIGHTS = [
    synthetic.Recipe(run_id=f"{place}-{n}", environment=place, rounds=1, started_at=BEGAN + timedelta(days=n))
    for place in ("lab", "prod")
    for n in range(3)
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two runs of each environment packed, and one of each on its own."""
    found = Store(str(tmp_path_factory.mktemp("nights")))
    for night in sorted(NIGHTS, key=lambda night: night.started_at):
        found.write(night.run_id, synthetic.rows(night))
    with found.files.lock():
        assert compaction.compact(found.files, pack_at=1, keep_loose=2) == 4
    return found


@pytest.fixture(scope="module")
def everything(store: Store) -> Iterator[database.Connection]:
    with closing(database.connect(store)) as con:
        yield con


@contextmanager
def opened_below(store: Store) -> Iterator[set[str]]:
    names: set[str] = set()
    root = Path(store.files.root)
    with watched([folder for folder in root.iterdir() if folder.is_dir()]) as paths:
        yield names
    names |= {path.relative_to(root).as_posix() for path in paths if path.name.endswith(".parquet")}


def files_of(store: Store, *run_ids: str) -> set[str]:
    entries = store.inventory().counting
    return {name for entry in entries if entry.run_id in run_ids for name in entry.children}


@pytest.mark.parametrize("question", [question.name for question in database.questions()])
@pytest.mark.parametrize("parameters", [{}, {"environment": "lab"}, {"run_id": "prod-1"}])
def test_answer_of_the_files_it_needs_is_that_of_all(
    question: str, parameters: dict[str, Any], store: Store, everything: database.Connection
) -> None:
    known = next(each.parameters for each in database.questions() if each.name == question)
    if not parameters.keys() <= set(known):
        return
    whole = database.answer_question(everything, question, **parameters)
    with closing(database.connect_to_ask(store, question, **parameters)) as con:
        assert comparable(database.answer_question(con, question, **parameters)) == comparable(whole)


def comparable(answer: pa.Table) -> list[str]:
    """Sums in another order differ in the last digit."""
    return sorted(
        str({k: f"{v:.9g}" if isinstance(v, float) else v for k, v in row.items()}) for row in answer.to_pylist()
    )


def test_question_opens_no_file_that_it_does_not_need(store: Store) -> None:
    rows = {f"runs/{file.name}" for file in store.files.list("runs")}
    lab = {name for name in files_of(store, "lab-0", "lab-1", "lab-2") if not name.startswith("samples/")}
    assert lab.isdisjoint(files_of(store, "prod-0", "prod-1", "prod-2"))
    with opened_below(store) as opened, closing(database.connect_to_ask(store, "trend", environment="lab")) as con:
        assert database.answer_question(con, "trend", environment="lab").num_rows
    assert opened == rows | lab
    with opened_below(store) as opened, closing(database.connect_to_ask(store, "runs")) as con:
        database.answer_question(con, "runs")
    assert not any(name.startswith("samples/") for name in opened)


def test_latest_run_that_is_damaged_makes_room_for_the_one_before(store: Store, tmp_path: Path) -> None:
    copy = Store(str(tmp_path / "copy"))
    shutil.copytree(store.files.root, copy.files.root)
    (last,) = Path(copy.files.root, "trials").glob("lab-2.*")
    last.write_bytes(b"x")
    with closing(database.connect(copy, asking="", choice=selection.latest_runs)) as con:
        found = database.query(con, "select distinct run_id from trials")["run_id"].to_pylist()
        assert [one.run_id for one in database.left_out(con)] == ["lab-2"]
    assert {"lab-1", "prod-2"} <= set(found)


def test_unknown_question_opens_nothing_and_is_named(store: Store) -> None:
    with closing(database.connect_to_ask(store, "trnd")) as con, pytest.raises(BadInput, match="did you mean trend"):
        database.answer_question(con, "trnd")
