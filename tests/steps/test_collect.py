import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import settings as unhurried
from hypothesis import strategies as st

from analysis.errors import Problem
from analysis.store.arrow import to_table
from analysis.store.schema import TABLES
from steps import documents
from steps.catalogue.tools import VARIANTS
from steps.collect import fitting, run_rows, trial_rows
from steps.counters import InterfaceTraffic
from steps.domain import Finding, Monitor, SwitchCost, Trial, Visit
from steps.settings import schedule
from steps.strict_model import StrictModel
from tests.steps.builders import (
    AT,
    NODES,
    attempt,
    counters,
    cut_short,
    damaged,
    fitted,
    placement,
    settings,
    sign,
    write_run,
    write_trial,
)

Row = dict[str, Any]
HARMS: tuple[Callable[[Path], None], ...] = (cut_short, damaged, Path.unlink)
CHOSEN = settings(options="rounds=1", dataplanes="lab-iptables,lab-ebpf+twin")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path, CHOSEN)
    return tmp_path


def visits(run: Path) -> tuple[Visit, ...]:
    return documents.read_document(run / documents.PREFLIGHT, documents.Preflight).visits


def tables(run: Path) -> dict[str, list[Row]]:
    found = cast("dict[str, list[Row]]", run_rows.run_rows(run, collected_at=AT))
    for table in TABLES:
        to_table(table, "run-1", found[table])
    return found


def of_visit(rows: list[Row], visit: int) -> list[Row]:
    return [row for row in rows if row["visit"] == visit]


def test_collect_complete_run(run: Path) -> None:
    found = tables(run)
    (row,) = found["runs"]
    assert (row["run_id"], row["environment"], row["seed"], row["finished_at"]) == ("run-1", "lab", 1, AT)
    assert row["parameters"]["dataplanes"][1] == {
        "name": "lab-ebpf+twin",
        "title": "lab-ebpf+twin",
        "colour": "#000000",
        "bpf": None,
    }
    assert row["parameters"]["duration_s"] == 1
    assert row["provenance"] == {"kernel": "6"}
    assert len(found["visits"]) == 2
    assert len(found["trials"]) == sum(len(v.trials) for v in visits(run))
    assert {t["outcome"] for t in found["trials"]} == {"measured"}
    assert [t["trial"] for t in found["trials"]] == list(range(1, len(found["trials"]) + 1))


def test_settle_time_starts_at_the_last_change_and_switch_cost(run: Path) -> None:
    folder = run / documents.visit_directory(1)
    configured = documents.read_document(folder / documents.CONFIGURE, documents.Configure)
    evidence = documents.read_document(folder / documents.SETTLE, documents.Evidence)
    cost = SwitchCost(
        connections=4,
        dropped=2,
        tcp_longest_gap_s=12.5,
        udp_longest_gap_s=9.0,
        udp_sent_packets=900,
        udp_lost_packets=90,
    )
    proven_at = configured.started_at + timedelta(seconds=17.1)
    documents.write_document(
        folder / documents.SETTLE, evidence.model_copy(update={"proven_at": proven_at, "cost": cost})
    )
    row = tables(run)["visits"][0]
    assert row["switch_s"] == pytest.approx(0.1)
    assert row["settle_s"] == pytest.approx(17.0), "a step takes its time to start, which belongs to the switch"
    assert (row["connections_held"], row["connections_dropped"]) == (4, 2)
    assert (row["tcp_longest_gap_s"], row["udp_longest_gap_s"]) == (12.5, 9.0)
    assert (row["udp_probe_sent_packets"], row["udp_probe_lost_packets"]) == (900, 90)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({}, None),
        ({"server_mtu_bytes": 1500}, 1500),
        ({"server_interface": "eth0"}, 1450),
        ({"server_interface": "eth1"}, None),
        ({"server_interface": "eth0", "monitors": (Monitor(node="b", side="client", source="http://b/"),)}, None),
    ],
)
def test_server_mtu_comes_from_its_monitor(run: Path, place: Row, expected: int | None) -> None:
    planned = visits(run)[0].trials[0]
    path = run / documents.visit_directory(1) / planned.topology / documents.trial_name(planned.trial)
    document = documents.read_document(path, documents.TrialDocument)
    monitors = (
        Monitor(node="a", side="client", source="http://a/"),
        Monitor(node="b", side="server", source="http://b/"),
    )
    near, far = (
        tuple(
            r.model_copy(
                update={"interfaces": {"eth0": InterfaceTraffic(sent_bytes=1, received_bytes=1, mtu_bytes=mtu_bytes)}}
            )
            for r in (counters(90.0), counters(91.0))
        )
        for mtu_bytes in (9000, 1450)
    )
    attempts = [a.model_copy(update={"readings": {"a": near, "b": far}}) for a in document.attempts]
    placed = document.placement.model_copy(update={"monitors": monitors, **place})
    documents.write_document(path, document.model_copy(update={"attempts": tuple(attempts), "placement": placed}))
    row = next(r for r in tables(run)["trials"] if r["trial"] == planned.trial)
    assert row["server_mtu_bytes"] == expected


