import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.catalogue.options import Settings
from steps.domain import Trial
from steps.measurement.results import task
from steps.measurement.trials import argv_of
from steps.settings.settings import choose_settings
from steps.tools import iperf3
from steps.tools.failure import Failure
from steps.tools.iperf3 import Report
from steps.tools.iperf3_plan import Asked
from tests.steps.builders import RECORDED, placement, settings, trial


def recorded(name: str) -> bytes:
    return (RECORDED / f"{name}.json").read_bytes()


TCP = Asked(protocol="tcp", duration_s=1)
UDP = Asked(protocol="udp", duration_s=5)


def asked(name: str) -> Asked:
    """What the recorded test was asked for."""
    start = json.loads(recorded(name))["start"]["test_start"]
    return Asked(
        protocol=start["protocol"].lower(),
        reverse=bool(start["reverse"]),
        streams=start["num_streams"],
        duration_s=start["duration"],
        omit_s=start["omit"],
    )


def report(name: str) -> Report:
    found = iperf3.read_report(recorded(name), b"", 0, asked(name))
    assert isinstance(found, Report)
    return found


def failure(stdout: bytes, stderr: bytes = b"", exit_code: int | None = 1) -> str:
    found = iperf3.read_report(stdout, stderr, exit_code, TCP)
    assert isinstance(found, Failure)
    return found.reason


def figures(found: Report) -> dict[str, Any]:
    kept = msgspec.structs.asdict(found)
    del kept["intervals"]
    return kept


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


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("refused-3.12", "iperf3: unable to connect to server: Connection refused"),
        ("busy-3.12", "iperf3: the server is busy running a test. try again later"),
        ("interrupted-3.12", "iperf3: interrupt - the client has terminated"),
    ],
)
@pytest.mark.parametrize("exit_code", [0, 1])
def test_iperf3_error_is_a_failure_with_any_exit_code(name: str, sentence: str, exit_code: int) -> None:
    assert failure(recorded(name), exit_code=exit_code) == sentence


def test_empty_iperf3_error_is_a_failure() -> None:
    document = json.loads(recorded("tcp-forward-3.21")) | {"error": ""}
    assert failure(json.dumps(document).encode(), exit_code=0) == "iperf3: an error that it does not name"


@pytest.mark.parametrize("name", ["refused-3.21", "interrupted-3.21"])
def test_errors_of_new_versions_are_failures(name: str) -> None:
    assert failure(recorded(name), exit_code=0).startswith("iperf3: ")


def test_output_that_is_no_json_is_quoted() -> None:
    assert failure(b"") == "iperf3 printed nothing, exit code 1"
    assert (
        failure(b"", b"iperf3: parameter error\nUsage", 1)
        == "iperf3 printed nothing, exit code 1: iperf3: parameter error"
    )
    assert failure(b"Segmentation fault", exit_code=None) == (
        "iperf3 printed no JSON but 'Segmentation fault', exit code unknown"
    )
    assert failure(b'{"start": 3}', exit_code=0).startswith("iperf3's JSON is not of a form known here: ")
    assert failure(b"\xff\xfe{\xff}").startswith("iperf3's JSON is damaged: ")
    assert failure(b"}{") == "iperf3's JSON is cut short after 2 bytes, exit code 1"
    assert failure(b"{}", exit_code=0) == "iperf3's JSON does not say what test it is of"


def test_report_with_nonzero_exit_code_is_a_failure() -> None:
    assert failure(recorded("tcp-forward-3.21"), b"iperf3: oops", 1) == "iperf3 ended with exit code 1: iperf3: oops"


def test_warnings_around_the_json_are_ignored() -> None:
    text = b"warning: this system does not seem to support IPv6\n" + recorded("tcp-forward-3.21") + b"\ndone\n"
    assert iperf3.read_report(text, b"", 0, TCP) == report("tcp-forward-3.21")


def test_zero_bytes_received_is_a_failure() -> None:
    document = json.loads(recorded("tcp-forward-3.21"))
    document["end"]["sum_received"] |= {"bytes": 0, "bits_per_second": 0}
    assert failure(json.dumps(document).encode(), exit_code=0) == "no byte reached the receiver in 1 s"


def test_report_without_intervals() -> None:
    document = json.loads(recorded("tcp-forward-3.21"))
    document["intervals"] = []
    found = iperf3.read_report(json.dumps(document).encode(), b"", 0, TCP)
    assert isinstance(found, Report)
    assert found.intervals == ()


@pytest.mark.parametrize("name", ["tcp-forward-3.21", "udp-reverse-3.12", "cluster-udp-pod-to-service-3.12"])
@given(share=st.floats(0, 0.999))
def test_truncated_json_is_never_a_report(name: str, share: float) -> None:
    whole = recorded(name).rstrip()
    assert isinstance(iperf3.read_report(whole[: int(len(whole) * share)], b"", 0, asked(name)), Failure)


