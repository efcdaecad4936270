import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps import iperf3
from steps.iperf3 import Failure, Report
from steps.reports.iperf3_plan import Asked
from steps.settings import choose
from tests.steps.builders import RECORDED, settings, trial


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
    found = iperf3.read(recorded(name), b"", 0, asked(name))
    assert isinstance(found, Report)
    return found


def failure(stdout: bytes, stderr: bytes = b"", exit_code: int | None = 1) -> str:
    found = iperf3.read(stdout, stderr, exit_code, TCP)
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
def test_intervals_of_old_and_new_versions(name: str, version: str, side: str, omitted: int, counted: int) -> None:
    found = report(name)
    assert found.version == version
    assert {i.side for i in found.intervals} == {side}
    assert [i.omitted for i in found.intervals] == [True] * omitted + [False] * counted
    offsets = [i.offset_s for i in found.intervals]
    assert offsets == sorted(offsets), "the warm-up comes first, though iperf3's clock starts anew after it"
    measured = [i.bps for i in found.intervals if not i.omitted and i.bps is not None]
    assert sum(measured) / len(measured) == pytest.approx(found.received_bps, rel=0.25)


def test_a_sender_elsewhere_has_no_known_round_trip_time_rather_than_zero() -> None:
    assert report("tcp-reverse-omit-3.12").rtt_s is None
    rtt_s = report("tcp-forward-3.21").rtt_s
    assert rtt_s is not None
    assert rtt_s > 0


def test_losses_that_a_pair_of_versions_denies_are_reckoned_from_the_bytes_and_flagged() -> None:
    name = "udp-forward-3.21-against-3.12"
    end = json.loads(recorded(name))["end"]
    assert end["sum_received"]["lost_packets"] == 0, "the recorded defect"
    found = report(name)
    assert found.flags == ("udp-counters",)
    lost = round((end["sum_sent"]["bytes"] - end["sum_received"]["bytes"]) / 1200)
    assert lost > 1000
    assert found.lost_packets == lost


def test_losses_of_the_warm_up_that_3_12_counts_are_left_out_and_flagged() -> None:
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
def test_an_error_is_a_failure_whatever_the_exit_code(name: str, sentence: str, exit_code: int) -> None:
    assert failure(recorded(name), exit_code=exit_code) == sentence


@pytest.mark.parametrize("name", ["refused-3.21", "interrupted-3.21"])
def test_errors_of_new_versions_are_failures(name: str) -> None:
    assert failure(recorded(name), exit_code=0).startswith("iperf3: ")


def test_output_that_is_no_json_is_a_failure_that_quotes_it() -> None:
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


def test_figures_of_a_program_that_failed_are_not_believed() -> None:
    assert failure(recorded("tcp-forward-3.21"), b"iperf3: oops", 1) == "iperf3 ended with exit code 1: iperf3: oops"


def test_a_warning_around_the_json_is_no_failure() -> None:
    text = b"warning: this system does not seem to support IPv6\n" + recorded("tcp-forward-3.21") + b"\ndone\n"
    assert iperf3.read(text, b"", 0, TCP) == report("tcp-forward-3.21")


def test_nothing_received_is_a_failure_and_never_a_zero() -> None:
    document = json.loads(recorded("tcp-forward-3.21"))
    document["end"]["sum_received"] |= {"bytes": 0, "bits_per_second": 0}
    assert failure(json.dumps(document).encode(), exit_code=0) == "no byte reached the receiver in 1 s"


def test_no_interval_at_all_is_still_a_report() -> None:
    document = json.loads(recorded("tcp-forward-3.21"))
    document["intervals"] = []
    found = iperf3.read(json.dumps(document).encode(), b"", 0, TCP)
    assert isinstance(found, Report)
    assert found.intervals == ()


@pytest.mark.parametrize("name", ["tcp-forward-3.21", "udp-reverse-3.12", "cluster-udp-pod-to-service-3.12"])
@given(share=st.floats(0, 0.999))
def test_half_a_json_is_never_a_report(name: str, share: float) -> None:
    whole = recorded(name).rstrip()
    assert isinstance(iperf3.read(whole[: int(len(whole) * share)], b"", 0, asked(name)), Failure)


@given(st.binary(max_size=200), st.binary(max_size=50), st.none() | st.integers(-20, 255))
def test_whatever_is_printed_never_raises(stdout: bytes, stderr: bytes, exit_code: int | None) -> None:
    found = iperf3.read(stdout, stderr, exit_code, TCP)
    assert isinstance(found, Failure)
    assert "\n" not in found.reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(["start", "intervals", "end", "error"]), json_values)
def test_any_part_replaced_never_raises(part: str, value: object) -> None:
    document = json.loads(recorded("cluster-udp-pod-to-service-3.12"))
    document[part] = value
    assert isinstance(iperf3.read(json.dumps(document).encode(), b"", 0, UDP), Report | Failure)


def test_the_arguments_of_a_tcp_trial() -> None:
    command = iperf3.argv(trial(direction="reverse"), settings(options="omit=2 streams=1"), "10.0.0.1", 5201)
    assert " ".join(command) == (
        "iperf3 -c 10.0.0.1 -p 5201 -J --connect-timeout 5000 -t 1 -i 0.5 -P 1 -O 2 -R -C cubic"
    )


def test_the_arguments_of_a_udp_trial_share_the_rate_among_streams() -> None:
    chosen = settings(options="protocols=udp")
    paced = iperf3.argv(trial(protocol="udp", streams=4, offered_bps=1e9, duration_s=10), chosen, "::1", 5201)
    assert " ".join(paced).endswith("-t 10 -i 1 -P 4 -u -b 250000000 -l 1372 --udp-counters-64bit")
    unlimited = iperf3.argv(trial(protocol="udp"), chosen, "::1", 5201)
    assert " ".join(unlimited).endswith("-u -b 0 -l 1372 --udp-counters-64bit")


def test_a_chosen_block_size_is_passed_on() -> None:
    chosen = settings(options="block_size=1000 protocols=tcp,udp")
    for protocol in ("tcp", "udp"):
        command = iperf3.argv(trial(protocol=protocol), chosen, "h", 1)
        assert command[command.index("-l") + 1] == "1000"


def test_a_cluster_keeps_its_nodes_congestion_control_unless_asked() -> None:
    for options, told in (("", []), ("congestion_control=reno", ["-C", "reno"])):
        chosen = choose(profile="smoke", environment="prod", options=options)
        argv = iperf3.argv(trial(), chosen, "10.0.0.1", 5201)
        assert [word for word in argv if word in {"-C", "reno"}] == told
