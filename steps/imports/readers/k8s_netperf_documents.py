"""The documents of k8s-netperf (cloud-bulldozer/k8s-netperf): JSON, and its CSV of throughputs. Pure."""

import csv
import io
from collections.abc import Iterable
from typing import Final

import msgspec

from steps.tools import bounds
from steps.tools.failure import Failure

_MOST_ROWS: Final = 20_000

_COLUMNS: Final = {
    "Pair": "pair",
    "Driver": "driver",
    "Profile": "profile",
    "Same node": "local",
    "Host Network": "hostNetwork",
    "VM mode": "virt",
    "Service": "service",
    "External Server": "externalServer",
    "UDN Info": "udnInfo",
    "Bridge Info": "bridgeInfo",
    "SR-IOV Info": "sriovInfo",
    "Macvlan Info": "macvlanInfo",
    "Localnet Info": "localnetInfo",
    "Duration": "duration",
    "Parallelism": "parallelism",
    "# of Samples": "samples",
    "Message Size": "messageSize",
    "Burst": "burst",
    "Avg Throughput": "throughput",
    "Throughput Metric": "tputMetric",
    "99%tile Observed Latency": "latency",
    "Latency Metric": "ltcyMetric",
}
"""The columns of the CSV, by the JSON's fields of the same meaning."""

_NEEDED: Final = ("Driver", "Profile", "Avg Throughput", "Throughput Metric")

K8sNetperfFigure = float | bool | str | None


class K8sNetperfNode(msgspec.Struct, rename="camel"):
    """A node's name and kernel."""

    node_name: K8sNetperfFigure = None
    kernel_version: K8sNetperfFigure = None


class K8sNetperfCpu(msgspec.Struct):
    """Per cent of all cores."""

    idle: K8sNetperfFigure = msgspec.field(default=None, name="idleCPU")
    user: K8sNetperfFigure = msgspec.field(default=None, name="userCPU")
    nice: K8sNetperfFigure = msgspec.field(default=None, name="niceCPU")
    system: K8sNetperfFigure = msgspec.field(default=None, name="systemCPU")
    iowait: K8sNetperfFigure = msgspec.field(default=None, name="ioCPU")
    irq: K8sNetperfFigure = msgspec.field(default=None, name="irqCPU")
    softirq: K8sNetperfFigure = msgspec.field(default=None, name="softCPU")
    steal: K8sNetperfFigure = msgspec.field(default=None, name="stealCPU")


class K8sNetperfMetadata(msgspec.Struct, rename="camel"):
    """The cluster."""

    kernel: K8sNetperfFigure = None
    mtu: K8sNetperfFigure = None
    platform: K8sNetperfFigure = None
    ocp_version: K8sNetperfFigure = None
    k8s_version: K8sNetperfFigure = None
    sdn_type: K8sNetperfFigure = None


class K8sNetperfResult(msgspec.Struct, rename="camel"):
    """One test: the mean of its samples."""

    driver: str
    profile: str
    pair: K8sNetperfFigure = None
    uuid: K8sNetperfFigure = None
    timestamp: K8sNetperfFigure = None
    local: K8sNetperfFigure = None
    host_network: K8sNetperfFigure = None
    service: K8sNetperfFigure = None
    virt: K8sNetperfFigure = None
    across_az: K8sNetperfFigure = msgspec.field(default=None, name="acrossAZ")
    external_server: K8sNetperfFigure = None
    udn_info: K8sNetperfFigure = None
    bridge_info: K8sNetperfFigure = None
    sriov_info: K8sNetperfFigure = None
    macvlan_info: K8sNetperfFigure = None
    localnet_info: K8sNetperfFigure = None
    duration: K8sNetperfFigure = None
    parallelism: K8sNetperfFigure = None
    samples: K8sNetperfFigure = None
    message_size: K8sNetperfFigure = None
    burst: K8sNetperfFigure = None
    throughput: K8sNetperfFigure = None
    tput_metric: K8sNetperfFigure = None
    latency: K8sNetperfFigure = None
    ltcy_metric: K8sNetperfFigure = None
    tcp_retransmits: K8sNetperfFigure = None
    tool_version: K8sNetperfFigure = None
    metadata: K8sNetperfMetadata | None = None
    client_node_info: K8sNetperfNode | None = None
    server_node_info: K8sNetperfNode | None = None
    client_cpu: K8sNetperfCpu | None = msgspec.field(default=None, name="clientCPU")
    server_cpu: K8sNetperfCpu | None = msgspec.field(default=None, name="serverCPU")


_LIST: Final = msgspec.json.Decoder(list[K8sNetperfResult])
_ONE: Final = msgspec.json.Decoder(K8sNetperfResult)


def decode_json(parts: Iterable[bytes]) -> list[K8sNetperfResult] | Failure:
    """The results of JSON documents, each a result or a list of them."""
    results: list[K8sNetperfResult] = []
    for part in parts:
        if part.lstrip().startswith(b"["):
            many = bounds.decode(_LIST, part, "k8s-netperf", len(part))
            if isinstance(many, Failure):
                return many
            results += many
        else:
            one = bounds.decode(_ONE, part, "k8s-netperf", len(part))
            if isinstance(one, Failure):
                return one
            results.append(one)
    return results


def decode_csv(data: bytes) -> list[K8sNetperfResult] | Failure:
    """The results of the CSV of throughputs, `result-*.csv`; others of its CSVs have no throughput."""
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
        if missing:
            return Failure(f"its columns are not those of k8s-netperf's throughputs: {missing[0]} is missing")
        rows: list[dict[str, str]] = []
        for row in reader:
            if len(rows) == _MOST_ROWS:
                return Failure(f"it has more than {_MOST_ROWS:,} rows")
            rows.append({field: row[name] for name, field in _COLUMNS.items() if row.get(name) is not None})
        return msgspec.convert(rows, list[K8sNetperfResult])
    except (UnicodeDecodeError, csv.Error) as error:
        return Failure(f"it is damaged CSV: {bounds.one_line(str(error))}")
    except msgspec.ValidationError as error:
        return Failure(f"its CSV has an unknown form: {error}")
