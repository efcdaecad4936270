"""The report in iperf3's output."""

import json

import pytest

from steps.tools.failure import Failure
from steps.tools.iperf3 import iperf3
from steps.tools.iperf3.iperf3 import IperfReport
from steps.tools.tool import Output
from tests.steps.tools.iperf3_reports import TCP, figures, planned, recorded, report, task_of


def test_tcp_on_a_cluster() -> None:
    assert figures(report("cluster-tcp-pod-to-pod-3.12")) == {
        "version": "3.12",
        "duration_s": 5.002053,
        "sent_bps": 8520385944.288638,
        "received_bps": 8519956579.428487,
        "lost_packets": None,
        "total_packets": None,
        "jitter_s": None,
        "retransmits": 414,
        "rtt_s": pytest.approx(125e-6),
        "block_size_bytes": 131072,
        "congestion_control": "bbr",
        "flags": (),
    }


def test_udp_on_a_cluster_reads_the_receiver_not_the_sum() -> None:
    found = report("cluster-udp-pod-to-service-3.12")
    raw = json.loads(recorded("cluster-udp-pod-to-service-3.12"))["end"]
    assert raw["sum"]["bits_per_second"] != raw["sum_received"]["bits_per_second"]
    assert found.received_bps == raw["sum_received"]["bits_per_second"]
    assert found.sent_bps == raw["sum_sent"]["bits_per_second"]
    assert (found.lost_packets, found.total_packets, found.block_size_bytes) == (5465, 167576, 1398)
    assert found.jitter_s == pytest.approx(4.069e-6, rel=1e-3)
    assert found.retransmits is None
    assert found.congestion_control is None


@pytest.mark.parametrize(
    ("name", "version", "side", "omitted", "counted"),
    [
        ("tcp-forward-3.21", "3.21+", "sender", 0, 2),
        ("tcp-reverse-omit-3.12", "3.12", "receiver", 2, 4),
        ("tcp-reverse-p2-3.12", "3.12", "receiver", 0, 2),
        ("tcp-reverse-omit-p2-3.21", "3.21+", "receiver", 1, 2),
        ("udp-forward-omit-3.21", "3.21+", "sender", 2, 2),
        ("udp-reverse-3.21", "3.21+", "receiver", 0, 2),
        ("udp-reverse-3.12", "3.12", "receiver", 0, 2),
    ],
)
def test_intervals_of_old_and_new_iperf3_versions(
    name: str, version: str, side: str, omitted: int, counted: int
) -> None:
    found = report(name)
    assert found.version == version
    assert {i.side for i in found.intervals} == {side}
    assert [i.omitted for i in found.intervals] == [True] * omitted + [False] * counted
    offsets = [i.offset_s for i in found.intervals]
    assert offsets == sorted(offsets), "the warm-up comes first, though iperf3's clock starts anew after it"
    measured = [i.bps for i in found.intervals if not i.omitted and i.bps is not None]
    assert sum(measured) / len(measured) == pytest.approx(found.received_bps, rel=0.25)


def test_remote_sender_has_null_rtt() -> None:
    assert report("tcp-reverse-omit-3.12").rtt_s is None
    rtt_s = report("tcp-forward-3.21").rtt_s
    assert rtt_s is not None
    assert rtt_s > 0


def test_udp_loss_denied_by_iperf3_versions_is_computed_from_bytes() -> None:
    name = "udp-forward-3.21-against-3.12"
    end = json.loads(recorded(name))["end"]
    assert end["sum_received"]["lost_packets"] == 0, "the recorded defect"
    found = report(name)
    assert found.flags == ("udp-counters",)
    lost = round((end["sum_sent"]["bytes"] - end["sum_received"]["bytes"]) / 1200)
    assert lost > 1000
    assert found.lost_packets == lost


def test_udp_loss_in_the_warm_up_of_3_12_is_excluded_and_flagged() -> None:
    found = report("udp-forward-omit-3.12")
    assert found.flags == ("udp-counters",)
    assert found.lost_packets is not None
    assert found.total_packets is not None
    assert found.sent_bps is not None
    assert found.lost_packets / found.total_packets == pytest.approx(1 - found.received_bps / found.sent_bps, abs=0.001)


def test_warnings_around_the_json_are_ignored() -> None:
    text = b"warning: this system does not seem to support IPv6\n" + recorded("tcp-forward-3.21") + b"\ndone\n"
    assert iperf3.read(TCP, (), Output(text)) == report("tcp-forward-3.21")


