"""Results of k8s-netperf (cloud-bulldozer/k8s-netperf) as trials. Pure.

Each has the mean of a test's samples, whose single values are not kept, throughput in Mbit/s or operations a second,
and the 99th percentile in microseconds. A value of zero stands for one that could not be computed, so that it is taken
for unknown. The rate of iperf3 and uperf over UDP is the sender's.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from steps.imports.content import Content, ImportedTrial, Traffic
from steps.imports.readers.k8s_netperf_documents import (
    K8sNetperfCpu,
    K8sNetperfFigure,
    K8sNetperfMetadata,
    K8sNetperfNode,
    K8sNetperfResult,
    decode_csv,
    decode_json,
)
from steps.imports.readers.knb import CPU_WINDOW
from steps.imports.readers.traffic import TrafficShape, iperf3_shape, iperf3_traffic, other_traffic
from steps.imports.values import first_line, instant, number, slug
from steps.tools.failure import Failure

Row = Mapping[str, object]

MEANS: Final = "k8s-netperf keeps the mean of a test's samples, so how far these lay apart is unknown."

_MEGA: Final = 1e6
_MICROSECOND: Final = 1e-6
_MOST: Final = 1e9
_HUNDRED: Final = 100.0
_NETPERF: Final = "netperf"
_STREAM: Final = "stream"
_DRIVERS: Final = (_NETPERF, "iperf3", "uperf")

_NETWORKS: Final = ("udn", "bridge", "sriov", "macvlan", "localnet")
"""The secondary networks of a pod, as parts of a topology's name."""


def read_json(parts: Iterable[bytes]) -> Content | Failure:
    """The measurements of JSON documents, each a result or a list of them."""
    return _content(decode_json(parts))


def read_csv(data: bytes) -> Content | Failure:
    """The measurements of the CSV of throughputs, `result-*.csv`; others of its CSVs have no throughput."""
    return _content(decode_csv(data))


def _content(results: list[K8sNetperfResult] | Failure) -> Content | Failure:
    if isinstance(results, Failure):
        return results
    if not results:
        return Failure("it has no results of k8s-netperf")
    pairs = len({first_line(result.pair) for result in results} - {""})
    found = [_trial(result, pairs) for result in results]
    trials = tuple(trial for trial in found if isinstance(trial, ImportedTrial))
    faults = [f"result {n}: {one.reason}" for n, one in enumerate(found, 1) if isinstance(one, Failure)]
    if not trials:
        return Failure(faults[0])
    return Content(
        "k8s-netperf",
        trials,
        _provenance(results[0]),
        faults=tuple(faults),
        at=instant(first_line(results[0].timestamp)),
        figures=_digest(sorted(map(_figures, results))),
    )


def _figures(result: K8sNetperfResult) -> tuple[str, ...]:
    """What JSON and CSV both have of a test, with as many digits as the CSV."""
    numbers = (result.duration, result.parallelism, result.samples, result.message_size, result.throughput)
    shown = [
        f"{value:.6g}" if (value := number(each, _MOST)) is not None else "" for each in (*numbers, result.latency)
    ]
    where = (str(_is(each)) for each in (result.local, result.host_network, result.service))
    return (first_line(result.driver), first_line(result.profile), *where, *shown)


def _test(result: K8sNetperfResult) -> str:
    """The name of a test: the run's uuid, which a user may give to several, its time, cell and figures."""
    uuid = first_line(result.uuid)
    found = [uuid, first_line(result.timestamp), first_line(result.pair), _topology(result), *_figures(result)]
    return _digest(found) if uuid else ""


def _digest(parts: object) -> str:
    return hashlib.sha256(repr(parts).encode(errors="replace")).hexdigest()


