"""What failed, is missing or was never proven becomes failed and not-run rows with a reason."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import Problem
from steps import documents
from steps.collect import run_rows
from steps.collect.late_evidence import keep_late, read_late
from steps.domain import Finding
from steps.settings import schedule
from steps.strict_model import StrictModel
from steps.tasks.collect import store_rows
from tests.steps.builders import AT, NODES, attempt, cut_short, damaged, sign, write_run, write_trial
from tests.steps.collect.collected import CHOSEN, HARMS, first, of_visit, replaced, tables, trial_row, visits


@pytest.mark.parametrize(
    ("document", "content", "error"),
    [
        (
            documents.CONFIGURE,
            documents.Configure(visit=1, started_at=AT, error="nft: refused"),
            "configure failed: nft: refused",
        ),
        (
            documents.SETTLE,
            documents.Evidence(visit=1, nodes=NODES, error="not within 10 s"),
            "settle failed: not within 10 s",
        ),
        (documents.PREPARE, documents.Prepare(visit=1, error="port 5201 in use"), "prepare failed: port 5201 in use"),
    ],
)
def test_error_of_an_earlier_step_is_the_trials_error(
    run: Path, document: str, content: StrictModel, error: str
) -> None:
    folder, _ = first(run)
    for path in folder.glob("*/*.gz"):
        path.unlink()
    (folder / documents.CLEAR).unlink()
    documents.write_document(folder / document, content)
    found = tables(run)
    assert {(t["outcome"], t["error"].partition(": ")[2]) for t in of_visit(found["trials"], 1)} == {("failed", error)}
    assert found["visits"][0]["error"].endswith(error)
    assert {t["outcome"] for t in of_visit(found["trials"], 2)} == {"measured"}, "the other visit goes on"


@pytest.mark.parametrize(
    ("document", "moment", "words"),
    [(documents.SETTLE, "before", "before the first trial"), (documents.CLEAR, "after", "after the last trial")],
)
@pytest.mark.parametrize("state", ["disproven", "unproven", "missing", "cut", "error"])
def test_insufficient_evidence_voids_the_trials(run: Path, document: str, moment: str, words: str, state: str) -> None:
    folder, _ = first(run)
    path = folder / document
    if state == "missing":
        path.unlink()
    elif state == "cut":
        cut_short(path)
    elif state == "error":
        documents.write_document(path, documents.Evidence(visit=1, nodes=NODES, error="nsenter: gone"))
    else:
        names = ("lab-nftables",) if state == "disproven" else ()
        seen = tuple(sign(node, *names, moment=moment, telling=bool(names)) for node in NODES)
        documents.write_document(path, documents.Evidence(visit=1, nodes=NODES, signs=seen))
    found = tables(run)
    row = found["visits"][0]
    assert row["proof"] == ("disproven" if state == "disproven" else "unproven")
    assert row["dataplane_observed"] is None
    assert words in row["proof_reason"]
    voided = of_visit(found["trials"], 1)
    assert {t["outcome"] for t in voided} == {"failed"}
    assert all("received_bps" not in t and "connect_p50_s" not in t for t in voided)
    assert all(words in t["error"] for t in voided)
    assert not [s for s in found["samples"] if s["trial"] in {t["trial"] for t in voided}]


def test_wrong_dataplane_at_both_moments_is_observed(run: Path) -> None:
    folder, _ = first(run)
    for document, moment in ((documents.SETTLE, "before"), (documents.CLEAR, "after")):
        seen = tuple(sign(node, "lab-nftables", moment=moment) for node in NODES)
        documents.write_document(folder / document, documents.Evidence(visit=1, nodes=NODES, signs=seen))
    row = tables(run)["visits"][0]
    assert (row["proof"], row["dataplane_observed"]) == ("disproven", "lab-nftables")


def test_signs_of_another_moment_are_ignored(run: Path) -> None:
    folder, _ = first(run)
    (folder / documents.CLEAR).write_bytes((folder / documents.SETTLE).read_bytes())
    assert tables(run)["visits"][0]["proof"] == "unproven"


def test_trials_never_started_are_not_run(run: Path) -> None:
    folder, path = first(run)
    path.unlink()
    row = trial_row(run)
    assert (row["outcome"], row["error"]) == ("failed", "its measuring step ended before it, or never started"), (
        "the visit went on"
    )
    (folder / documents.CLEAR).unlink()
    row = trial_row(run)
    assert (row["outcome"], row["error"]) == ("not-run", "the run ended before it")
    for file in folder.rglob("*"):
        if file.is_file():
            file.unlink()
    found = tables(run)
    assert {t["outcome"] for t in of_visit(found["trials"], 1)} == {"not-run"}
    assert found["visits"][0]["error"] == "the run ended before this visit"


def test_run_without_preflight_is_planned_again_as_not_run(run: Path) -> None:
    planned = len(tables(run)["trials"])
    (run / documents.PREFLIGHT).unlink()
    for folder in run.glob("visit-*"):
        folder.rename(run / f"gone-{folder.name}")
    found = tables(run)
    assert len(found["trials"]) == planned
    assert {(t["outcome"], t["error"]) for t in found["trials"]} == {
        ("not-run", "the run ended before its preflight did")
    }
    assert found["runs"][0]["provenance"] is None


def test_skipped_dataplane_has_no_rows_but_a_reason(run: Path) -> None:
    finding = Finding(severity="skip", subject="lab-ebpf", reason="needs root", remedy="run it as root")
    kept = schedule.make_schedule(schedule.without_dataplanes(CHOSEN, {"lab-ebpf"}))
    documents.write_document(
        run / documents.PREFLIGHT, documents.Preflight(findings=(finding,), provenance={}, visits=kept)
    )
    found = tables(run)
    assert {v["dataplane_requested"] for v in found["visits"]} == {"lab-iptables"}
    assert found["runs"][0]["parameters"]["skipped"] == [finding.model_dump()]


def test_failed_trial_has_error_and_null_values(run: Path) -> None:
    _, path = first(run)
    replaced(path, attempts=(attempt("refused-3.12.json", exit_code=1),))
    row = trial_row(run)
    assert (row["outcome"], row["error"]) == ("failed", "iperf3: unable to connect to server: Connection refused")
    assert row["started_at"] == AT
    assert "received_bps" not in row


@pytest.mark.parametrize("harm", [cut_short, damaged])
def test_damaged_trial_document_is_a_failed_trial(run: Path, harm: Callable[[Path], None]) -> None:
    _, path = first(run)
    harm(path)
    row = trial_row(run)
    assert row["outcome"] == "failed"
    assert path.name in row["error"]
    assert "damaged" in row["error"]


@pytest.mark.parametrize("harm", HARMS)
def test_missing_run_json_is_a_problem(run: Path, harm: Callable[[Path], None]) -> None:
    harm(run / documents.RUN)
    with pytest.raises(Problem, match=r"run\.json"):
        run_rows.run_rows(run)


@given(st.data())
def test_every_planned_trial_is_a_row_whatever_is_missing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    run = tmp_path_factory.mktemp("run")
    planned = [t.trial for v in write_run(run, CHOSEN) for t in v.trials]
    files = sorted(f for f in run.rglob("*.json*") if f.name != documents.RUN)
    for file in data.draw(st.lists(st.sampled_from(files), unique=True, max_size=12)):
        data.draw(st.sampled_from(HARMS))(file)
    found = tables(run)
    assert [t["trial"] for t in found["trials"]] == planned
    for row in found["trials"]:
        assert (row["outcome"] == "measured") == (row["error"] is None)
        proof = next(v["proof"] for v in found["visits"] if v["visit"] == row["visit"])
        assert row["outcome"] != "measured" or proof == "proven"


def test_document_without_attempts(run: Path) -> None:
    folder, path = first(run)
    document = documents.read_document(path, documents.TrialDocument)
    write_trial(folder, document.trial)
    replaced(path, attempts=(), error=None)
    assert trial_row(run)["error"] == "it was never attempted"


def stopped(run: Path) -> Path:
    """Leave the second visit as a Stop does: a trial never began, and nobody looked at the dataplane again."""
    folder = run / documents.visit_directory(2)
    (folder / documents.CLEAR).unlink()
    last = visits(run)[1].trials[-1]
    (folder / last.topology / documents.trial_name(last.trial)).unlink()
    return folder


def test_visit_interrupted_by_stop_is_proven_by_restore(run: Path) -> None:
    stopped(run)
    visit = visits(run)[1]
    name = visit.dataplane.partition("+")[0]
    outcomes = {}
    for seen in (name, "lab-nftables"):
        signs = tuple(sign(node, seen, moment="after") for node in NODES)
        evidence = documents.Evidence(visit=2, nodes=NODES, signs=signs)
        documents.write_document(run / documents.RESTORE, documents.Restore(finished_at=AT, evidence=evidence))
        found = tables(run)
        outcomes[seen] = [t["outcome"] for t in of_visit(found["trials"], 2)]
        assert {t["outcome"] for t in of_visit(found["trials"], 1)} == {"measured"}
    assert outcomes[name] == ["measured", "measured", "not-run"]
    assert outcomes["lab-nftables"] == ["failed", "failed", "not-run"]


def late(run: Path, seen: str) -> documents.Evidence:
    """Evidence of the second visit, taken by restore."""
    signs = tuple(sign(node, seen, moment="after") for node in NODES)
    found = documents.Evidence(visit=2, nodes=NODES, signs=signs)
    documents.write_document(run / documents.RESTORE, documents.Restore(finished_at=AT, evidence=found))
    return found


def test_retry_of_a_stopped_run_voids_no_finished_trial(run: Path) -> None:
    """It observes anew, when another dataplane runs, and the run ends again without an interrupted visit."""
    folder = stopped(run)
    name = visits(run)[1].dataplane.partition("+")[0]
    late(run, name)
    keep_late(run, run / documents.LATE)
    other = tuple(sign(node, "lab-nftables", moment="after") for node in NODES)
    documents.write_document(folder / documents.CLEAR, documents.Evidence(visit=2, nodes=NODES, signs=other))
    for again in range(2):
        documents.write_document(run / documents.RESTORE, documents.Restore(finished_at=AT))
        outcomes = [t["outcome"] for t in of_visit(tables(run)["trials"], 2)]
        assert outcomes[:2] == ["measured", "measured"], again
        keep_late(run, run / documents.LATE)


@pytest.mark.parametrize(("after_s", "outcome"), [(-60.0, "failed"), (60.0, "measured")])
def test_evidence_from_before_a_visit_was_begun_again_does_not_count(run: Path, after_s: float, outcome: str) -> None:
    """A Stop in `configure`, which Retry repeats: the visit's servers are there after that evidence."""
    folder = run / documents.visit_directory(2)
    late(run, "lab-nftables")
    path = folder / documents.PREPARE
    kept = documents.read_document(path, documents.Prepare)
    prepared_at = AT + timedelta(seconds=after_s)
    documents.write_document(path, kept.model_copy(update={"prepared_at": prepared_at}))
    assert {t["outcome"] for t in of_visit(tables(run)["trials"], 2)} == {outcome}


def test_last_evidence_of_a_visit_counts_and_damaged_one_does_not(run: Path) -> None:
    stopped(run)
    name = visits(run)[1].dataplane.partition("+")[0]
    late(run, "lab-nftables")
    keep_late(run, run / documents.LATE)
    assert late(run, name) == read_late(run)[2]
    (run / documents.RESTORE).write_text("{")
    assert read_late(run)[2].signs[0].indicates == ("lab-nftables",)
    (run / documents.LATE).write_text("[")
    assert read_late(run) == {}


def test_run_without_documents_was_refused_or_stopped(tmp_path: Path) -> None:
    """Its first step had not ended, for whatever reason, which the step that collects can't know."""
    for nothing in (None, tmp_path):
        with pytest.raises(Problem, match=r"^There is nothing to collect: the run was refused or stopped before any"):
            store_rows(nothing)