def test_collect_visit_row(run: Path) -> None:
    row = next(r for r in tables(run)["visits"] if r["dataplane_requested"] == "lab-ebpf+twin")
    assert row["dataplane_observed"] == "lab-ebpf"
    assert (row["proof"], row["proof_reason"], row["error"]) == ("proven", None, None)
    assert [s["moment"] for s in row["evidence"]] == ["before", "before", "after", "after"]
    assert row["changes"] == ["iptables-restore"]
    assert (row["switch_s"], row["settle_s"], row["connections_dropped"]) == (0.1, 0.2, None)
    assert row["idle_nodes"][0]["side"] == "both"
    assert row["idle_nodes"][0]["busy_ratio"] == pytest.approx(0.1)
    assert row["canary_before_bps"] == row["canary_after_bps"] == pytest.approx(33871641481.4)


def test_collect_tcp_trial_row(run: Path) -> None:
    row = next(t for t in tables(run)["trials"] if (t["tool"], t["transport"]) == ("iperf3", "tcp"))
    assert row["received_bps"] == pytest.approx(33871641481.4)
    assert row["retransmits"] == 10
    assert row["mtu_bytes"] == 1450
    assert row["services"] == 100
    assert row["attempts"] == 1
    assert row["flags"] == []
    assert row["error"] is None
    (node,) = row["nodes"]
    assert node["busy_ratio"] == pytest.approx(0.5)
    assert node["busy_above_idle_ratio"] == pytest.approx(0.4)
    gbit = row["received_bps"] * row["duration_s"] / 1e9
    assert row["cpu_s_per_gbit"] == pytest.approx(0.4 * 2 * 1.0 / gbit)
    assert row["nat_bytes_per_payload_byte"] is None
    assert "connect_p50_s" not in row


def test_collect_connect_trial_row(run: Path) -> None:
    row = next(t for t in tables(run)["trials"] if t["tool"] == "tcp_connect")
    assert (row["connects_per_s"], row["connect_p50_s"], row["connect_p99_s"]) == (100, 1e-5, 2e-5)
    assert row["duration_s"] == 0.25
    assert "received_bps" not in row


def test_collect_samples_of_iperf3_and_monitors(run: Path) -> None:
    found = tables(run)
    tcp = next(t["trial"] for t in found["trials"] if (t["tool"], t["transport"]) == ("iperf3", "tcp"))
    samples = [s for s in found["samples"] if s["trial"] == tcp]
    assert [(s["source"], s["side"]) for s in samples] == [("iperf3", "sender")] * 2 + [("monitor", "host")] * 2
    assert [s["offset_s"] for s in samples[2:]] == [0, 0.5]
    assert [s["busy_ratio"] for s in samples[2:]] == pytest.approx([0.5, 0.5])
    assert not any(s["omitted"] for s in samples)


def first(run: Path, protocol: str = "tcp") -> tuple[Path, Path]:
    """The visit's folder and the document of its first trial of a protocol."""
    visit = visits(run)[0]
    trial = next(t for t in visit.trials if t.variant.name == protocol)
    folder = run / documents.visit_directory(1)
    return folder, folder / trial.topology / documents.trial_name(trial.trial)


def replaced(path: Path, **fields: object) -> None:
    document = documents.read_document(path, documents.TrialDocument).model_copy(update=fields)
    attempts = tuple(fitted(one, document.trial) for one in document.attempts)
    documents.write_document(path, document.model_copy(update={"attempts": attempts}))


def by_name(protocol: str) -> tuple[str, str]:
    tool, variant = VARIANTS[protocol]
    return tool.name, variant.transport


def trial_row(run: Path, protocol: str = "tcp") -> Row:
    return next(t for t in of_visit(tables(run)["trials"], 1) if by_name(protocol) == (t["tool"], t["transport"]))


def test_cpu_excludes_the_warm_up(run: Path) -> None:
    _, path = first(run)
    readings = {"host": tuple(counters(100 + t, busy=max(0.0, t - 1)) for t in (0.0, 0.5, 1.0, 1.5, 2.0))}
    replaced(path, attempts=(attempt(window_offset_s=1.0, readings=readings),))
    row = trial_row(run)
    assert row["nodes"][0]["busy_ratio"] == pytest.approx(1.0)
    samples = [s for s in tables(run)["samples"] if s["trial"] == row["trial"] and s["source"] == "monitor"]
    assert [s["omitted"] for s in samples] == [True, True, False, False]


def test_nat_bytes_per_payload_byte(run: Path) -> None:
    _, path = first(run)
    nat = Monitor(node="node-a", side="nat", source="netns:node-a")
    place = placement(nat_monitor=nat, nat_interface="ul0")
    payload = 33871641481.401657 * 1.002213 / 8
    for share in (1.06, 0.01):
        readings = (counters(1, sent_bytes=100), counters(2, sent_bytes=100 + int(share * payload)))
        replaced(path, placement=place, attempts=(attempt(nat=readings),))
        assert trial_row(run)["nat_bytes_per_payload_byte"] == pytest.approx(share, rel=1e-4)
    replaced(path, placement=place, attempts=(attempt(nat=(counters(1),)),))
    assert trial_row(run)["nat_bytes_per_payload_byte"] is None