@given(st.binary(max_size=200), st.binary(max_size=50), st.none() | st.integers(-20, 255))
def test_any_output_never_raises(stdout: bytes, stderr: bytes, exit_code: int | None) -> None:
    found = iperf3.read_report(stdout, stderr, exit_code, TCP)
    assert isinstance(found, Failure)
    assert "\n" not in found.reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(["start", "intervals", "end", "error"]), json_values)
def test_any_replaced_json_value_never_raises(part: str, value: object) -> None:
    document = json.loads(recorded("cluster-udp-pod-to-service-3.12"))
    document[part] = value
    assert isinstance(iperf3.read_report(json.dumps(document).encode(), b"", 0, UDP), Report | Failure)


def arguments(planned: Trial, chosen: Settings, address: str, port: int) -> list[str]:
    return argv_of(placement(address=address, port=port), planned, chosen)


def test_the_arguments_of_a_tcp_trial() -> None:
    command = arguments(trial(direction="reverse"), settings(options="omit=2 streams=1"), "10.0.0.1", 5201)
    assert " ".join(command) == (
        "iperf3 -c 10.0.0.1 -p 5201 -J --connect-timeout 5000 -t 1 -i 0.5 -P 1 -O 2 -R -C cubic"
    )


def test_the_arguments_of_a_udp_trial_share_the_rate_among_streams() -> None:
    chosen = settings(options="protocols=udp")
    paced = arguments(trial(protocol="udp", streams=4, offered_bps=1e9, duration_s=10), chosen, "::1", 5201)
    assert " ".join(paced).endswith("-t 10 -i 1 -P 4 -u -b 250000000 -l 1372 --udp-counters-64bit")
    unlimited = arguments(trial(protocol="udp"), chosen, "::1", 5201)
    assert " ".join(unlimited).endswith("-u -b 0 -l 1372 --udp-counters-64bit")


def test_block_size_argument() -> None:
    chosen = settings(options="block_size=1000 protocols=tcp,udp")
    for protocol in ("tcp", "udp"):
        command = arguments(trial(protocol=protocol), chosen, "h", 1)
        assert command[command.index("-l") + 1] == "1000"


def test_congestion_control_argument() -> None:
    for options, told in (("", []), ("congestion_control=reno", ["-C", "reno"])):
        chosen = choose_settings(profile="smoke", environment="prod", options=options)
        argv = arguments(trial(), chosen, "10.0.0.1", 5201)
        assert [word for word in argv if word in {"-C", "reno"}] == told


OTHER_TESTS = {
    "udp": "protocol udp, not tcp",
    "7 s": "duration 7 s, not 1 s",
    "2 streams": "streams 2, not 1",
    "reverse": "reverse yes, not no",
    "omit": "omitted 3 s, not 0 s",
    "both": "both directions at once yes, not no",
    "bytes": "an end after 5 bytes, not 0 bytes",
    "blocks": "an end after 6 blocks, not 0 blocks",
    "paced": "rate 1000000 bit/s, not 0 bit/s",
}
CHANGES: dict[str, dict[str, object]] = {
    "udp": {"protocol": "UDP"},
    "7 s": {"duration": 7},
    "2 streams": {"num_streams": 2},
    "reverse": {"reverse": 1},
    "omit": {"omit": 3},
    "both": {"bidir": 1},
    "bytes": {"bytes": 5},
    "blocks": {"blocks": 6},
    "paced": {"target_bitrate": 1_000_000},
}


@pytest.mark.parametrize("other", OTHER_TESTS)
def test_a_document_of_another_test_is_a_failure(other: str) -> None:
    document = json.loads(recorded("tcp-forward-3.21"))
    document["start"]["test_start"] |= CHANGES[other]
    assert failure(json.dumps(document).encode(), exit_code=0) == (
        f"iperf3's JSON is of another test than was asked for: {OTHER_TESTS[other]}"
    )


