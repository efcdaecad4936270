"""Documents of something else, figures beyond their columns, and clocks that were set back cost their own rows only."""

import gzip
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from analysis.store.files.arrow import to_table
from analysis.store.schema import TABLES
from steps import documents
from steps.catalogue.factors import Scale
from steps.collect import fitting, run_rows, trial_rows
from steps.domain import Finding, Trial
from steps.run_documents import PlannedRun
from steps.settings import schedule, turn_order
from tests.steps.builders import (
    AT,
    attempt,
    counters,
    settings,
    write_run,
)
from tests.steps.collect.collected import (
    BEFORE,
    Row,
    first,
    of_visit,
    replaced,
    tables,
    trial_row,
    visits,
)


def with_figure(one: documents.Attempt, *place: str | int, value: float) -> documents.Attempt:
    """The attempt, but for one figure of its iperf3."""
    document: Any = json.loads(one.stdout)
    container = document
    for key in place[:-1]:
        container = container[key]
    container[place[-1]] = value
    return one.model_copy(update={"stdout": json.dumps(document)})


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("end", "sum_sent", "retransmits"), 2**64 - 1),
        (("end", "sum_received", "bits_per_second"), -5),
        (("intervals", 1, "sum", "retransmits"), 2**64 - 1),
        (("intervals", 0, "sum", "bits_per_second"), -1.0),
    ],
)
def test_value_beyond_its_column_fails_only_its_trial(run: Path, place: tuple[str | int, ...], value: float) -> None:
    whole = tables(run)
    _, path = first(run)
    document = documents.read_document(path, documents.TrialDocument)
    documents.write_document(
        path, document.model_copy(update={"attempts": (with_figure(document.attempts[-1], *place, value=value),)})
    )
    found = tables(run)
    number = document.trial.trial
    own = next(row for row in found["trials"] if row["trial"] == number)
    assert own["outcome"] == "failed"
    assert ".".join(str(part) for part in place if isinstance(part, str)).split(".")[-1] in own["error"]
    assert "received_bps" not in own
    for table in ("trials", "samples", "visits"):
        others = [row for row in whole[table] if row.get("trial") != number]
        assert [row for row in found[table] if row.get("trial") != number] == others


@pytest.mark.parametrize(("table", "column"), [("trials", "retransmits"), ("samples", "cwnd_bytes")])
def test_invalid_row_fails_only_its_trial(run: Path, table: str, column: str) -> None:
    found = tables(run)
    before = {row["trial"]: dict(row) for row in found["trials"]}
    row = next(row for row in found[table] if row["trial"] == 2)
    row[column] = 2**64
    fitting.fit(found, "run-1")
    for name in TABLES:
        to_table(name, "run-1", found[name])
    failed = next(row for row in found["trials"] if row["trial"] == 2)
    assert failed["outcome"] == "failed"
    assert column in failed["error"]
    planned = ("topology", *Scale.model_fields)
    assert [failed[name] for name in planned] == [before[2][name] for name in planned]
    assert [row for row in found["trials"] if row["trial"] != 2] == [r for n, r in before.items() if n != 2]
    assert 2 not in {row["trial"] for row in found["samples"]}


def test_invalid_visit_or_run_column_is_null(run: Path) -> None:
    found = tables(run)
    found["visits"][0]["udp_probe_sent_packets"] = 2**64
    found["runs"][0]["seed"] = 2**64
    proof = found["visits"][0]["proof"]
    fitting.fit(found, "run-1")
    for name in TABLES:
        to_table(name, "run-1", found[name])
    visit = found["visits"][0]
    assert (visit.get("udp_probe_sent_packets"), visit["proof"]) == (None, proof)
    assert "udp_probe_sent_packets" in visit["error"]
    assert found["runs"][0].get("seed") is None


@pytest.mark.parametrize(
    ("name", "other", "fault"),
    [
        (documents.SETTLE, documents.SETTLE, "settle.json is of visit 2, not of visit 1"),
        (documents.CLEAR, documents.CLEAR, "clear.json is of visit 2, not of visit 1"),
        (documents.PREPARE, documents.PREPARE, "prepare.json is of visit 2, not of visit 1"),
    ],
)
def test_document_of_another_visit_is_ignored(run: Path, name: str, other: str, fault: str) -> None:
    (run / documents.visit_directory(1) / name).write_bytes((run / documents.visit_directory(2) / other).read_bytes())
    found = tables(run)
    assert found["visits"][0]["error"] == fault
    outcome = "measured" if name == documents.PREPARE else "failed"  # where the servers were is no evidence
    assert {row["outcome"] for row in of_visit(found["trials"], 1)} == {outcome}
    assert {row["outcome"] for row in of_visit(found["trials"], 2)} == {"measured"}


def test_reference_of_another_moment_is_an_error(run: Path) -> None:
    folder, _ = first(run)
    last = documents.trial_name(len(visits(run)[0].trials) + 1)
    references = folder / turn_order.HOST_NETWORK
    (references / last).write_bytes((references / documents.trial_name(1)).read_bytes())
    row = tables(run)["visits"][0]
    assert row["canary_after_bps"] is None
    assert row["error"] == f"host-network/{last} is the reference before the trials"


