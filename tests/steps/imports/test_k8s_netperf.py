"""k8s-netperf's JSON and CSV, as measurements."""

from datetime import UTC, datetime

import pytest

from steps.imports.content import Content, ImportedTrial
from steps.imports.readers import formats
from steps.tools.failure import Failure
from tests.steps.imports import written


def read(data: bytes) -> Content:
    found = formats.read(data)
    assert isinstance(found, Content), found
    return found


def one(**changed: object) -> ImportedTrial:
    (trial,) = read(written.text([written.netperf(**changed)])).trials
    return trial


def test_netperf_stream_has_its_throughput_in_bits_a_second() -> None:
    trial = one()
    assert trial.columns["received_bps"] == pytest.approx(2_702.23e6)
    assert (trial.columns["retransmits"], trial.columns["mtu_bytes"]) == (55, 1400)
    assert "response_p99_s" not in trial.columns, "a stream has no responses"
    assert (trial.topology, trial.traffic.tool, trial.duration_s) == ("pod-to-pod", "netperf_stream_1kb", 10)
    found = read(written.text([written.netperf()]))
    assert found.at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_requests_have_transactions_and_a_percentile() -> None:
    trial = one(profile="TCP_RR", throughput=17101.8, tputMetric="OP/s", latency=119.7)
    assert trial.columns["transactions_per_s"] == 17101.8
    assert trial.columns["response_p99_s"] == pytest.approx(119.7e-6)
    assert trial.traffic.name == "netperf-tcp-rr-1kb"
    unknown = one(profile="TCP_RR", throughput=17101.8, tputMetric="OP/s", latency=0)
    assert unknown.columns["response_p99_s"] is None, "it stores 0 where it could not compute it"


@pytest.mark.parametrize(
    ("changed", "topology"),
    [
        ({"local": True}, "pod-to-pod-same-node"),
        ({"service": True}, "pod-to-service"),
        ({"hostNetwork": True}, "node-to-node"),
        ({"hostNetwork": True, "service": True}, "node-to-service"),
        ({"externalServer": True}, "pod-to-outside"),
        ({"acrossAZ": True}, "pod-to-pod-across-zones"),
        ({"virt": True, "udnInfo": "layer3"}, "vm-to-vm-udn"),
    ],
)
def test_paths_have_the_catalogues_names_where_they_have_one(changed: dict[str, object], topology: str) -> None:
    assert one(**changed).topology == topology


def test_udp_rate_is_the_senders_but_of_netperf() -> None:
    sender = one(driver="iperf3", profile="UDP_STREAM")
    assert sender.columns["sent_bps"] == pytest.approx(2_702.23e6)
    assert "received_bps" not in sender.columns
    assert sender.traffic.figures == ("sent_bps",)
    assert "received_bps" in one(profile="UDP_STREAM").columns


def test_zero_is_a_failed_trial() -> None:
    trial = one(throughput=0)
    assert trial.error is not None
    assert trial.columns == {}


def test_cpu_is_that_of_prometheus_where_it_was_asked() -> None:
    (client,) = one().nodes
    assert (client["node"], client["side"]) == ("node-a", "client")
    assert client["busy_ratio"] == pytest.approx(0.09)
    assert client["softirq_ratio"] == pytest.approx(0.03)
    assert one().flags == ("cpu-window",)


def test_csv_has_the_same_figures() -> None:
    stream, crr, rr = read(written.NETPERF_CSV.encode()).trials
    assert stream.columns["received_bps"] == pytest.approx(873.606667e6)
    assert (crr.topology, crr.columns["transactions_per_s"]) == ("pod-to-service", 2061.776667)
    assert (rr.topology, rr.streams, rr.traffic.tool) == ("node-to-node", 2, "netperf_rr_2_1kb")


@pytest.mark.parametrize(("pairs", "tool"), [("00", "netperf_stream_1kb"), ("01", "netperf_stream_1kb_of_2")])
def test_netperf_of_several_pairs_at_once_is_no_measurement_of_the_path(pairs: str, tool: str) -> None:
    head, stream, *_ = written.NETPERF_CSV.splitlines()
    text = "\n".join([f"Pair,{head}", *(f"{pair},{stream}" for pair in pairs)])
    assert {trial.traffic.tool for trial in read(text.encode()).trials} == {tool}


def test_netperf_row_of_an_unknown_profile_costs_itself_alone() -> None:
    found = read(written.text([written.netperf(), written.netperf(profile="ib_write_bw")]))
    assert len(found.trials) == 1
    assert found.faults == ("result 2: its profile 'ib_write_bw' is no STREAM, RR or CRR of TCP, UDP or SCTP",)


def test_csv_of_another_tool_is_refused() -> None:
    for text in (b"Role,Driver,Profile,Idle CPU\nClient,netperf,TCP_STREAM,99\n", b'Profile,"\n'):
        assert isinstance(formats.read(text), Failure)
