"""Results of k8s-netperf (cloud-bulldozer/k8s-netperf): its JSON documents and its CSV of throughputs. Pure.

Each has the mean of a test's samples, whose single values are not kept, throughput in Mbit/s or operations a second,
and the 99th percentile in microseconds. A value of zero stands for one that could not be computed, so that it is taken
for unknown. The rate of iperf3 and uperf over UDP is the sender's.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

import msgspec

from steps.imports.content import Content, ImportedTrial, Traffic
from steps.imports.knb import CPU_WINDOW
from steps.imports.traffic import Shape, iperf3_shape, iperf3_traffic, only_sent, other_traffic
from steps.imports.values import instant, number, slug, text
from steps.tools import bounds
from steps.tools.failure import Failure

Row = Mapping[str, object]

MEANS: Final = "k8s-netperf keeps the mean of a test's samples, so how far these lay apart is unknown."

_MEGA: Final = 1e6
_MICROSECOND: Final = 1e-6
_MOST: Final = 1e9
_HUNDRED: Final = 100.0
_MOST_ROWS: Final = 20_000
_NETPERF: Final = "netperf"
_STREAM: Final = "stream"
_DRIVERS: Final = (_NETPERF, "iperf3", "uperf")

NETWORKS: Final = {
    "udn": "udnInfo",
    "bridge": "bridgeInfo",
    "sriov": "sriovInfo",
    "macvlan": "macvlanInfo",
    "localnet": "localnetInfo",
}
"""The secondary networks of a pod, by the part of a topology's name that they are, with their field."""

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

Value = float | bool | str | None


class Node(msgspec.Struct, rename="camel"):
    """A node's name and kernel."""

    node_name: Value = None
    kernel_version: Value = None


class Cpu(msgspec.Struct):
    """Per cent of all cores."""

    idle: Value = msgspec.field(default=None, name="idleCPU")
    user: Value = msgspec.field(default=None, name="userCPU")
    nice: Value = msgspec.field(default=None, name="niceCPU")
    system: Value = msgspec.field(default=None, name="systemCPU")
    iowait: Value = msgspec.field(default=None, name="ioCPU")
    irq: Value = msgspec.field(default=None, name="irqCPU")
    softirq: Value = msgspec.field(default=None, name="softCPU")
    steal: Value = msgspec.field(default=None, name="stealCPU")


class Metadata(msgspec.Struct, rename="camel"):
    """The cluster."""

    kernel: Value = None
    mtu: Value = None
    platform: Value = None
    cluster_type: Value = None
    ocp_version: Value = None
    k8s_version: Value = None
    sdn_type: Value = None


class Result(msgspec.Struct, rename="camel"):
    """One test: the mean of its samples."""

    driver: str
    profile: str
    pair: Value = None
    uuid: Value = None
    timestamp: Value = None
    local: Value = None
    host_network: Value = None
    service: Value = None
    virt: Value = None
    across_az: Value = msgspec.field(default=None, name="acrossAZ")
    external_server: Value = None
    udn_info: Value = None
    bridge_info: Value = None
    sriov_info: Value = None
    macvlan_info: Value = None
    localnet_info: Value = None
    duration: Value = None
    parallelism: Value = None
    samples: Value = None
    message_size: Value = None
    burst: Value = None
    throughput: Value = None
    tput_metric: Value = None
    latency: Value = None
    ltcy_metric: Value = None
    tcp_retransmits: Value = None
    tool_version: Value = None
    metadata: Metadata | None = None
    client_node_info: Node | None = None
    server_node_info: Node | None = None
    client_cpu: Cpu | None = msgspec.field(default=None, name="clientCPU")
    server_cpu: Cpu | None = msgspec.field(default=None, name="serverCPU")


_LIST: Final = msgspec.json.Decoder(list[Result])
_ONE: Final = msgspec.json.Decoder(Result)


def read_json(parts: Iterable[bytes]) -> Content | Failure:
    """The measurements of JSON documents, each a result or a list of them."""
    results: list[Result] = []
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
    return _content(results)


def read_csv(data: bytes) -> Content | Failure:
    """The measurements of the CSV of throughputs, `result-*.csv`; others of its CSVs have no throughput."""
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
        return _content(msgspec.convert(rows, list[Result]))
    except (UnicodeDecodeError, csv.Error) as error:
        return Failure(f"it is damaged CSV: {bounds.one_line(str(error))}")
    except msgspec.ValidationError as error:
        return Failure(f"its CSV has an unknown form: {error}")


def _content(results: list[Result]) -> Content | Failure:
    if not results:
        return Failure("it has no results of k8s-netperf")
    pairs = len({text(result.pair) for result in results} - {""})
    found = [_trial(result, pairs) for result in results]
    trials = tuple(trial for trial in found if isinstance(trial, ImportedTrial))
    faults = [f"result {n}: {one.reason}" for n, one in enumerate(found, 1) if isinstance(one, Failure)]
    if not trials:
        return Failure(faults[0])
    return Content(
        "k8s-netperf", trials, _provenance(results[0]), faults=tuple(faults), at=instant(text(results[0].timestamp))
    )


