"""The rows of a complete run: visits, trials and samples."""

from datetime import timedelta
from pathlib import Path

import pytest

from analysis.domain import DEALT
from steps import documents
from steps.counters import Counters, InterfaceTraffic
from steps.domain import Monitor, Sign, SwitchCost
from steps.proof import evaluate
from steps.settings.settings import choose_settings
from tests.steps.builders import AT, attempt, counters, placement, settings, write_run
from tests.steps.collect.collected import BEFORE, Row, first, replaced, tables, trial_row, visits


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


def test_rows_say_whether_a_run_deals_its_cells_out(run: Path, tmp_path: Path) -> None:
    assert DEALT not in tables(run)["runs"][0]["parameters"]
    dealt = tmp_path / "dealt"
    write_run(dealt, choose_settings(profile="selftest", topologies="pod-to-pod,pod-to-outside", options="seed=1"))
    found = tables(dealt)
    assert found["runs"][0]["parameters"][DEALT] is True
    assert "not-run" not in {row["outcome"] for row in found["trials"]}, "each visit has its own cells"


@pytest.mark.parametrize(("later_s", "proof"), [(-5.0, "proven"), (5.0, "disproven")])
def test_restart_of_an_agent_before_the_proof_does_not_void_the_visit(run: Path, later_s: float, proof: str) -> None:
    """The trials' pods are made while the dataplane settles: Felix crashed then, and the proof waited for it."""
    folder = run / documents.visit_directory(1)
    settled, cleared = (
        documents.read_document(folder / name, documents.Evidence) for name in (documents.SETTLE, documents.CLEAR)
    )
    documents.write_document(folder / documents.SETTLE, settled.model_copy(update={"proven_at": AT}))
    crash = Sign(
        moment="after",
        node=cleared.nodes[0],
        looked_at=evaluate.RESTART,
        seen="Felix crashed after the trials' pods were made",
        at=AT + timedelta(seconds=later_s),
        indicates=(),
    )
    documents.write_document(folder / documents.CLEAR, cleared.model_copy(update={"signs": (*cleared.signs, crash)}))
    found = tables(run)
    assert found["visits"][0]["proof"] == proof
    voided = [trial for trial in found["trials"] if trial["outcome"] != "measured"]
    assert bool(voided) == (proof == "disproven")
    assert crash.seen in str(found["visits"][0]["evidence"]), "it is kept as evidence either way"


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
        new_failed=7,
    )
    proven_at = configured.started_at + timedelta(seconds=17.1)
    documents.write_document(
        folder / documents.SETTLE, evidence.model_copy(update={"proven_at": proven_at, "cost": cost})
    )
    row = tables(run)["visits"][0]
    assert row["switch_s"] == pytest.approx(0.1)
    assert row["settle_s"] == pytest.approx(17.0), "a step takes its time to start, which belongs to the switch"
    assert (row["connections_held"], row["connections_dropped"]) == (4, 2)
    assert row["new_connections_failed"] == 7
    assert (row["tcp_longest_gap_s"], row["udp_longest_gap_s"]) == (12.5, 9.0)
    assert (row["udp_probe_sent_packets"], row["udp_probe_lost_packets"]) == (900, 90)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({}, None),
        ({"server_mtu_bytes": 1500}, 1500),
        ({"server_interface": "eth0"}, 1450),
        ({"server_interface": "eth1"}, None),
        (
            {
                "server_interface": "eth0",
                "monitors": (Monitor(node="b", side="client", source="http://10.0.0.2:5203/"),),
            },
            None,
        ),
    ],
)
def test_server_mtu_comes_from_its_monitor(run: Path, place: Row, expected: int | None) -> None:
    planned = visits(run)[0].trials[0]
    path = run / documents.visit_directory(1) / planned.topology / documents.trial_name(planned.trial)
    document = documents.read_document(path, documents.TrialDocument)
    monitors = (
        Monitor(node="a", side="client", source="http://10.0.0.1:5203/"),
        Monitor(node="b", side="server", source="http://10.0.0.2:5203/"),
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
    assert row["host_network_bps"] == pytest.approx(33871641481.4)
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


@pytest.mark.parametrize(("machines", "factor"), [(("m", "n"), 2), (("m", "m"), 1), ((None, None), 2)])
def test_cpu_of_nodes_on_one_machine_counts_once(
    run: Path, machines: tuple[str | None, str | None], factor: int
) -> None:
    """As of kind, whose nodes all have the counters of the machine that they are containers of."""
    names = ("node-a", "node-b")

    def both(*readings: Counters) -> dict[str, tuple[Counters, ...]]:
        return {
            name: tuple(each.model_copy(update={"node": name, "machine": machine}) for each in readings)
            for name, machine in zip(names, machines, strict=True)
        }

    folder, path = first(run)
    idle = documents.read_document(folder / BEFORE, documents.CanaryDocument)
    update = {"idle": both(counters(90.0), counters(90.2, busy=0.02))}
    documents.write_document(folder / BEFORE, idle.model_copy(update=update))
    monitors = tuple(
        Monitor(node=name, side=side, source="local") for name, side in zip(names, ("client", "server"), strict=True)
    )
    readings = both(counters(100.0), counters(101.0, busy=0.5))
    replaced(path, placement=placement(monitors=monitors), attempts=(attempt(readings=readings),))
    row = trial_row(run)
    gbit = row["received_bps"] * row["duration_s"] / 1e9
    assert row["cpu_s_per_gbit"] == pytest.approx(factor * 0.4 * 2 * 1.0 / gbit)


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
    canary = folder / BEFORE
    document = documents.read_document(canary, documents.CanaryDocument)
    documents.write_document(canary, document.model_copy(update={"idle_foreign_cpu_ratio": then}))
    replaced(path, attempts=(attempt(foreign_cpu_ratio=now),))
    row = trial_row(run)
    assert row["nodes"][0]["busy_above_idle_ratio"] == pytest.approx(above)
    gbit = row["received_bps"] * row["duration_s"] / 1e9
    assert row["cpu_s_per_gbit"] == pytest.approx(above * 2 / gbit)


def test_cpu_per_gbit_without_an_idle_baseline_is_unknown(run: Path) -> None:
    folder, _ = first(run)
    (folder / BEFORE).unlink()
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
    path = run / documents.visit_directory(1) / BEFORE
    canary = documents.read_document(path, documents.CanaryDocument)
    backwards = (counters(90.0), counters(90.2, busy=0.9))
    documents.write_document(path, canary.model_copy(update={"idle": {"host": backwards}}))
    assert {"cpu-idle" in (row["flags"] or []) for row in tables(run)["trials"] if row["visit"] == 1} == {True}