def test_block_size_and_rate_are_checked_against_the_trial() -> None:
    document = recorded("udp-forward-3.21-against-3.12")
    wanted = Asked(protocol="udp", duration_s=1, block_size_bytes=1372, stream_bps=10**9)
    found = iperf3.read_report(document, b"", 0, wanted)
    assert isinstance(found, Failure)
    assert found.reason.endswith("block size 1200 B, not 1372 B; rate 2000000000 bit/s, not 1000000000 bit/s")
    right = Asked(protocol="udp", duration_s=1, block_size_bytes=1200, stream_bps=2 * 10**9)
    assert isinstance(iperf3.read_report(document, b"", 0, right), Report)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_arguments_match_the_trial(protocol: str, direction: str) -> None:
    planned = trial(protocol=protocol, direction=direction, streams=3, duration_s=7, offered_bps=9e8)
    argv = arguments(planned, settings(options="omit=2"), "10.0.0.1", 5201)
    found = iperf3.asked_for(task(planned, 2), argv)
    assert (found.protocol, found.streams, found.duration_s, found.omit_s) == (protocol, 3, 7, 2)
    assert found.reverse is (direction == "reverse")
    assert found.block_size_bytes == (1372 if protocol == "udp" else None)
    assert found.stream_bps == (300_000_000 if protocol == "udp" else None)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (("end", "sum_sent", "retransmits"), 2**64 - 1, "iperf3's figure end.sum_sent.retransmits is out of bounds"),
        (("end", "sum_received", "bits_per_second"), -5, "iperf3's figure end.sum_received.bits_per_second is out of"),
        (("end", "sum_received", "seconds"), 1e300, "iperf3's figure end.sum_received.seconds is out of bounds"),
        (("intervals", 0, "sum", "bytes"), -1, "iperf3's figure intervals[0].sum.bytes is out of bounds"),
        (("intervals", 1, "sum", "retransmits"), 2**64, "iperf3's figure intervals[1].sum.retransmits is out of"),
        (("end", "sum_received", "bits_per_second"), 1e6, "iperf3's bytes, seconds and bits per second contradict"),
    ],
)
def test_impossible_value_is_a_failure_that_names_it(place: tuple[str | int, ...], value: float, reason: str) -> None:
    document = json.loads(recorded("tcp-forward-3.21"))
    container = document
    for key in place[:-1]:
        container = container[key]
    assert place[-1] in container
    container[place[-1]] = value
    assert failure(json.dumps(document).encode(), exit_code=0).startswith(reason)


@pytest.mark.parametrize("value", ["nan", "-nan", "NaN", "inf", "-Infinity"])
def test_non_number_is_named_as_such(value: str) -> None:
    text = re.sub(rb'"retransmits":\s*\d+', f'"retransmits": {value}'.encode(), recorded("tcp-forward-3.21"))
    assert failure(text, exit_code=0) == f"iperf3's JSON gives {value} as retransmits, which is no number, exit code 0"


def test_number_beyond_float_range_is_a_failure() -> None:
    text = re.sub(rb'"retransmits":\s*\d+', b'"retransmits": 1e400', recorded("tcp-forward-3.21"))
    assert "retransmits" in failure(text, exit_code=0)


@pytest.mark.parametrize("opened", [b"[", b'{"a":'])
def test_deeply_nested_json_is_a_failure(opened: bytes) -> None:
    deep = b'{"unknown": ' + opened * 200_000 + b"1}"
    assert failure(deep, exit_code=0) == "iperf3's JSON is nested too deeply to be a report, exit code 0"


def losing(lost: list[int]) -> Report:
    """A recorded UDP test of a stream each, whose losses are these."""
    document = json.loads(recorded("udp-reverse-3.21"))
    end, start = document["end"], document["start"]["test_start"]
    end["streams"] = [{"udp": {**end["streams"][0]["udp"], "lost_packets": count}} for count in lost]
    end["sum_received"]["lost_packets"] = sum(lost)
    start["num_streams"] = len(lost)
    asked = Asked(protocol="udp", reverse=True, streams=len(lost), duration_s=1)
    found = iperf3.read_report(json.dumps(document).encode(), b"", 0, asked)
    assert isinstance(found, Report)
    return found


@pytest.mark.parametrize("lost", [[-3], [-50, 60], [-1, 0]])
def test_duplicated_datagrams_make_loss_null_and_flagged(lost: list[int]) -> None:
    found = losing(lost)
    assert found.lost_packets is None
    assert found.total_packets is not None
    assert "duplicate-packets" in found.flags


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
        ((100, None), (), "iperf3 says nothing of what stream 2 of 2 delivered"),
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
    found = iperf3.read_report(
        json.dumps(document).encode(), b"", 0, Asked(protocol="tcp", duration_s=1, streams=len(delivered))
    )
    assert (found.reason if isinstance(found, Failure) else None) == reason
    assert isinstance(found, Failure) or found.flags == flags


def test_missing_stream_is_a_failure() -> None:
    document = json.loads(recorded("tcp-reverse-p2-3.12"))
    document["end"]["streams"].pop()
    found = iperf3.read_report(json.dumps(document).encode(), b"", 0, asked("tcp-reverse-p2-3.12"))
    assert isinstance(found, Failure)
    assert found.reason == "iperf3 reports 1 of 2 streams"


@pytest.mark.parametrize(("seconds", "flags"), [(1.02, ()), (1.04, ("long-receiver",)), (0.91, ())])
def test_a_receiver_that_counted_longer_than_planned_is_flagged(seconds: float, flags: tuple[str, ...]) -> None:
    document = json.loads(recorded("tcp-forward-3.21"))
    received = document["end"]["sum_received"]
    received |= {"seconds": seconds, "bits_per_second": received["bytes"] * 8 / seconds}
    found = iperf3.read_report(json.dumps(document).encode(), b"", 0, TCP)
    assert isinstance(found, Report)
    assert found.flags == flags
