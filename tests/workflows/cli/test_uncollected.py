"""Runs that were killed: what a verb says of them, which it collects, and which it leaves alone."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.errors import BadInput, Problem, Unsupported
from analysis.sql import database
from analysis.store.store import Store
from analysis.summary.run import stored as verdict
from steps import documents
from tests.steps import builders
from tests.workflows.cli.test_results import SMALL, bucket, killed, nights
from workflows.cli import results, uncollected
from workflows.local.execution import liveness

__all__ = ["SMALL", "bucket"]

pytestmark = pytest.mark.usefixtures("without_charts")

HOLDER = """
import sys
from pathlib import Path
from analysis.store.storage.folder import Folder
from workflows.local.execution import liveness
run = Path(sys.argv[1])
with liveness.hold_run_lock(Folder(run.parents[1]), "/".join(run.parts[-2:])):
    print("held", flush=True)
    sys.stdin.read()
"""


class Holder:
    """Another process that is at work on a run, as the engine is."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def end(self, number: int | None = None) -> None:
        if number is not None:
            self.process.send_signal(number)
        self.process.communicate(timeout=30)


def collected(store: Store) -> tuple[list[str], list[str]]:
    """The ids that were collected, and what was said."""
    output: list[str] = []
    return [run.run_id for run in uncollected.collect_all(store, output.append)], output


def runs(store: Store) -> list[str]:
    with database.connect(store) as con:
        found: list[str] = database.query(con, "select run_id from runs order by all")["run_id"].to_pylist()
    return found


def test_report_command_without_run_collects_killed_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    killed(tmp_path)
    assert results.report_again(results=str(tmp_path)) == 0
    output = capsys.readouterr()
    assert (
        "Run run-1 was killed before its rows were collected; its rows are now made from its raw documents: "
        in output.err
    )
    assert " measured, " in output.err
    assert "lab-ebpf" in output.out
    store = Store(str(tmp_path))
    assert verdict.find_summary(store, "run-1") is not None
    assert (tmp_path / "reports/run-1/report.html").exists()
    assert collected(store) == ([], []), "once is enough"


def test_query_command_collects_killed_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    killed(tmp_path)
    assert results.print_answer(sql="select run_id from runs", results=str(tmp_path)) == 0
    output = capsys.readouterr()
    assert output.out == "run_id\nrun-1\n"
    assert f"`make report RUN=run-1 RESULTS={tmp_path}` writes its report." in output.err
    assert results.report_again(run="run-1", results=str(tmp_path)) == 0
    assert verdict.find_summary(Store(str(tmp_path)), "run-1") is not None


def test_each_killed_run_gets_its_report(tmp_path: Path) -> None:
    nights(tmp_path)
    killed(tmp_path)
    (tmp_path / "raw/run-1").rename(tmp_path / "raw/kept")
    for run in ("run-2", "run-3"):
        text = (tmp_path / "raw/kept" / documents.RUN).read_text().replace('"run-1"', f'"{run}"')
        subprocess.run(["cp", "-r", tmp_path / "raw/kept", tmp_path / "raw" / run], check=True)
        (tmp_path / "raw" / run / documents.RUN).write_text(text)
    assert results.report_again(results=str(tmp_path)) == 0
    assert runs(Store(str(tmp_path))) == ["night-00", "night-01", "run-2", "run-3"]
    assert {path.name for path in (tmp_path / "reports").iterdir()} >= {"run-2", "run-3"}


def test_active_run_is_not_collected(tmp_path: Path) -> None:
    killed(tmp_path)
    store = Store(str(tmp_path))
    holder = Holder(tmp_path / "raw/run-1")
    assert collected(store) == ([], ["Run run-1 is still active; its report is written at its end."])
    with pytest.raises(Problem, match="Run run-1 is still active"):
        results.report_again(run="run-1", results=str(tmp_path))
    assert runs(store) == []
    holder.end(signal.SIGKILL)
    assert (tmp_path / "raw/run-1" / liveness.MARK).exists()
    assert collected(store)[0] == ["run-1"]


