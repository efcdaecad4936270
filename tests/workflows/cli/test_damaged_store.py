"""The verbs over a store in which something is damaged: the run is named, and all others are shown."""

import io
import os
import shutil
from pathlib import Path

import pytest

from analysis.errors import BadInput, Unsupported
from analysis.store.store import Store
from steps.cluster.lab import sandbox
from tests.analysis import copies, synthetic
from tests.analysis.store.integrity.damage import cut_short, file_of, gone, one_byte_changed
from tests.analysis.synthetic import ENTRIES, Recipe
from tests.steps import builders
from workflows.cli import app, results
from workflows.cli.run import run
from workflows.cli.tables import summary_table
from workflows.flags.run import RunFlags

pytestmark = pytest.mark.usefixtures("without_charts")

SMALL = Recipe(rounds=2, cells=synthetic.QUICK[1:2], entries=ENTRIES[:2])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two nights, of which the first has a damaged file."""
    found = synthetic.stored(tmp_path, *synthetic.nights(2, {}, SMALL))
    cut_short(file_of(found, "trials", "night-00"))
    return found


NAMED = "Run night-00 is left out: "


def test_query_command_reports_excluded_runs(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    for sql, question in (("select run_id from trials", ""), ("", "trend"), ("", "")):
        assert results.print_answer(sql=sql, question=question, results=store.url) == 0
        output = capsys.readouterr()
        assert output.err.startswith(NAMED)
        assert "night-00" not in output.out
        assert not sql + question or "night-01" in output.out


def test_report_command_reports_excluded_runs(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert results.report_again(results=store.url) == 0
    output = capsys.readouterr()
    assert output.err.startswith(NAMED)
    html = (Path(store.files.root) / "reports/night-01/report.html").read_text()
    assert "Left out of the store" in html
    assert "Run night-00 is left out" in html
    with pytest.raises(Unsupported, match=NAMED):
        results.report_again(run="night-00", results=store.url)


def test_shell_reports_excluded_runs(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("select run_id from runs;\n"))
    assert app.main(["shell", f"--results={store.url}"]) == 0
    output = capsys.readouterr()
    assert output.err.startswith(NAMED)
    assert "night-01" in output.out


def test_run_summary_reports_excluded_runs(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert summary_table.print_result(store.url, "night-00", "text") == 1
    output = capsys.readouterr().out
    assert output.startswith(NAMED)
    assert "was ended before" not in output


def test_store_without_readable_runs_is_a_problem(store: Store) -> None:
    cut_short(file_of(store, "runs", "night-01"))
    with pytest.raises(Unsupported, match=NAMED):
        results.report_again(results=store.url)


def test_run_reports_excluded_runs_before_measuring(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    def start(command: list[str], *_: object, **__: object) -> sandbox.SandboxResult:
        started.append(command)
        return sandbox.SandboxResult(0)

    monkeypatch.setattr(sandbox, "start_in_sandbox", start)
    assert run(RunFlags(results=store.url)) == 0
    assert capsys.readouterr().err.startswith(NAMED)
    assert len(started) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_run_refuses_an_unreadable_store(ordinary_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "start_in_sandbox", lambda *_, **__: pytest.fail("it began to measure"))
    Path(ordinary_store.files.path("trials")).chmod(0o000)
    os.seteuid(65534)
    try:
        with pytest.raises(Unsupported, match=r"can't read .*/trials/.*: permission is refused") as caught:
            run(RunFlags(results=ordinary_store.url))
    finally:
        os.seteuid(0)
    assert "delete" not in str(caught.value)


@pytest.fixture
def ordinary_store(public_path: Path) -> Store:
    """A store in another user's hands, in a folder that everybody may enter."""
    folder = public_path / "store"
    store = synthetic.stored(folder, *synthetic.nights(2, {}, SMALL))
    cut_short(file_of(store, "trials", "night-00"))
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 65534, 65534)
    return store


@pytest.mark.parametrize("table", ["runs", "visits", "trials", "samples"])
def test_damaged_run_is_collected_again_by_name(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = file_of(copies.stored(tmp_path, "a run collected by name", collect), table, "run-1")
    one_byte_changed(found)
    assert results.print_answer(sql="select count(*) from samples", results=str(tmp_path)) == 0
    assert (
        f"{found} is damaged: its content does not match the digest in its name. Put the file back from a copy, or "
        f"type `make report RUN=run-1 RESULTS={tmp_path}`, which collects the run again"
    ) in capsys.readouterr().err
    assert results.report_again(run="run-1", results=str(tmp_path)) == 0
    output = capsys.readouterr().err
    assert output.startswith(
        f"Run run-1 was left out, since {found} is damaged: its content does not match the digest in its name; "
    )
    assert output.count("\n") == 1
    assert results.print_answer(sql="select count(*) from samples", results=str(tmp_path)) == 0
    assert capsys.readouterr().err == ""


def collect(store: Store) -> None:
    builders.write_run(Path(store.files.root) / "raw" / "run-1", builders.settings())
    assert results.report_again(run="run-1", results=store.url) == 0


def test_run_with_lost_row_is_collected_by_the_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone(file_of(copies.stored(tmp_path, "a run collected by name", collect), "runs", "run-1"))
    capsys.readouterr()
    assert results.print_answer(sql="select run_id from runs", results=str(tmp_path)) == 0
    output = capsys.readouterr()
    assert output.out == "run_id\nrun-1\n"
    assert output.err.startswith("Run run-1 has no row in runs/ (it was killed while it was stored, or its file")
    assert "left out" not in output.err
    shutil.rmtree(tmp_path / "raw")
    gone(file_of(Store(str(tmp_path)), "runs", "run-1"))
    with pytest.raises(Unsupported, match=r"Run run-1 is left out: .* Put the file back from a copy"):
        results.report_again(run="run-1", results=str(tmp_path))


@pytest.mark.parametrize("name", ["../trials", "/etc", "a/b", ".hidden", "x" * 300, "a b", "packed-1", "ä"])
def test_run_name_is_validated_before_use_in_a_path(name: str, store: Store) -> None:
    with pytest.raises(BadInput, match=r"can't name a run: it takes letters, digits, .*; the latest are night-01"):
        results.report_again(run=name, results=store.url)
