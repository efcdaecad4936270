"""Output of iperf3 that is no measurement."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.tools.failure import Failure
from steps.tools.iperf3 import iperf3
from steps.tools.iperf3.iperf3 import IperfReport
from steps.tools.tool import Output, Task
from tests.steps.tools.iperf3_reports import TCP, UDP, failure, planned, recorded


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
    assert failure(b'{"start": 3}', exit_code=0).startswith("iperf3's JSON has an unknown form: ")
    assert failure(b"\xff\xfe{\xff}").startswith("iperf3's JSON is damaged: ")
    assert failure(b"}{") == "iperf3's JSON is cut short after 2 bytes, exit code 1"
    assert failure(b"{}", exit_code=0) == "iperf3's JSON does not describe its test"


def test_report_with_nonzero_exit_code_is_a_failure() -> None:
    assert failure(recorded("tcp-forward-3.21"), b"iperf3: oops", 1) == "iperf3 ended with exit code 1: iperf3: oops"


def test_zero_bytes_received_is_a_failure() -> None:
    document = json.loads(recorded("tcp-forward-3.21"))
    document["end"]["sum_received"] |= {"bytes": 0, "bits_per_second": 0}
    assert failure(json.dumps(document).encode(), exit_code=0) == "no byte reached the receiver in 1 s"


@pytest.mark.parametrize("name", ["tcp-forward-3.21", "udp-reverse-3.12", "cluster-udp-pod-to-service-3.12"])
@given(share=st.floats(0, 0.999))
def test_truncated_json_is_never_a_report(name: str, share: float) -> None:
    whole = recorded(name).rstrip()
    assert isinstance(iperf3.read(planned(name), (), Output(whole[: int(len(whole) * share)])), Failure)


@given(st.binary(max_size=200), st.binary(max_size=50), st.none() | st.integers(-20, 255))
def test_any_output_never_raises(stdout: bytes, stderr: bytes, exit_code: int | None) -> None:
    found = iperf3.read(TCP, (), Output(stdout, stderr, exit_code))
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
    assert isinstance(iperf3.read(UDP, (), Output(json.dumps(document).encode())), IperfReport | Failure)


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
def test_iperf3_document_of_another_test_is_a_failure(other: str) -> None:
    document = json.loads(recorded("tcp-forward-3.21"))
    document["start"]["test_start"] |= CHANGES[other]
    assert failure(json.dumps(document).encode(), exit_code=0) == (
        f"iperf3's JSON is of another test than was requested: {OTHER_TESTS[other]}"
    )


def test_block_size_and_rate_are_checked_against_the_trial() -> None:
    document = recorded("udp-forward-3.21-against-3.12")
    wanted = Task(transport="udp", duration_s=1, offered_bps=10**9)
    found = iperf3.read(wanted, ("iperf3", "-l", "1372"), Output(document))
    assert isinstance(found, Failure)
    assert found.reason.endswith("block size 1200 B, not 1372 B; rate 2000000000 bit/s, not 1000000000 bit/s")
    right = Task(transport="udp", duration_s=1, offered_bps=2 * 10**9)
    assert isinstance(iperf3.read(right, ("iperf3", "-l", "1200"), Output(document)), IperfReport)


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
