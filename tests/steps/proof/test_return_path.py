"""Measured bytes beat a proof by configuration and log, where they clearly contradict it, and only there."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from steps import documents
from steps.catalogue.dataplanes import DATAPLANES
from steps.collect import run_rows
from steps.counters import Counters, InterfaceTraffic
from steps.measurement import results
from steps.proof import return_path
from steps.settings import schedule
from steps.tools.iperf3.iperf3 import IperfReport
from tests.steps.builders import AT, attempt, fitted, placement, settings, trial, write_run

RECORDED = "tcp-reverse-omit-3.12.json"
REVERSE = trial(direction="reverse", duration_s=2)
PLACE = placement(topology="external-to-nodeport", nat_interface="eth0")


def payload_bytes() -> float:
    report = results.read_results(REVERSE, fitted(attempt(RECORDED), REVERSE))
    assert isinstance(report, IperfReport)
    return report.received_bps * report.duration_s / 8


def counted(at_s: float, **bytes_of: tuple[float, float]) -> Counters:
    interfaces = {
        name: InterfaceTraffic(sent_bytes=int(sent), received_bytes=int(received))
        for name, (sent, received) in bytes_of.items()
    }
    return Counters(node="node-a", at_s=at_s, interfaces=interfaces)


def document(
    sent: float, received: float | None = None, *, loopback: float = 0.0, **others: float
) -> documents.TrialDocument:
    """A trial whose NodePort's node sent and received so many bytes per byte of payload."""
    payload = payload_bytes()
    came = {name: (ratio * payload, 0.0) for name, ratio in others.items()}
    after = counted(
        2,
        eth0=(500 + sent * payload, 700 + (sent if received is None else received) * payload),
        lo=(loopback * payload, loopback * payload),
        **came,
    )
    before = counted(1, eth0=(500, 700), lo=(0, 0), **dict.fromkeys(others, (0.0, 0.0)))
    made = fitted(attempt(RECORDED, nat=(before, after)), REVERSE)
    return documents.TrialDocument(trial=REVERSE, placement=PLACE, mtu_bytes=None, attempts=(made,))


def output(found: documents.TrialDocument, dataplane: str, **of_trial: object) -> str | None:
    planned = trial(topology="external-to-nodeport", **{"direction": "reverse", "duration_s": 2, **of_trial})
    return return_path.return_path_contradiction(planned, dataplane, found, found.attempts[-1])


@pytest.mark.parametrize("dataplane", ["ebpf-dsr", "lab-ebpf-dsr", "ebpf-dsr+twin"])
def test_replies_through_the_node_contradict_dsr(dataplane: str) -> None:
    reason = output(document(1.06), dataplane)
    assert reason is not None
    assert "1.1 bytes per byte of payload" in reason
    assert "the replies went back through it and not directly" in reason
    assert output(document(0.0015), dataplane) is None


@pytest.mark.parametrize("dataplane", ["iptables", "nftables", "ebpf", "lab-iptables", "lab-ebpf"])
def test_replies_past_the_node_confirm_dsr(dataplane: str) -> None:
    reason = output(document(0.0015), dataplane)
    assert reason is not None
    assert "0.0015 bytes per byte of payload, so the replies did not go back through it" in reason
    assert output(document(1.01), dataplane) is None


def test_every_dataplane_is_contradicted_by_at_most_one_return_path() -> None:
    for dataplane in DATAPLANES:
        against = [output(document(sent), dataplane.name) is not None for sent in (0.002, 1.05)]
        assert sum(against) == (0 if dataplane.direct_return is None else 1), dataplane.name


@hypothesis_settings(max_examples=60)
@given(sent=st.floats(0.0, 0.45), dataplane=st.sampled_from(["ebpf-dsr", "ebpf", "iptables"]))
def test_return_path_thresholds_do_not_overlap(sent: float, dataplane: str) -> None:
    direct = dataplane == "ebpf-dsr"
    assert (output(document(sent), dataplane) is None) is direct
    assert (output(document(1.0 + sent), dataplane) is None) is not direct


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (document(0.7), "half of it is neither"),
        (document(1.3, 0.01), "the node sent for others: nothing of that size came in"),
        (document(0.01, 0.01, loopback=1.2).model_copy(update={"placement": placement()}), "no NodePort on the path"),
    ],
)
def test_unclear_return_path_contradicts_nothing(found: documents.TrialDocument, why: str) -> None:
    assert [output(found, name) for name in ("ebpf-dsr", "ebpf")] == [None, None], why