def test_report_without_intervals() -> None:
    document = json.loads(recorded("tcp-forward-3.21"))
    document["intervals"] = []
    found = iperf3.read(TCP, (), Output(json.dumps(document).encode()))
    assert isinstance(found, IperfReport)
    assert found.intervals == ()


def losing(lost: list[int]) -> IperfReport:
    """A recorded UDP test of a stream each, whose losses are these."""
    document = json.loads(recorded("udp-reverse-3.21"))
    end, start = document["end"], document["start"]["test_start"]
    end["streams"] = [{"udp": {**end["streams"][0]["udp"], "lost_packets": count}} for count in lost]
    end["sum_received"]["lost_packets"] = sum(lost)
    start["num_streams"] = len(lost)
    found = iperf3.read(task_of(document), (), Output(json.dumps(document).encode()))
    assert isinstance(found, IperfReport)
    return found


@pytest.mark.parametrize("lost", [[-3], [-50, 60], [-1, 0]])
def test_duplicated_datagrams_make_loss_null_and_flagged(lost: list[int]) -> None:
    found = losing(lost)
    assert found.lost_packets is None
    assert found.total_packets is not None
    assert "duplicate-packets" in found.flags


def test_stream_that_delivered_only_while_warming_up_is_missing() -> None:
    document = json.loads(recorded("udp-reverse-3.21"))
    end, start = document["end"], document["start"]["test_start"]
    socket = end["streams"][0]["udp"]["socket"]
    end["streams"].append({"udp": {**end["streams"][0]["udp"], "socket": socket + 2}})
    start["num_streams"], start["omit"] = 2, 1
    warm_up = {**document["intervals"][0]["streams"][0], "omitted": True}
    for interval in document["intervals"]:
        interval["streams"].append({**interval["streams"][0], "socket": socket + 2, "bytes": 0})
    document["intervals"].insert(0, {"streams": [warm_up, {**warm_up, "socket": socket + 2}]})
    found = iperf3.read(task_of(document), (), Output(json.dumps(document).encode()))
    assert isinstance(found, Failure)
    assert "stream 2 of 2 delivered nothing" in found.reason


def test_zero_loss_is_no_duplicate() -> None:
    assert "duplicate-packets" not in losing([0, 0]).flags


@pytest.mark.parametrize(
    ("delivered", "flags", "reason"),
    [
        ((100, 100), (), None),
        ((100, 11), (), None),
        ((100, 9), ("uneven-streams",), None),
        ((100, 100, 9), ("uneven-streams",), None),
        ((100, 0), (), "stream 2 of 2 delivered nothing"),
        ((0, 100, 0), (), "stream 1, 3 of 3 delivered nothing"),
        ((100, None), (), "iperf3 does not report what stream 2 of 2 delivered"),
    ],
)
def test_each_stream_is_checked(delivered: tuple[int | None, ...], flags: tuple[str, ...], reason: str | None) -> None:
    document = json.loads(recorded("tcp-forward-3.21"))
    document["start"]["test_start"]["num_streams"] = len(delivered)
    one = document["end"]["streams"][0]
    document["end"]["streams"] = [
        {"sender": one["sender"], "receiver": None if amount is None else {**one["receiver"], "bytes": amount}}
        for amount in delivered
    ]
    found = iperf3.read(task_of(document), (), Output(json.dumps(document).encode()))
    assert (found.reason if isinstance(found, Failure) else None) == reason
    assert isinstance(found, Failure) or found.flags == flags


def test_missing_stream_is_a_failure() -> None:
    document = json.loads(recorded("tcp-reverse-p2-3.12"))
    document["end"]["streams"].pop()
    found = iperf3.read(planned("tcp-reverse-p2-3.12"), (), Output(json.dumps(document).encode()))
    assert isinstance(found, Failure)
    assert found.reason == "iperf3 reports 1 of 2 streams"


@pytest.mark.parametrize(("seconds", "flags"), [(1.02, ()), (1.04, ("long-receiver",)), (0.91, ())])
def test_iperf3_receiver_that_counted_longer_than_planned_is_flagged(seconds: float, flags: tuple[str, ...]) -> None:
    document = json.loads(recorded("tcp-forward-3.21"))
    received = document["end"]["sum_received"]
    received |= {"seconds": seconds, "bits_per_second": received["bytes"] * 8 / seconds}
    found = iperf3.read(TCP, (), Output(json.dumps(document).encode()))
    assert isinstance(found, IperfReport)
    assert found.flags == flags