def test_document_of_another_trial_is_an_error(run: Path) -> None:
    visit = visits(run)[0]
    one, other = (
        run / documents.visit_directory(1) / t.topology / documents.trial_name(t.trial)
        for t in (visit.trials[0], visit.trials[1])
    )
    one.write_bytes(other.read_bytes())
    row = next(t for t in tables(run)["trials"] if t["trial"] == visit.trials[0].trial)
    assert (row["outcome"], row["error"]) == ("failed", f"{one.name} is of another trial than was planned")


def test_preflight_of_another_plan_is_damaged(run: Path) -> None:
    preflight = documents.read_document(run / documents.PREFLIGHT, documents.Preflight)
    other = preflight.visits[0].model_copy(update={"dataplane": "lab-nftables"})
    documents.write_document(run / documents.PREFLIGHT, preflight.model_copy(update={"visits": (other,)}))
    found = tables(run)
    assert [v["dataplane_requested"] for v in found["visits"]] == [v.dataplane for v in preflight.visits]
    assert found["runs"][0]["provenance"] is None


def test_run_replanned_by_preflight_is_collected_by_that_plan(tmp_path: Path) -> None:
    chosen = settings(dataplanes="lab-iptables,lab-nftables,lab-ebpf")
    possible = schedule.without_dataplanes(chosen, {"lab-ebpf"})
    write_run(tmp_path, possible)
    run = documents.read_document(tmp_path / documents.RUN, PlannedRun)
    documents.write_document(tmp_path / documents.RUN, run.model_copy(update={"settings": chosen}))
    preflight = documents.read_document(tmp_path / documents.PREFLIGHT, documents.Preflight)
    skipped = Finding(severity="skip", subject="lab-ebpf", reason="it needs root.")
    documents.write_document(tmp_path / documents.PREFLIGHT, preflight.model_copy(update={"findings": (skipped,)}))
    found = tables(tmp_path)
    assert {visit["dataplane_requested"] for visit in found["visits"]} == {"lab-iptables", "lab-nftables"}
    assert {trial["outcome"] for trial in found["trials"]} == {"measured"}


@pytest.mark.parametrize("name", ["trial", "reference"])
def test_node_without_readings_in_a_document_costs_no_other_trial(run: Path, name: str) -> None:
    whole = tables(run)
    folder, path = first(run)
    path = path if name == "trial" else folder / BEFORE
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        content = json.load(file)
    for attempted in content["attempts"] if name == "trial" else [content]:
        attempted["readings" if name == "trial" else "idle"] = {"host": []}
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        json.dump(content, file)
    found = tables(run)
    outcomes = [row["outcome"] for row in found["trials"]]
    assert outcomes.count("failed") == (1 if name == "trial" else 0)
    assert len(outcomes) == len(whole["trials"])


def test_clock_set_back_gives_no_sample_and_no_negative_ratio(run: Path) -> None:
    _, path = first(run)
    readings = {"host": (counters(100.0, busy=0.3), counters(99.0, busy=0.2), counters(101.0, busy=0.1))}
    replaced(path, attempts=(attempt(readings=readings),))
    row = trial_row(run)
    assert row["nodes"][0]["softirq_ratio"] is None
    samples = [s for s in tables(run)["samples"] if s["trial"] == row["trial"] and s["source"] == "monitor"]
    assert samples == []


def test_collected_rows_always_fit_their_tables(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trial_rows.trial_row

    def beyond(trial: Trial, *others: Any) -> Row:  # noqa: ANN401 - passed on
        row = made(trial, *others)
        return {**row, "retransmits": 2**64} if trial.trial == 3 else row

    monkeypatch.setattr(run_rows, "trial_row", beyond)
    assert {row["trial"]: row["outcome"] for row in tables(run)["trials"]}[3] == "failed"


def test_clock_set_back_keeps_run_end_after_start(tmp_path: Path) -> None:
    write_run(tmp_path, settings())
    (row,) = run_rows.run_rows(tmp_path, collected_at=AT - timedelta(hours=1))["runs"]
    assert row["finished_at"] == row["started_at"] == AT
    parameters = row["parameters"]
    assert isinstance(parameters, dict)
    assert "the run ended 3600 s before it began" in parameters["findings"][0]["reason"]


def test_clock_set_back_makes_settle_time_null(tmp_path: Path) -> None:
    write_run(tmp_path, settings())
    folder = tmp_path / documents.visit_directory(1)
    settled = documents.read_document(folder / documents.SETTLE, documents.Evidence)
    documents.write_document(
        folder / documents.SETTLE, settled.model_copy(update={"proven_at": AT - timedelta(hours=1)})
    )
    row = run_rows.run_rows(tmp_path)["visits"][0]
    assert row["settle_s"] == settled.settle_s, "what the step itself measured"
