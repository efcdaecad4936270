"""knb's reports (InfraBuilder/k8s-bench-suite, 1.0 to 1.5): its JSON, its YAML, and what its data files hold. Pure.

knb prints bandwidths in Mbit/s, CPU in per cent of all cores by `sar`, whose system time has that of interrupts in it,
and memory in MiB. It reads CPU and memory about once a second from the start of the client's pod for the time of a
test, so with its start-up and not of the measured seconds alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import msgspec
import yaml

from steps.imports.content import Content, ImportedTrial
from steps.imports.readers.traffic import PLAIN, iperf3_traffic
from steps.imports.values import first_line, instant, number
from steps.tools import bounds
from steps.tools.failure import Failure

Row = Mapping[str, object]

CPU_WINDOW: Final = "cpu-window"
"""The flag of a trial whose CPU figures are of another window than its own."""

PATHS: Final = {"pod2pod": "pod-to-pod", "pod2svc": "pod-to-service"}
"""knb's names of the topologies; both are across nodes, unless client and server were given the same one."""

TRANSPORTS: Final = ("tcp", "udp")
SIDES: Final = ("client", "server")
MODES: Final = ("user", "nice", "system", "iowait", "steal")

_MEGA: Final = 1e6
_MIB: Final = 2**20
_MOST_MBPS: Final = 1e9
_MOST_MIB: Final = 1e9
_HUNDRED: Final = 100.0

KnbFigure = float | str | None
"""A number, or what knb prints in its place."""


class KnbCpu(msgspec.Struct):
    """Per cent of all cores."""

    user: KnbFigure = None
    nice: KnbFigure = None
    system: KnbFigure = None
    iowait: KnbFigure = None
    steal: KnbFigure = None


class NodeResult(msgspec.Struct):
    """One node in one test."""

    cpu: KnbCpu = msgspec.field(default_factory=KnbCpu)
    ram: KnbFigure = None


class KnbTest(msgspec.Struct):
    """One test; idle has a bandwidth of 0."""

    bandwidth: KnbFigure = None
    client: NodeResult = msgspec.field(default_factory=NodeResult)
    server: NodeResult = msgspec.field(default_factory=NodeResult)


class KnbPath(msgspec.Struct):
    """The tests of one path."""

    tcp: KnbTest | None = None
    udp: KnbTest | None = None


class KnbMetadata(msgspec.Struct, rename="kebab"):
    """What was run, where and when."""

    generator: str
    name: KnbFigure = None
    version: KnbFigure = None
    date: KnbFigure = None
    server_node: KnbFigure = None
    client_node: KnbFigure = None
    socket_buffer_size: KnbFigure = None


class KnbData(msgspec.Struct, rename={"k8s_version": "k8s-version"}):
    """The machine as knb found it, and the tests."""

    cpu: KnbFigure = None
    kernel: KnbFigure = None
    k8s_version: KnbFigure = None
    mtu: KnbFigure = None
    idle: KnbTest | None = None
    pod2pod: KnbPath | None = None
    pod2svc: KnbPath | None = None


class KnbReport(msgspec.Struct):
    """The whole report."""

    metadata: KnbMetadata
    data: KnbData


@dataclass(frozen=True, slots=True)
class Detail:
    """What a data file has of one test beyond the report: when it began, and iperf3's own text, as read.

    `error`: why it failed, as a sentence.
    """

    started_at: datetime | None = None
    duration_s: float | None = None
    columns: Row = field(default_factory=dict)
    error: str | None = None


_DECODER: Final = msgspec.json.Decoder(KnbReport)