def test_ended_run_leaves_no_liveness_mark_and_no_empty_folder(tmp_path: Path) -> None:
    Holder(tmp_path / "raw/empty").end()
    assert list((tmp_path / "raw").iterdir()) == []
    killed(tmp_path)
    Holder(tmp_path / "raw/run-1").end()
    assert not (tmp_path / "raw/run-1" / liveness.MARK).exists()


def test_run_without_visits_is_not_reported(tmp_path: Path) -> None:
    (tmp_path / "raw/run-1").mkdir(parents=True)
    builders.write_run(tmp_path / "whole", builders.settings())
    (tmp_path / "whole" / documents.RUN).rename(tmp_path / "raw/run-1" / documents.RUN)
    assert collected(Store(str(tmp_path))) == ([], [])


def test_damaged_documents_of_one_run_do_not_block_others(tmp_path: Path) -> None:
    killed(tmp_path)
    (tmp_path / "raw/broken/visit-01").mkdir(parents=True)
    (tmp_path / "raw/broken" / documents.RUN).write_text("{")
    found, output = collected(Store(str(tmp_path)))
    assert found == ["run-1"]
    assert any("Run broken was killed" in sentence and "run.json is damaged" in sentence for sentence in output)


def test_read_only_store_is_still_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nights(tmp_path)
    killed(tmp_path)
    (tmp_path / ".lock").unlink()
    (tmp_path / ".lock").mkdir()
    assert results.print_answer(sql="select count(*) as n from runs", results=str(tmp_path)) == 0
    output = capsys.readouterr()
    assert output.out == "n\n2\n"
    assert "Run run-1 was killed before its rows were collected, and they can't be: can't write" in output.err


def test_unreadable_documents_do_not_block_the_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nights(tmp_path)
    (tmp_path / "raw").write_text("")
    assert results.print_answer(sql="select count(*) as n from runs", results=str(tmp_path)) == 0
    output = capsys.readouterr()
    assert output.out == "n\n2\n"
    assert "Whether there are uncollected runs is unknown: " in output.err


def test_unreadable_store_is_one_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Unsupported, match="the name is too long"):
        results.print_answer(results=str(tmp_path / ("x" * 300)))
    assert capsys.readouterr().err == ""


@pytest.mark.s3
def test_s3_killed_run_is_named_and_collected_on_request(bucket: str, tmp_path: Path) -> None:
    killed(tmp_path)
    store = Store(f"{bucket}/of-another-test")  # every server of one process has the same content
    for path in sorted(p for p in (tmp_path / "raw").rglob("*") if p.is_file()):
        store.files.put(str(path.relative_to(tmp_path)), path.read_bytes())
    found, output = collected(store)
    assert found == []
    assert f"`make report RUN=run-1 RESULTS={store.url}` collects it." in output[0]
    assert uncollected.collect(store, "run-1") is not None
    assert runs(store) == ["run-1"]


UIDS = ("1f3a14bc-9bd3-4f0d-8742-29fd2de34e2c", "2f3a14bc-9bd3-4f0d-8742-29fd2de34e2c")


def test_workflow_name_selects_its_only_run(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for folder in (f"night-1-{UIDS[0]}", f"night-2-{UIDS[0]}", f"night-2-{UIDS[1]}"):
        (tmp_path / "raw" / folder).mkdir(parents=True)
    assert uncollected.run_named(store, "night-1") == f"night-1-{UIDS[0]}"
    assert uncollected.run_named(store, f"night-2-{UIDS[1]}") == f"night-2-{UIDS[1]}"
    assert uncollected.run_named(store, "night") == "night"
    with pytest.raises(BadInput, match="2 runs have the name night-2: give the id of one"):
        uncollected.run_named(store, "night-2")
    with pytest.raises(BadInput, match=r"'\.\./trials' can't name a run"):
        uncollected.run_named(store, "../trials")
