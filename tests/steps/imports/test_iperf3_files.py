"""iperf3's outputs of all versions, as measurements."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from steps.catalogue import tools
from steps.imports.content import UNKNOWN_TRAFFIC, Content, ImportedTrial
from steps.imports.readers import iperf3_files
from steps.tools.failure import Failure
from steps.tools.iperf3 import shapes
from tests.steps.builders import RECORDED
from tests.steps.imports import written


def read(text: bytes) -> Content:
    found = iperf3_files.read(text)
    assert isinstance(found, Content), found
    return found


def one(text: bytes) -> ImportedTrial:
    (trial,) = read(text).trials
    return trial


def refused(text: bytes) -> str:
    found = iperf3_files.read(text)
    assert isinstance(found, Failure)
    return found.reason


def test_iperf3_document_has_figures_time_and_versions() -> None:
    found = read(written.text(written.tcp()))
    (trial,) = found.trials
    assert trial.columns["received_bps"] == pytest.approx(9e9)
    assert (trial.columns["retransmits"], trial.columns["rtt_s"]) == (7, pytest.approx(200e-6))
    assert trial.started_at == datetime.fromtimestamp(written.NOON, UTC)
    assert (trial.traffic.tool, trial.traffic.name, trial.direction, trial.streams) == ("iperf3", "tcp", "forward", 1)
    assert trial.error is None
    assert [sample["source"] for sample in trial.samples] == ["iperf3"]
    assert found.provenance == {"iperf3": "3.16", "system": "Linux node 6.1.0"}


@pytest.mark.parametrize("path", sorted(RECORDED.rglob("*[0-9].json")), ids=lambda path: path.stem)
def test_every_recorded_document_is_a_trial_of_a_known_kind_unless_it_never_began(path: Path) -> None:
    trial = one(path.read_bytes())
    never_began = "busy" in path.stem or "refused" in path.stem
    assert (trial.traffic is UNKNOWN_TRAFFIC) == never_began
    assert trial.error is not None or not never_began


@pytest.mark.parametrize(("version", "flagged"), [("3.1.7", True), ("3.10.1", True)])
def test_udp_receipt_of_older_iperf3_is_reckoned_from_datagrams(version: str, *, flagged: bool) -> None:
    trial = one(written.text(written.old_udp(sent=1000, lost=100, version=version)))
    assert trial.columns["received_bps"] == pytest.approx(900 * 1000 * 8 / 10)
    assert trial.columns["sent_bps"] == pytest.approx(1000 * 1000 * 8 / 10)
    assert (trial.columns["lost_packets"], trial.columns["total_packets"]) == (100, 1000)
    assert ("received-reckoned" in trial.flags) == flagged
    assert trial.traffic.name == "udp-paced", "the rate of such a test is not reported, so it is no unlimited one"


def test_iperf3_receiver_that_missed_everything_is_a_failed_trial() -> None:
    assert one(written.text(written.old_udp(sent=10, lost=10))).error is not None


def test_both_directions_of_older_versions_come_from_the_streams() -> None:
    trial = one(written.text(written.old_both()))
    assert trial.error is None
    assert trial.columns["forward_bps"] == trial.columns["reverse_bps"] == pytest.approx(9e9)
    assert trial.traffic.tool == "tcp_both"


def test_intervals_of_older_versions_in_reverse_are_the_receivers() -> None:
    (sample,) = one(written.text(written.tcp(version="3.1.3", reverse=1))).samples
    assert sample["side"] == "receiver"


def test_iperf3_stream_of_events_is_the_document() -> None:
    document = written.tcp(version="3.19")
    assert one(written.streamed(document)) == one(written.text(document))


def test_documents_one_after_another_are_one_trial_each() -> None:
    text = b"\n".join(written.text(written.tcp(bps)) for bps in (1e9, 2e9))
    assert [trial.columns["received_bps"] for trial in read(text).trials] == [pytest.approx(1e9), pytest.approx(2e9)]


def test_damaged_iperf3_document_costs_itself_alone() -> None:
    found = read(
        b"\n".join([written.text(written.tcp(1e9)), b'{"start": {"test_start": 7}}', written.text(written.tcp())])
    )
    assert len(found.trials) == 2
    assert len(found.faults) == 1
    assert found.faults[0].startswith("document 2: iperf3's JSON has an unknown form")


@pytest.mark.parametrize(
    ("changed", "tool", "name", "title"),
    [
        ({}, "iperf3", "tcp", "TCP"),
        ({"num_streams": 8}, "tcp_8", "tcp-8", "TCP, 8 streams"),
        ({"num_streams": 4}, "iperf3_4", "tcp-4", "TCP, 4 streams"),
        ({"blksize": 64}, "tcp_64b", "tcp-64b", "TCP, messages of 64 B"),
        ({"blksize": 8192}, "iperf3_8kb", "tcp-8kb", "TCP, messages of 8 KiB"),
        ({"target_bitrate": 500_000_000}, "iperf3_500m", "tcp-500m", "TCP, 500 Mbit/s offered"),
    ],
)
def test_iperf3_document_of_another_shape_is_another_tool(
    changed: dict[str, object], tool: str, name: str, title: str
) -> None:
    traffic = one(written.text(written.tcp(**changed))).traffic  # type: ignore[arg-type]
    assert (traffic.tool, traffic.name, traffic.title) == (tool, name, title)


def test_shape_of_the_catalogue_is_imported_as_it_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = replace(shapes.EIGHT_STREAMS, name="tcp_32")
    variant = replace(tool.variants[0], name="tcp-32", title="TCP, 32 streams")
    monkeypatch.setitem(tools.VARIANTS, "tcp-32", (tool, variant))
    several = one(written.text(written.tcp(num_streams=32))).traffic
    assert (several.tool, several.title) == ("tcp_32", "TCP, 32 streams")
    slow = one(written.text(written.tcp(target_bitrate=32))).traffic
    assert (slow.tool, slow.title) == ("iperf3_32", "TCP, 32 bit/s offered"), "of the same name, and no shape"


def test_iperf3_error_is_a_failed_trial_where_the_test_is_known() -> None:
    document = written.tcp() | {"error": "control socket has closed\nunexpectedly"}
    trial = one(written.text(document))
    assert trial.error == "iperf3: control socket has closed"
    assert trial.columns == {}


def test_iperf3_error_before_the_test_is_a_failed_trial_of_an_unknown_kind() -> None:
    trial = one(b'{"start": {}, "error": "unable to connect"}')
    assert (trial.error, trial.direction, trial.streams) == ("iperf3: unable to connect", None, None)
    assert trial.traffic is UNKNOWN_TRAFFIC


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"protocol": "SCTP"}, "it is a test over SCTP, and those over TCP and UDP are read"),
        ({"num_streams": 0}, "iperf3's JSON does not describe its test"),
        ({"duration": 10**6}, "it is a test of more than 4096 streams or 86400 s"),
    ],
)
def test_iperf3_document_that_is_not_read_has_a_reason(changed: dict[str, object], reason: str) -> None:
    document = written.tcp()
    document["start"]["test_start"] |= changed
    assert refused(written.text(document)) == reason


@pytest.mark.parametrize("version", ["3.9", "3.18"])
def test_iperf3_test_of_blocks_has_a_rate_as_long_as_it_ends_with_them(version: str) -> None:
    document = written.tcp(version=version, duration=0, blocks=100)
    assert (one(written.text(document)).error is None) == (version == "3.9")