class _NoAliases(yaml.SafeLoader):
    """Refuses anchors, merge keys and tags, which knb's reports have not, and by which a small text becomes large."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None or getattr(event, "tag", None) is not None:
            raise yaml.YAMLError("it has anchors, aliases or tags")
        return super().compose_node(parent, index)


def read_json(data: bytes) -> Content | Failure:
    """The measurements of a report as JSON."""
    found = bounds.decode(_DECODER, data, "knb", len(data))
    return found if isinstance(found, Failure) else content(found, {})


def read_yaml(data: bytes) -> Content | Failure:
    """The measurements of a report as YAML."""
    try:
        report = msgspec.convert(yaml.load(data.decode(), _NoAliases), KnbReport)  # noqa: S506 - a SafeLoader
    except msgspec.ValidationError as error:
        return Failure(f"knb's YAML has an unknown form: {error}")
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error)
        return Failure(f"knb's YAML is damaged: {bounds.one_line(str(problem))}")
    except (UnicodeDecodeError, RecursionError, ValueError, OverflowError):
        return Failure("knb's YAML is not UTF-8 text, nested too deeply, or has a value that is none")
    return content(report, {})


def content(report: KnbReport, details: Mapping[tuple[str, str], Detail]) -> Content:
    """The measurements of a report, in the order in which knb makes them.

    `details`: of its tests by path and transport, as far as they are known.
    """
    about = report.metadata
    names = {"client": first_line(about.client_node) or "client", "server": first_line(about.server_node) or "server"}
    same_node = names["client"] == names["server"]
    idle = _nodes(report.data.idle, names, None) if report.data.idle is not None else ()
    trials = []
    for name, topology in PATHS.items():
        path: KnbPath | None = getattr(report.data, name)
        for transport in TRANSPORTS:
            test: KnbTest | None = getattr(path, transport, None)
            if test is not None:
                where = f"{topology}-same-node" if same_node else topology
                detail = details.get((name, transport), Detail())
                trial = _trial(test, where, transport, detail, _nodes(test, names, report.data.idle), report)
                trials.append(replace(trial, test=_test(about, name, transport)))
    return Content("knb", tuple(trials), _provenance(report), idle=idle, at=instant(first_line(about.date)))


def _test(about: KnbMetadata, path: str, transport: str) -> str:
    """The name of a test, alike in all forms of one run's report."""
    run, date = first_line(about.name), first_line(about.date)
    return (
        f"knb {run} {date} {first_line(about.client_node)} {first_line(about.server_node)} {path} {transport}"
        if date
        else ""
    )


def _trial(
    test: KnbTest, topology: str, transport: str, detail: Detail, nodes: tuple[Row, ...], report: KnbReport
) -> ImportedTrial:
    mbps = number(test.bandwidth, _MOST_MBPS)
    error = detail.error or (None if mbps else "knb has no bandwidth of it: its iperf3 failed, or nothing arrived")
    mtu = number(report.data.mtu, 2**31 - 1)
    trial = ImportedTrial(
        traffic=iperf3_traffic(transport, PLAIN),
        topology=topology,
        streams=1,
        started_at=detail.started_at,
        columns={"mtu_bytes": round(mtu) if mtu else None},
    )
    if error is not None or mbps is None:
        return replace(trial, error=error)
    columns = {**trial.columns, **detail.columns, "received_bps": mbps * _MEGA}
    flags = (CPU_WINDOW,) if nodes else ()
    return replace(trial, duration_s=detail.duration_s, columns=columns, nodes=nodes, flags=flags)


def _nodes(test: KnbTest, names: Mapping[str, str], idle: KnbTest | None) -> tuple[Row, ...]:
    """CPU and memory of both nodes; of one where it carried both ends."""
    one = names["client"] == names["server"]
    rows = (
        _usage(getattr(test, side), getattr(idle, side, None), names[side], "both" if one else side)
        for side in SIDES[: 1 if one else 2]
    )
    return tuple(row for row in rows if row is not None)


def _usage(used: NodeResult, before: NodeResult | None, node: str, side: str) -> Row | None:
    """A node's CPU and memory in a test; `before`: with nothing sent."""
    ratios = _ratios(used.cpu)
    memory = number(used.ram, _MOST_MIB)
    if not ratios and memory is None:
        return None
    busy, idle_busy = _busy(used.cpu), _busy(before.cpu) if before is not None else None
    return {
        "node": node,
        "side": side,
        **{f"{mode}_ratio": ratios.get(mode) for mode in MODES if mode != "system"},
        "idle_ratio": max(0.0, 1 - sum(ratios.values())) if len(ratios) == len(MODES) else None,
        "busy_ratio": busy,
        "memory_used_bytes": round(memory * _MIB) if memory is not None else None,
        "busy_above_idle_ratio": busy - idle_busy if busy is not None and idle_busy is not None else None,
    }


def _ratios(cpu: KnbCpu) -> dict[str, float]:
    known = {mode: number(getattr(cpu, mode), _HUNDRED) for mode in MODES}
    return {mode: value / _HUNDRED for mode, value in known.items() if value is not None}


def _busy(cpu: KnbCpu) -> float | None:
    """All but idle and iowait; None where one of the modes is unknown."""
    ratios = _ratios(cpu)
    return min(1.0, sum(ratios.values()) - ratios["iowait"]) if len(ratios) == len(MODES) else None


def _provenance(report: KnbReport) -> dict[str, str]:
    about, data = report.metadata, report.data
    found = {
        "knb": about.version,
        "cpu": data.cpu,
        "kernel": data.kernel,
        "kubernetes": data.k8s_version,
        "mtu": data.mtu,
        "client_node": about.client_node,
        "server_node": about.server_node,
        "udp_socket_buffer": about.socket_buffer_size,
    }
    return {
        name: shown for name, value in found.items() if (shown := first_line(str(value)) if value is not None else "")
    }