def test_reply_by_another_interface_went_through_the_node() -> None:
    assert output(document(0.01, 1.0, eth1=1.02), "ebpf") is None
    assert output(document(0.01, 0.01, loopback=1.02), "ebpf") is not None, "the loopback leads nowhere"


def test_reset_counters_and_small_trials_give_no_return_path(monkeypatch: pytest.MonkeyPatch) -> None:
    found = document(1.06)
    made = found.attempts[-1]
    restarted = found.model_copy(update={"attempts": (made.model_copy(update={"nat": tuple(reversed(made.nat))}),)})
    once = found.model_copy(update={"attempts": (made.model_copy(update={"nat": made.nat[:1]}),)})
    assert output(restarted, "ebpf-dsr") is None
    assert output(once, "ebpf-dsr") is None
    monkeypatch.setattr(return_path, "LEAST_RATE_BPS", 1e15)
    assert output(found, "ebpf-dsr") is None


def test_requests_go_through_the_node_in_every_dataplane() -> None:
    for dataplane in ("ebpf-dsr", "ebpf"):
        assert output(document(1.02), dataplane, direction="forward") is None
    made = attempt("tcp-forward-3.21.json")
    forward = trial(topology="external-to-nodeport", direction="forward")
    for sent, past in ((1.02, False), (0.01, True)):
        nat = tuple(counted(at, eth0=(at * sent * 1e11, at * sent * 1e11)) for at in (0, 1))
        found = document(1.0).model_copy(update={"trial": forward})
        assert return_path.bypassed(forward, found, made.model_copy(update={"nat": nat})) is (
            past and sent * 1e11 < 2e9
        )


def written(directory: Path, dataplane: str, *shares: float) -> list[dict[str, object]]:
    """The rows of a visit's trials through the NodePort, of which the first ones measured these shares."""
    chosen = settings(options="rounds=1", dataplanes="lab-iptables,lab-ebpf-dsr")
    write_run(directory, chosen)
    (visit,) = [v for v in schedule.make_schedule(chosen) if v.dataplane == dataplane]
    through = [t for t in visit.trials if t.topology == "external-to-nodeport"]
    for planned, share in zip(through, shares, strict=False):
        path = (
            directory / documents.visit_directory(visit.visit) / planned.topology / documents.trial_name(planned.trial)
        )
        found = documents.read_document(path, documents.TrialDocument)
        report = results.read_results(planned, found.attempts[-1])
        assert isinstance(report, IperfReport)
        moved = share * report.received_bps * report.duration_s / 8
        nat = (counted(1, eth0=(500, 700)), counted(2, eth0=(500 + moved, 700 + moved)))
        place = found.placement.model_copy(update={"nat_interface": "eth0"})
        attempts = (found.attempts[-1].model_copy(update={"nat": nat}),)
        documents.write_document(path, found.model_copy(update={"placement": place, "attempts": attempts}))
    rows = run_rows.run_rows(directory, collected_at=AT)["trials"]
    return [row for row in rows if row["visit"] == visit.visit]


@pytest.mark.parametrize(
    ("dataplane", "wrong", "right"), [("lab-ebpf-dsr", 1.06, 0.002), ("lab-iptables", 0.002, 1.06)]
)
def test_contradicted_trial_fails_with_its_reason_and_keeps_the_figure(
    tmp_path: Path, dataplane: str, wrong: float, right: float
) -> None:
    rows = written(tmp_path / "wrong", dataplane, wrong)
    failed = [row for row in rows if row["outcome"] == "failed"]
    assert {row["topology"] for row in failed} == {"external-to-nodeport"}
    assert "the dataplane was proven by configuration and log, but the NodePort's node sent" in str(failed[0]["error"])
    assert failed[0]["nat_bytes_per_payload_byte"] == pytest.approx(wrong, rel=1e-3)
    assert "received_bps" not in failed[0]
    assert {row["outcome"] for row in written(tmp_path / "right", dataplane, right)} == {"measured"}


def test_trials_without_byte_counters_share_the_contradiction() -> None:
    wrong, right = document(1.06), document(0.002)
    reverse = trial(topology="external-to-nodeport", direction="reverse", duration_s=2)
    found = return_path.of_siblings([(reverse, wrong), (reverse, wrong)], "ebpf-dsr")
    assert found is not None
    assert found.startswith("in another trial of this visit the NodePort's node sent 1.1 bytes")
    assert return_path.of_siblings([(reverse, wrong), (reverse, right)], "ebpf-dsr") is None
    assert return_path.of_siblings([(reverse, document(0.7))], "ebpf-dsr") is None
    assert return_path.of_siblings([], "ebpf-dsr") is None
