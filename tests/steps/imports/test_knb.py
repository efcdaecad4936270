"""knb's data files, JSON and YAML, as measurements."""

import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from steps.imports.content import Content
from steps.imports.readers import formats, knb
from steps.tools.failure import Failure
from tests.steps.imports import written


def read(data: bytes) -> Content:
    found = formats.read(data)
    assert isinstance(found, Content), found
    return found


def refused(data: bytes) -> str:
    found = formats.read(data)
    assert isinstance(found, Failure)
    return found.reason


def test_knb_data_file_has_what_was_measured() -> None:
    found = read(written.knbdata())
    tcp, udp = found.trials
    assert (tcp.topology, tcp.traffic.name, udp.topology, udp.traffic.name) == (
        *("pod-to-pod", "tcp"),
        *("pod-to-service", "udp"),
    )
    assert tcp.columns["received_bps"] == 9_625e6
    assert (tcp.columns["sent_bps"], tcp.columns["retransmits"], tcp.columns["mtu_bytes"]) == (9_650e6, 420, 8950)
    assert (udp.columns["lost_packets"], udp.columns["total_packets"]) == (163_940, 1_493_611)
    assert udp.columns["jitter_s"] == pytest.approx(8e-6)
    assert (tcp.duration_s, tcp.started_at) == (10.04, datetime.fromtimestamp(written.NOON, UTC))
    assert found.provenance["kernel"] == "6.1.0"
    assert found.at == datetime(2023, 11, 14, 22, 13, tzinfo=UTC)


def test_cpu_is_busy_above_idle_and_its_system_time_is_not_ours() -> None:
    client, server = read(written.knbdata()).trials[0].nodes
    assert (client["node"], client["side"], server["node"], server["side"]) == ("node-a", "client", "node-b", "server")
    assert client["busy_ratio"] == pytest.approx(0.10)
    assert client["busy_above_idle_ratio"] == pytest.approx(0.09)
    assert client["memory_used_bytes"] == 650 * 2**20
    assert "system_ratio" not in client, "sar's system time has that of interrupts in it"
    assert read(written.knbdata()).trials[0].flags == (knb.CPU_WINDOW,)


def test_knb_client_and_server_on_one_node_are_another_path() -> None:
    texts = written.knb_texts()
    texts["env"] = texts["env"].replace("node-b", "node-a")
    trial = read(written.knbdata(texts)).trials[0]
    assert trial.topology == "pod-to-pod-same-node"
    assert [node["side"] for node in trial.nodes] == ["both"]


def test_json_and_yaml_say_the_same() -> None:
    report = written.knb_report()
    found = read(written.text(report))
    assert found == read(yaml.safe_dump(report, sort_keys=False).encode())
    assert [trial.columns["received_bps"] for trial in found.trials] == [9_625e6, 9_625e6]
    assert [trial.started_at for trial in found.trials] == [None, None], "it gives no time of a test"


@pytest.mark.parametrize("mbps", [None, 0, "", "-nan"])
def test_knb_file_without_bandwidth_is_a_failed_trial(mbps: object) -> None:
    for trial in read(written.text(written.knb_report(mbps))).trials:
        assert trial.error is not None
        assert "received_bps" not in trial.columns


def test_knb_window_without_readings_leaves_cpu_unknown() -> None:
    texts = written.knb_texts() | {"tcp-p2p-client.avg": f"{written.AVERAGES}-nan -nan -nan -nan -nan 0 0\n"}
    client, _ = read(written.knbdata(texts)).trials[0].nodes
    assert client["busy_ratio"] is client["user_ratio"] is None


def test_knb_error_of_iperf3_is_the_reason() -> None:
    texts = written.knb_texts() | {"tcp-p2p.bw": "\n", "tcp-p2p.log": "iperf3: error - Message too large\n"}
    assert read(written.knbdata(texts)).trials[0].error == "iperf3: Message too large"


def test_knb_data_file_is_parsed_and_never_sourced(tmp_path: Path) -> None:
    texts = written.knb_texts()
    texts["env"] += f'SERVER_NODE="$(touch {tmp_path}/sourced)"\ntouch {tmp_path}/sourced\n'
    assert read(written.knbdata(texts)).provenance["server_node"] == f"$(touch {tmp_path}/sourced)"
    assert list(tmp_path.iterdir()) == []


def test_members_that_are_no_plain_files_are_not_read() -> None:
    link, outside = tarfile.TarInfo("cpu"), tarfile.TarInfo("../../kernel")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    texts = {name: text for name, text in written.knb_texts().items() if name not in {"cpu", "kernel"}}
    assert {"cpu", "kernel"}.isdisjoint(read(written.knbdata(texts, link=link, outside=outside)).provenance)


def test_hostile_archives_are_refused() -> None:
    bomb = written.knbdata({"env": " " * (65 * 2**20)})
    assert len(bomb) < 200_000
    assert "when unpacked" in refused(bomb)
    assert "one above" in refused(written.knbdata({"env": " " * (2**20 + 1)}))
    assert "it has more than 1000 files" in refused(written.knbdata({f"f{n}": "" for n in range(1_001)}))
    assert refused(written.knbdata()[:200]) == "it is cut short"
    assert "no file env" in refused(written.knbdata({"cpu": "x"}))


def test_yaml_without_anchors_only() -> None:
    assert "anchors" in refused(b"metadata: &a {generator: knb}\ndata: {cpu: *a}\n")
    assert "nested too deeply" in refused(b"metadata: " + b"[" * 100_000)