def test_last_attempt_counts_and_flags_are_kept(run: Path) -> None:
    _, path = first(run)
    attempts = (attempt("refused-3.12.json"), attempt("cluster-tcp-pod-to-pod-3.12.json", foreign_cpu_ratio=0.2))
    replaced(path, attempts=attempts, flags=("foreign-cpu",))
    row = trial_row(run)
    assert (row["outcome"], row["attempts"], row["foreign_cpu_ratio"]) == ("measured", 2, 0.2)
    assert row["flags"] == ["foreign-cpu", "long-receiver"], "5 s of the 1 s planned"
    assert row["congestion_control"] == "bbr"


@pytest.mark.parametrize(("then", "now", "above"), [(0.05, 0.2, 0.25), (None, 0.2, 0.4), (0.05, None, 0.4)])
def test_foreign_cpu_is_not_the_trials(run: Path, then: float | None, now: float | None, above: float) -> None:
    folder, path = first(run)
    canary = folder / "canary-before" / documents.CANARY
    document = documents.read_document(canary, documents.CanaryDocument)
    documents.write_document(canary, document.model_copy(update={"idle_foreign_cpu_ratio": then}))
    replaced(path, attempts=(attempt(foreign_cpu_ratio=now),))
    row = trial_row(run)
    assert row["nodes"][0]["busy_above_idle_ratio"] == pytest.approx(above)
    gbit = row["received_bps"] * row["duration_s"] / 1e9
    assert row["cpu_s_per_gbit"] == pytest.approx(above * 2 / gbit)


def test_without_an_idle_baseline_cpu_per_gbit_is_unknown(run: Path) -> None:
    folder, _ = first(run)
    (folder / "canary-before" / documents.CANARY).unlink()
    row = trial_row(run)
    assert row["outcome"] == "measured"
    assert row["cpu_s_per_gbit"] is None
    assert row["nodes"][0]["busy_above_idle_ratio"] is None
    visit = tables(run)["visits"][0]
    assert (visit["canary_before_bps"], visit["idle_nodes"], visit["error"]) == (None, None, None)


@pytest.mark.parametrize("rate", ["", " rate=300M"])
def test_udp_fragmentation_and_cpu_flags(tmp_path: Path, rate: str) -> None:
    write_run(tmp_path, settings(options=f"rounds=1 protocols=udp directions=forward{rate}"))
    _, path = first(tmp_path, "udp")
    planned = documents.read_document(path, documents.TrialDocument).trial
    assert planned.direction == "forward"
    replaced(path, mtu_bytes=1280, attempts=(attempt("udp-forward-omit-3.12.json"),))
    row = trial_row(tmp_path, "udp")
    assert row["flags"] == ["cpu-udp", "udp-counters", "udp-fragments"]
    assert row["lost_packets"] is not None


def test_idle_baseline_flags_apply_to_the_difference(run: Path) -> None:
    """The nodes' idle time ran backwards before the first trial, so no CPU figure of the visit can be used."""
    path = run / documents.visit_directory(1) / "canary-before" / documents.CANARY
    canary = documents.read_document(path, documents.CanaryDocument)
    backwards = (counters(90.0), counters(90.2, busy=0.9))
    documents.write_document(path, canary.model_copy(update={"idle": {"host": backwards}}))
    assert {"cpu-idle" in (row["flags"] or []) for row in tables(run)["trials"] if row["visit"] == 1} == {True}


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
    assert (row["outcome"], row["error"]) == ("failed", "its measuring step ended before it"), "the visit went on"
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


@unhurried(deadline=None)  # a machine that others use takes its time to write files
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
    write_trial(folder, document.trial, CHOSEN)
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
    assert failed["topology"] == before[2]["topology"]
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


def test_canary_of_the_other_moment_is_an_error(run: Path) -> None:
    folder, _ = first(run)
    (folder / "canary-after" / documents.CANARY).write_bytes((folder / "canary-before" / documents.CANARY).read_bytes())
    row = tables(run)["visits"][0]
    assert row["canary_after_bps"] is None
    assert row["error"] == "canary-after/canary.json.gz is of the canary before the trials"


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
    asked = settings(dataplanes="lab-iptables,lab-nftables,lab-ebpf")
    going = schedule.without_dataplanes(asked, {"lab-ebpf"})
    write_run(tmp_path, going)
    run = documents.read_document(tmp_path / documents.RUN, documents.RunDocument)
    documents.write_document(tmp_path / documents.RUN, run.model_copy(update={"settings": asked}))
    preflight = documents.read_document(tmp_path / documents.PREFLIGHT, documents.Preflight)
    skipped = Finding(severity="skip", subject="lab-ebpf", reason="it needs root.")
    documents.write_document(tmp_path / documents.PREFLIGHT, preflight.model_copy(update={"findings": (skipped,)}))
    found = tables(tmp_path)
    assert {visit["dataplane_requested"] for visit in found["visits"]} == {"lab-iptables", "lab-nftables"}
    assert {trial["outcome"] for trial in found["trials"]} == {"measured"}


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
