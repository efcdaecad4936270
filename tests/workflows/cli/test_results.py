"""The report of a run that is stored already, or that was killed before it was."""

import errno
import io
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from analysis.errors import Problem, Unsupported
from analysis.sql import database
from analysis.store.storage.folder import Folder
from analysis.store.store import Store
from analysis.summary.run import stored
from steps import documents
from tests.analysis import synthetic
from tests.analysis.synthetic import ENTRIES, Recipe
from tests.steps import builders
from workflows.cli.results import open_shell, print_answer, report_again

pytestmark = pytest.mark.usefixtures("without_charts")

SMALL = Recipe(rounds=2, cells=synthetic.QUICK[1:2], entries=ENTRIES[:2])


def nights(root: Path) -> None:
    synthetic.stored(root, *synthetic.nights(2, {}, SMALL))


def killed(root: Path) -> None:
    """A run whose second half was never measured, and which was never collected."""
    visits = builders.write_run(root / "raw" / "run-1", builders.settings())
    for visit in visits[len(visits) // 2 :]:
        folder = root / "raw" / "run-1" / documents.visit_directory(visit.visit)
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    for path in (root / "raw").rglob("*"):
        os.utime(path, (1_800_000_000, 1_800_000_000))


def test_report_of_an_earlier_run_keeps_the_latest_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nights(tmp_path)
    assert report_again(results=str(tmp_path)) == 0
    latest = (tmp_path / "report.html").read_text()
    assert report_again(run="night-00", results=str(tmp_path)) == 0
    assert (tmp_path / "report.html").read_text() == latest == (tmp_path / "reports/night-01/report.html").read_text()
    assert (tmp_path / "reports/night-00/report.html").read_text() != latest
    printed = capsys.readouterr().out
    assert f"Report: {tmp_path}/reports/night-00/report.html" in printed
    assert f"Markdown: {tmp_path}/reports/night-00/summary.md" in printed
    earlier, last = ((tmp_path / f"reports/{night}/summary.md").read_text() for night in ("night-00", "night-01"))
    assert (tmp_path / "summary.md").read_text() == last != earlier


def test_report_of_a_store_that_can_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nights(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    def refuse(_self: Folder) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Folder, "check_writable", refuse)
    with pytest.raises(Unsupported) as caught:
        report_again(results=str(tmp_path))
    assert str(caught.value) == (
        f"can't write {tmp_path}: its file system is read-only; choose another RESULTS. A report is written into its "
        "store: copy this one to where it can be, and give that as RESULTS. "
        f"`make query QUESTION=latest RESULTS={tmp_path}` reads it here."
    )
    assert sorted(tmp_path.rglob("*")) == before


def check(store: Store) -> None:
    with database.connect(store) as con:
        (run,) = database.query(con, "select finished_at, verdict from runs").to_pylist()
        outcomes = database.query(con, "select distinct outcome from trials order by all")["outcome"].to_pylist()
    assert outcomes == ["measured", "not-run"]
    assert run["verdict"]
    found = stored.find_summary(store, "run-1")
    assert found is not None
    assert found.outcome == "measured-with-failures"


def test_report_command_collects_a_killed_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    killed(tmp_path)
    assert report_again(run="run-1", results=str(tmp_path)) == 0
    store = Store(str(tmp_path))
    check(store)
    with database.connect(store) as con:
        finished = database.query(con, "select finished_at from runs")["finished_at"].to_pylist()
    assert finished == [datetime.fromtimestamp(1_800_000_000, UTC)], "when it ended, not when it was collected"
    assert (tmp_path / "report.html").exists()
    assert "lab-ebpf" in capsys.readouterr().out


@pytest.mark.parametrize("there", [False, True])
def test_query_of_a_store_without_any_run_has_its_answer_and_a_sentence_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, there: bool
) -> None:
    root = tmp_path if there else tmp_path / "mistyped"
    said = f"RESULTS is {root}, where there is no run yet: name the folder or bucket that your runs are in, or measure"
    assert print_answer(question="trend", results=str(root), format="json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["rows"] == []
    assert printed.err.count(said) == 1
    assert print_answer(sql="select 1 as a", results=str(root)) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count(said)) == ("a\n1\n", 1)
    assert root.exists() == there, "a query makes no folder"


def test_shell_over_a_store_without_any_run_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert open_shell(results=str(tmp_path)) == 0
    printed = capsys.readouterr()
    assert (printed.out, "where there is no run yet" in printed.err) == ("", True)


@pytest.mark.parametrize("written", [nights, killed])
def test_query_of_a_store_with_any_run_does_not_say_that_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], written: Callable[[Path], None]
) -> None:
    written(tmp_path)
    assert print_answer(sql="select 1 as a", results=str(tmp_path)) == 0
    assert "no run yet" not in capsys.readouterr().err


def test_run_without_documents_is_a_problem(tmp_path: Path) -> None:
    nights(tmp_path)
    with pytest.raises(Problem, match="there is no run 'night-7' in this store; the latest are night-01, night-00"):
        report_again(run="night-7", results=str(tmp_path))
    (tmp_path / "raw" / "run-2").mkdir(parents=True)
    (tmp_path / "raw" / "run-2" / documents.SNAPSHOT).write_text("{}")
    with pytest.raises(Problem, match="is missing, which has the run's settings"):
        report_again(run="run-2", results=str(tmp_path))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    s3 = fs.S3FileSystem(
        scheme="http", endpoint_override=f"{host}:{port}", region="us-east-1", allow_bucket_creation=True
    )
    s3.create_dir("killed")
    yield "s3://killed/some/prefix"
    moto.stop()


@pytest.mark.s3
def test_report_command_collects_a_killed_run_from_s3(bucket: str, tmp_path: Path) -> None:
    killed(tmp_path)
    store = Store(bucket)
    for path in sorted(p for p in (tmp_path / "raw").rglob("*") if p.is_file()):
        store.files.put(str(path.relative_to(tmp_path)), path.read_bytes())
    assert report_again(run="run-1", results=bucket) == 0
    check(store)
