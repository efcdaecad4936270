"""A store in which somebody put runs to do harm: every verb still works, and nothing outside the store is touched."""

import contextlib
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from analysis.console.terminal import Terminal
from analysis.errors import Problem
from analysis.sql import database, shell
from analysis.store import compaction
from analysis.store.files.parquet import content_digest, to_parquet
from analysis.store.index.left_out import SHOWN as SENTENCES
from analysis.store.index.names import CHILDREN, file_name
from analysis.store.index.run_entries import FILES
from analysis.store.schema import TABLES
from analysis.store.store import Store
from analysis.summary.run import stored
from tests.analysis.store.integrity.damage import filled
from tests.analysis.store.stored import rows, shown
from tests.security.files.hostile_store import LEFT_OUT, SHOWN, Change, Tables, column, columns, plant, with_column
from workflows.cli import results
from workflows.cli.tables.summary_table import print_result

TRIALS = [column.name for column in TABLES["trials"]]
GOOD = {"run-a": ("x", None), "run-b": ("x", None), "run-c": ("x", None)}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of three good runs, and one for each attack; no test changes its runs."""
    store = with_odd_runs(tmp_path_factory.mktemp("hostile"))
    for run_id, (change, _) in LEFT_OUT.items():
        plant(store, run_id, change)
    return store


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of three good runs and the odd ones."""
    return with_odd_runs(tmp_path_factory.mktemp("odd"))


def with_odd_runs(folder: Path) -> Store:
    """A new store of three good runs and the odd ones, each of which is the last of an environment of its own."""
    store = filled(folder)
    for run_id, change in SHOWN.items():
        plant(store, run_id, both(column("runs", "environment", run_id), change))
    return store


def both(first: Change, second: Change) -> Change:
    def change(tables: Tables) -> None:
        first(tables)
        second(tables)

    return change


@pytest.fixture(scope="module")
def con(hostile: Store) -> Iterator[database.Connection]:
    with contextlib.closing(database.connect(hostile)) as con:
        yield con


def test_hostile_runs_are_left_out_by_name_and_reason(con: database.Connection) -> None:
    found = {one.run_id: one.reason for one in database.left_out(con)}
    assert sorted(map(str, found)) == sorted(LEFT_OUT)
    assert {run_id: reason for run_id, (_, reason) in LEFT_OUT.items() if reason not in found[run_id]} == {}
    assert all(len(reason) < 400 for reason in found.values())


def test_good_runs_of_a_hostile_store_are_shown(con: database.Connection) -> None:
    found = database.query(con, "select run_id from runs")["run_id"].to_pylist()
    assert sorted(found) == sorted([*GOOD, *SHOWN])
    for table in CHILDREN:
        of_good = f"select count(*) as n from {table} where run_id in ('run-a', 'run-b', 'run-c')"
        assert database.query(con, of_good)["n"].to_pylist() == [{"visits": 3, "trials": 9, "samples": 27}[table]]


@pytest.mark.parametrize("question", [question.name for question in database.questions()])
def test_every_question_has_an_answer(question: str, con: database.Connection) -> None:
    database.answer_question(con, question).to_pylist()  # about the odd runs too, the last of their environments
    if question not in {"runs", "latest", "trend"}:
        database.answer_question(con, question, run_id="run-a").to_pylist()


def test_list_of_a_trial_has_no_null_in_it(con: database.Connection) -> None:
    """One would end every report whose history the run is in."""
    found = database.query(con, "select distinct run_id, flags, nodes, programming_s from trials").to_pylist()
    lists = [(row["flags"] or []) + (row["nodes"] or []) + (row["programming_s"] or []) for row in found]
    assert {row["run_id"] for row in found} >= {"flags-of-null", "nodes-of-null", "times-of-null"}
    assert not any(None in each for each in lists)
    assert any(each == [0.5] for each in lists)


def test_odd_runs_are_in_the_answers(con: database.Connection) -> None:
    answer = database.answer_question(con, "throughput")
    assert {*SHOWN} <= {*answer["run_id"].to_pylist()}