def _trial(result: K8sNetperfResult, pairs: int) -> ImportedTrial | Failure:
    transport, _, kind = result.profile.lower().partition("_")
    if transport not in {"tcp", "udp", "sctp"} or kind not in {_STREAM, "rr", "crr"}:
        return Failure(f"its profile {first_line(result.profile)!r} is no STREAM, RR or CRR of TCP, UDP or SCTP")
    if result.driver not in _DRIVERS:
        return Failure(f"its driver {first_line(result.driver)!r} is not read, but {', '.join(_DRIVERS)}")
    streams = round(number(result.parallelism, 100_000) or 1)
    traffic = _beside_others(_traffic(result, transport, kind, streams), pairs)
    trial = ImportedTrial(traffic=traffic, topology=_topology(result), streams=streams, test=_test(result))
    value, metric = number(result.throughput, _MOST), first_line(result.tput_metric)
    expected = "Mb/s" if kind == _STREAM else "OP/s"
    if not value:
        return replace(trial, error="k8s-netperf has 0, which is also what it stores of a test that failed")
    if metric != expected:
        return replace(trial, error=f"its throughput is in {metric or 'no unit'}, not in {expected}")
    nodes = tuple(_nodes(result))
    return replace(
        trial,
        duration_s=number(result.duration, 1e6) or None,
        columns=_columns(result, traffic, kind, value),
        nodes=nodes,
        flags=(CPU_WINDOW,) if nodes else (),
    )


def _traffic(result: K8sNetperfResult, transport: str, kind: str, streams: int) -> Traffic:
    size = round(number(result.message_size, 2**31) or 0) or None
    if result.driver == "iperf3" and kind == _STREAM and transport != "sctp":
        found = iperf3_traffic(transport, iperf3_shape(transport, streams, size, 0, both_ways=False))
    else:
        burst = round(number(result.burst, 1e6) or 0)
        named = f"{kind}-burst{burst}" if burst and kind != _STREAM else kind
        figures = ("received_bps",) if kind == _STREAM else ("transactions_per_s", "response_p99_s")
        found = other_traffic(result.driver, transport, named, TrafficShape(streams, size), figures)
    return replace(found, figures=("sent_bps",)) if _is_sender_rate(result.driver, transport, kind) else found


def _beside_others(traffic: Traffic, pairs: int) -> Traffic:
    """The traffic of one of several pairs of pods that were measured at once: each has a share of the path."""
    if pairs <= 1:
        return traffic
    name, tool = f"{traffic.name}-of-{pairs}", f"{traffic.tool}_of_{pairs}"
    return replace(traffic, tool=tool, name=name, title=f"{traffic.title}, one of {pairs} pairs at once")


def _is_sender_rate(driver: str, transport: str, kind: str) -> bool:
    return kind == _STREAM and transport == "udp" and driver != _NETPERF


def _columns(result: K8sNetperfResult, traffic: Traffic, kind: str, value: float) -> dict[str, object]:
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
    p99 = number(result.latency, _MOST) if first_line(result.ltcy_metric) == "usec" else None
    return columns | {"transactions_per_s": value, "response_p99_s": p99 * _MICROSECOND if p99 else None}


def _topology(result: K8sNetperfResult) -> str:
    """The path, by the catalogue's name where it has one; else by what distinguishes it."""
    infos = {name: getattr(result, f"{name}_info") for name in _NETWORKS}
    network = next((name for name, info in infos.items() if isinstance(info, str) and slug(info)), "")
    client = "vm" if _is(result.virt) else "node" if _is(result.host_network) else "pod"
    server = "outside" if _is(result.external_server) else "service" if _is(result.service) else client
    parts = [client, "to", server, network]
    parts += ["same-node" if _is(result.local) else "", "across-zones" if _is(result.across_az) else ""]
    return "-".join(filter(None, parts))


def _is(value: K8sNetperfFigure) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")


def _nodes(result: K8sNetperfResult) -> Iterable[Row]:
    ends = (
        ("client", result.client_cpu, result.client_node_info),
        ("server", result.server_cpu, result.server_node_info),
    )
    for side, cpu, node in ends:
        ratios = {name: number(getattr(cpu, name), _HUNDRED) for name in K8sNetperfCpu.__struct_fields__} if cpu else {}
        idle, iowait = ratios.get("idle"), ratios.get("iowait")
        # all zero where Prometheus was not asked
        if idle and iowait is not None:
            shown = {f"{name}_ratio": value / _HUNDRED if value is not None else None for name, value in ratios.items()}
            busy = max(0.0, 1 - (idle + iowait) / _HUNDRED)
            yield {
                "node": (first_line(node.node_name) if node else "") or side,
                "side": side,
                **shown,
                "busy_ratio": busy,
            }


def _provenance(result: K8sNetperfResult) -> dict[str, str]:
    about = result.metadata or K8sNetperfMetadata()
    client, server = result.client_node_info or K8sNetperfNode(), result.server_node_info or K8sNetperfNode()
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
    return {name: shown for name, value in found.items() if (shown := first_line(value))}