def _trial(result: Result, pairs: int) -> ImportedTrial | Failure:
    transport, _, kind = result.profile.lower().partition("_")
    if transport not in {"tcp", "udp", "sctp"} or kind not in {_STREAM, "rr", "crr"}:
        return Failure(f"its profile {text(result.profile)!r} is no STREAM, RR or CRR of TCP, UDP or SCTP")
    if result.driver not in _DRIVERS:
        return Failure(f"its driver {text(result.driver)!r} is not read, but {', '.join(_DRIVERS)}")
    traffic = _beside_others(_traffic(result, transport, kind), pairs)
    streams = round(number(result.parallelism, 100_000) or 1)
    value, metric = number(result.throughput, _MOST), text(result.tput_metric)
    expected = "Mb/s" if kind == _STREAM else "OP/s"
    error = None
    if not value:
        error = "k8s-netperf has 0, which is also what it stores of a test that failed"
    elif metric != expected:
        error = f"its throughput is in {metric or 'no unit'}, not in {expected}"
    columns: dict[str, object] = {}
    nodes: tuple[Row, ...] = ()
    if error is None and value is not None:
        columns = _columns(result, traffic, kind, value)
        nodes = tuple(_nodes(result))
    return ImportedTrial(
        traffic=traffic,
        topology=_topology(result),
        streams=streams,
        duration_s=number(result.duration, 1e6) or None if error is None else None,
        columns=columns,
        nodes=nodes,
        flags=(CPU_WINDOW,) if nodes else (),
        error=error,
    )


def _traffic(result: Result, transport: str, kind: str) -> Traffic:
    streams = round(number(result.parallelism, 100_000) or 1)
    size = round(number(result.message_size, 2**31) or 0) or None
    if result.driver == "iperf3" and kind == _STREAM and transport != "sctp":
        shape = iperf3_shape(transport, streams, size, 0, both_ways=False)
        found = iperf3_traffic(transport, shape)
    else:
        burst = round(number(result.burst, 1e6) or 0)
        named = f"{kind}-burst{burst}" if burst and kind != _STREAM else kind
        figures = ("received_bps",) if kind == _STREAM else ("transactions_per_s", "response_p99_s")
        found = other_traffic(result.driver, transport, named, Shape(streams, size), figures)
    return only_sent(found) if _is_sender_rate(result.driver, transport, kind) else found


def _beside_others(traffic: Traffic, pairs: int) -> Traffic:
    """The traffic of one of several pairs of pods that were measured at once: each has a share of the path."""
    if pairs <= 1:
        return traffic
    name, tool = f"{traffic.name}-of-{pairs}", f"{traffic.tool}_of_{pairs}"
    return replace(traffic, tool=tool, name=name, title=f"{traffic.title}, one of {pairs} pairs at once")


def _is_sender_rate(driver: str, transport: str, kind: str) -> bool:
    return kind == _STREAM and transport == "udp" and driver != _NETPERF


def _columns(result: Result, traffic: Traffic, kind: str, value: float) -> dict[str, object]:
    columns: dict[str, object] = {"block_size_bytes": round(number(result.message_size, 2**31) or 0) or None}
    mtu = number(result.metadata.mtu, 2**31 - 1) if result.metadata is not None else None
    columns["mtu_bytes"] = round(mtu) if mtu else None
    if kind == _STREAM:
        sender = _is_sender_rate(result.driver, traffic.transport, kind)
        columns["sent_bps" if sender else "received_bps"] = value * _MEGA
        resent = number(result.tcp_retransmits, _MOST)
        if traffic.transport == "tcp" and result.driver != "uperf" and resent is not None:
            columns["retransmits"] = round(resent)
        return columns
    p99 = number(result.latency, _MOST) if text(result.ltcy_metric) == "usec" else None
    return columns | {"transactions_per_s": value, "response_p99_s": p99 * _MICROSECOND if p99 else None}


def _topology(result: Result) -> str:
    """The path, by the catalogue's name where it has one; else by what distinguishes it."""
    network = next((name for name, field in NETWORKS.items() if _named(getattr(result, f"{name}_info"))), "")
    client = "vm" if _is(result.virt) else "node" if _is(result.host_network) else "pod"
    if _is(result.external_server):
        server = "outside"
    elif _is(result.service):
        server = "service"
    else:
        server = client
    parts = [client, "to", server, network]
    parts += ["same-node" if _is(result.local) else "", "across-zones" if _is(result.across_az) else ""]
    return "-".join(filter(None, parts))


def _named(value: Value) -> bool:
    return isinstance(value, str) and bool(slug(value))


def _is(value: Value) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")


def _nodes(result: Result) -> Iterable[Row]:
    ends = (
        ("client", result.client_cpu, result.client_node_info),
        ("server", result.server_cpu, result.server_node_info),
    )
    for side, cpu, node in ends:
        ratios = {name: number(getattr(cpu, name), _HUNDRED) for name in Cpu.__struct_fields__} if cpu else {}
        idle, iowait = ratios.get("idle"), ratios.get("iowait")
        # all zero where Prometheus was not asked
        if idle and iowait is not None:
            shown = {f"{name}_ratio": value / _HUNDRED if value is not None else None for name, value in ratios.items()}
            busy = max(0.0, 1 - (idle + iowait) / _HUNDRED)
            yield {"node": (text(node.node_name) if node else "") or side, "side": side, **shown, "busy_ratio": busy}


def _provenance(result: Result) -> dict[str, str]:
    about = result.metadata or Metadata()
    client, server = result.client_node_info or Node(), result.server_node_info or Node()
    found = {
        "k8s_netperf": result.tool_version,
        "kernel": about.kernel or client.kernel_version,
        "kubernetes": about.k8s_version,
        "openshift": about.ocp_version,
        "platform": about.platform,
        "network_plugin": about.sdn_type,
        "client_node": client.node_name,
        "server_node": server.node_name,
    }
    return {name: shown for name, value in found.items() if (shown := text(value))}