def test_hostile_runs_do_not_prevent_writing_or_compaction(hostile: Store, tmp_path: Path) -> None:
    store = Store(str(shutil.copytree(hostile.files.root, tmp_path / "results", symlinks=True)))
    private = tmp_path / "outside/private.parquet"
    private.parent.mkdir()
    private.write_bytes(b"private")
    left = {path: path.read_bytes() for path in hostile_files(store)}
    store.write("run-z", rows("run-z", "new"))
    store.keep_verdict("run-a", "{}")
    with store.files.lock():
        assert compaction.compact(store.files, pack_at=1, keep_loose=0) >= len(GOOD)
    for run_id in ("run-a", "run-z"):  # one that is packed, and one that is not
        store.write(run_id, rows(run_id, "again"))
    with contextlib.closing(database.connect(store)) as con:
        written = database.query(con, "select run_id from trials where error = 'again'")["run_id"].to_pylist()
    assert set(written) == {"run-a", "run-z"}
    assert {path: path.read_bytes() for path in left} == left, "what is left out is never deleted"
    assert private.read_bytes() == b"private"


def hostile_files(store: Store) -> list[Path]:
    names = tuple(f"{run_id}." for run_id in LEFT_OUT)
    return [path for path in Path(store.files.root).rglob("*.parquet") if path.name.startswith(names)]


@pytest.mark.parametrize("table", ["runs", "trials", "visits", "samples", "left_out", "evidence"])
def test_query_prints_a_hostile_store_without_harm(
    table: str, hostile: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert results.print_answer(sql=f"select * from {table}", results=hostile.url) == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert "\x07" not in printed.out + printed.err
    unread = 0 if table in {"samples", "left_out"} else 1  # the file of samples, which no other question opens
    assert f"{len(LEFT_OUT) - SENTENCES - unread} more are left out" in printed.err


@pytest.mark.usefixtures("without_charts")
def test_report_of_a_good_run_is_written_among_hostile_ones(hostile: Store) -> None:
    assert results.report_again(run="run-a", results=hostile.url) == 0
    assert "run-a" in (Path(hostile.files.root) / "reports/run-a/report.html").read_text()


@pytest.mark.parametrize("run_id", ["time-of-trials-endless", "figures-of-no-number"])
def test_report_of_odd_trials_is_written_or_a_sentence(run_id: str, odd: Store) -> None:
    with contextlib.suppress(Problem):
        assert results.report_again(run=run_id, results=odd.url) == 0


UNREADABLE = {
    "cut": '{"run_id": "run-a", "headli',
    "of a newer program": '{"run_id": "run-a", "outcome": "measured-in-part"}',
    "comparisons are a number": '{"comparisons": 5}',
    "a verdict is a list": '{"comparisons": [{"verdict": []}], "history": 3}',
    "no object": "[]",
    "deep": "[" * 5000,
}


@pytest.mark.usefixtures("without_charts")
@pytest.mark.parametrize("verdict", UNREADABLE.values(), ids=UNREADABLE)
def test_verdict_that_cant_be_read_is_replaced_by_the_report(
    verdict: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = filled(tmp_path)
    store.keep_verdict("run-a", verdict)
    assert print_result(store.url, "run-a", "text") == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "Run run-a: the stored verdict can't be read: " in printed
    assert f"type `make report RUN=run-a RESULTS={store.url}`" in printed
    assert stored.find_summary(store, "run-a") is None, "so a notification is posted all the same"
    assert results.report_again(run="run-a", results=store.url) == 0
    found = stored.find_summary(store, "run-a")
    assert found is not None
    assert found.headline in " ".join(capsys.readouterr().out.split())
    assert print_result(store.url, "run-a", "text") == 0


def garbled(store: Store, run_id: str) -> None:
    """A run whose trials have their digest, length and footer, but pages that can't be decoded."""
    (path,) = Path(store.files.path("trials")).glob(f"{run_id}.*")
    content = bytearray(path.read_bytes())
    stored = pq.read_metadata(path).row_group(0).column(TRIALS.index("received_bps"))
    end = stored.dictionary_page_offset + stored.total_compressed_size
    content[end - 12 : end - 2] = bytes(10)
    path.unlink()
    name = file_name("trials", run_id, content_digest(bytes(content)))
    store.files.put(name, bytes(content))
    (row,) = Path(store.files.path("runs")).glob(f"{run_id}.*")
    table = pq.ParquetFile(row).read()
    files = [name if file.startswith("trials/") else file for file in table[FILES].to_pylist()[0]]
    row.unlink()
    written = to_parquet([with_column(table, FILES, files)])
    store.files.put(file_name("runs", run_id, content_digest(written)), written)


@pytest.mark.usefixtures("without_charts")
def test_file_that_cant_be_decoded_excludes_its_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = filled(tmp_path)
    garbled(store, "run-b")
    assert (
        results.print_answer(
            sql="select run_id, max(received_bps) from trials group by all order by 1", results=store.url
        )
        == 0
    )
    printed = capsys.readouterr()
    assert [line.split("\t")[0] for line in printed.out.splitlines()] == ["run_id", "run-a", "run-c"]
    assert "Run run-b is left out: " in printed.err
    assert results.print_answer(question="throughput", results=store.url) == 0
    out = io.StringIO()
    typed = iter(["select max(received_bps) as most from trials;", ".quit"])
    shell.run_shell(store, Terminal(file=out), lambda _: next(typed))
    assert out.getvalue() == "most\n1000000000.0\n"
    assert results.report_again(run="run-a", results=store.url) == 0
    assert "Run run-b is left out: " in capsys.readouterr().err


def test_sound_run_is_analysed_beside_a_file_that_cant_be_decoded(tmp_path: Path) -> None:
    store = filled(tmp_path)
    garbled(store, "run-b")
    with database.connect(store, asking="") as con:
        found = database.query(con, "select max(received_bps) as most from trials where run_id = 'run-a'")
        assert found["most"].to_pylist() == [1e9]
        assert database.query(con, "select count(*) as n from visits")["n"].to_pylist() == [3]


@pytest.mark.parametrize("uid", ["uid-2", "UID-1", "uid-1 ", "", None])
@pytest.mark.parametrize("parameters", ["{}", "{"])
def test_run_of_another_workflow_is_kept(uid: str | None, parameters: str, tmp_path: Path) -> None:
    """Also one that is left out, since somebody changed its row: its documents may be all that is left."""
    store = Store(str(tmp_path))
    first = columns("runs", workflow_uid="uid-1", parameters=parameters)
    plant(store, "run-x", first)
    before = contents(tmp_path)
    new = rows("run-x", "new")
    new["runs"][0]["workflow_uid"] = uid
    with pytest.raises(Problem, match="has a run run-x that another workflow measured"):
        store.write("run-x", new)
    assert {name: content for name, content in contents(tmp_path).items() if name != ".lock"} == before


LINKS = ["runs", "trials", "visits", "samples", "reports", ".lock", "raw"]


@pytest.mark.parametrize("name", LINKS)
def test_link_in_the_store_is_not_followed(name: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    filled(outside)
    for folder in ("reports", "raw/run-x/visit-01"):
        (outside / folder).mkdir(parents=True)
    (outside / "raw/run-x/run.json").write_text("{}")
    before = contents(outside)
    store = Store(str(tmp_path / "results"))
    if name not in {"runs", ".lock"}:
        store.write("run-mine", rows("run-mine", "x"))
    path = Path(store.files.root) / name
    path.parent.mkdir(exist_ok=True)
    if path.is_dir():
        path.rename(path.with_name("moved"))
    path.symlink_to(outside / name)
    for act in (
        lambda: store.write("run-a", rows("run-a", "evil")),
        lambda: store.keep_verdict("run-a", "{}"),
        lambda: store.write_report("run-a", {"report.html": "<p>"}, latest=False),
        lambda: compaction.compact(store.files, pack_at=1, keep_loose=0),
        lambda: results.print_answer(sql="select * from runs", results=store.url),
        lambda: results.report_again(run="run-x", results=store.url),
    ):
        with contextlib.suppress(Problem):
            act()
    assert contents(outside) == before
    with contextlib.suppress(Problem):
        assert set(shown(store)) <= {"run-mine", "run-a"}


@pytest.mark.parametrize("table", ["runs", *CHILDREN])
def test_link_instead_of_a_file_excludes_its_run(table: str, tmp_path: Path) -> None:
    store = filled(tmp_path / "results")
    (path,) = (tmp_path / "results" / table).glob("run-b.*")
    path.rename(tmp_path / path.name)
    path.symlink_to(tmp_path / path.name)
    with contextlib.closing(database.connect(store)) as con:
        (one,) = database.left_out(con)
    assert (one.run_id, one.reason) == ("run-b", "can't be read: it is a symbolic link, which is not followed")
    assert set(shown(store)) == {"run-a", "run-c"}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_spill_folder_is_private_and_not_guessable() -> None:
    with contextlib.closing(database.connect(Store("/nonexistent/results"))) as con:
        (folder,) = database.query(con, "select current_setting('temp_directory') as f")["f"].to_pylist()
    parent = Path(folder).parent
    assert parent.stat().st_mode & 0o777 == 0o700
    assert parent.stat().st_uid == os.geteuid()
    assert str(os.getpid()) not in parent.name
