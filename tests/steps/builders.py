"""Small, valid things for tests of the steps: settings, signs, placements, and whole runs as raw documents."""

import gzip
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from steps import documents
from steps.catalogue.options import Settings
from steps.catalogue.tools import VARIANTS
from steps.counters import CoreTimes, Counters, InterfaceTraffic
from steps.domain import Change, Monitor, Placement, ScaleSign, Sign, Trial, Visit
from steps.run_documents import PlannedRun, ShownArm
from steps.settings import schedule, turn_order
from steps.settings.settings import choose_settings

RECORDED = Path(__file__).parent / "recorded"
NODES = ("node-a", "node-b")
PROBED: dict[str, object] = {
    "connects_per_s": 100.0,
    "p50_s": 1e-5,
    "p99_s": 2e-5,
    "count": 25,
    "errors": 0,
    "error": None,
    "duration_s": 0.25,
}
"""What the connect probe prints."""

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def settings(*, options: str = "", dataplanes: str = "lab-iptables,lab-ebpf", topologies: str = "") -> Settings:
    return choose_settings(profile="smoke", dataplanes=dataplanes, topologies=topologies, options=f"seed=1 {options}")


def trial(**fields: object) -> Trial:
    base: dict[str, object] = {
        "trial": 1,
        "visit": 1,
        "position": 1,
        "topology": "pod-to-service",
        "tool": "iperf3",
        "transport": "tcp",
        "direction": "forward",
        "streams": 1,
        "offered_bps": None,
        "repetition": 1,
        "duration_s": 1,
    }
    if "protocol" in fields:  # the short name of a tool over a transport
        tool, variant = VARIANTS[str(fields.pop("protocol"))]
        base |= {"tool": tool.name, "transport": variant.transport}
    return Trial.model_validate({**base, **fields})


def placement(**fields: object) -> Placement:
    base: dict[str, object] = {
        "topology": "pod-to-service",
        "client_node": "node-a",
        "host_network": False,
        "address": "127.0.0.1",
        "ports": {"iperf3": fields.pop("port", 5201), "tcp_connect": fields.pop("connect_port", 5202)},
        "monitors": (Monitor(node="host", side="both", source="local"),),
    }
    return Placement.model_validate({**base, **fields})


def sign(node: str, *indicates: str, moment: str = "before", telling: bool = True) -> Sign:
    return Sign.model_validate(
        {
            "moment": moment,
            "node": node,
            "looked_at": "counters",
            "seen": "some",
            "at": AT,
            "indicates": indicates if telling else None,
        }
    )


def counters(at_s: float, *, busy: float = 0.0, cores: int = 2, sent_bytes: int = 0, node: str = "host") -> Counters:
    """Cores that were busy, in softirq, for `busy` seconds in all of `at_s` seconds since boot."""
    core = CoreTimes(user=0, nice=0, system=0, iowait=0, irq=0, softirq=busy, steal=0, idle=at_s - busy)
    return Counters(
        node=node,
        at_s=at_s,
        cores=(core,) * cores,
        memory_used_bytes=1_000_000,
        interfaces={"ul0": InterfaceTraffic(sent_bytes=sent_bytes, received_bytes=0)},
    )


def as_asked(stdout: str, planned: Trial, omit_s: float = 0) -> str:
    """A recorded document as iperf3 would have begun it for this trial, for tests that ask for something else of it."""
    document = json.loads(stdout) if stdout.startswith("{") else {}
    start = document.get("start", {}).get("test_start")
    if start is None or planned.tool != "iperf3":
        return stdout
    if start["protocol"].lower() != planned.transport:
        _sent_by_udp(document)
    start |= {"protocol": planned.transport.upper(), "num_streams": planned.streams, "duration": planned.duration_s}
    start |= {"reverse": int(planned.direction == "reverse"), "omit": round(omit_s)}
    start["target_bitrate"] = round((planned.offered_bps or 0) / planned.streams)
    document["end"]["streams"] = document["end"]["streams"][:1] * planned.streams
    return json.dumps(document)


def _sent_by_udp(document: dict[str, Any], block_bytes: int = 1372) -> None:
    sent, received = document["end"]["sum_sent"], document["end"]["sum_received"]
    for found in (sent, received):
        packets = found["bytes"] // block_bytes
        found |= {"bytes": packets * block_bytes, "lost_packets": 0, "packets": packets, "jitter_ms": 0.01}
        found["bits_per_second"] = found["bytes"] * 8 / found["seconds"]
    document["start"]["test_start"]["blksize"] = block_bytes
    document["end"]["streams"] = [{"udp": sent}]


def attempt(recorded: str = "tcp-forward-3.21.json", **fields: object) -> documents.Attempt:
    base: dict[str, object] = {
        "started_at": AT,
        "argv": ("iperf3",),
        "stdout": (RECORDED / recorded).read_text(),
        "exit_code": 0,
        "wall_s": 1.0,
        "readings": {"host": (counters(100.0), counters(100.5, busy=0.25), counters(101.0, busy=0.5))},
    }
    return documents.Attempt.model_validate({**base, **fields})


def fitted(one: documents.Attempt, planned: Trial) -> documents.Attempt:
    """An attempt with its recorded document as if it were of this trial."""
    return one.model_copy(update={"stdout": as_asked(one.stdout, planned, one.window_offset_s)})


UID = "01234567-89ab-cdef-0123-456789abcdef"
RUN_ID = f"run-{UID}"
OF_RUN = {"ARGO_WORKFLOW_NAME": "run", "ARGO_WORKFLOW_UID": UID}
"""The variables of a step of that run."""


def write_run(directory: Path, chosen: Settings, run_id: str = "run-1") -> tuple[Visit, ...]:
    """A whole run in which everything went well, as documents below `directory`; each run is made once in a process."""
    visits, key = schedule.make_schedule(chosen), (chosen.model_dump_json(), run_id)
    if key not in _MADE:
        with tempfile.TemporaryDirectory() as name:
            _make_run(Path(name), chosen, run_id, visits)
            _MADE[key] = {path.relative_to(name): path.read_bytes() for path in Path(name).rglob("*") if path.is_file()}
    for path, content in _MADE[key].items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)
    return visits


_MADE: dict[tuple[str, str], dict[Path, bytes]] = {}


def _make_run(directory: Path, chosen: Settings, run_id: str, visits: tuple[Visit, ...]) -> None:
    shown = tuple(ShownArm(name=arm, title=arm, colour="#000000") for arm in chosen.dataplanes)
    documents.write_document(
        directory / documents.RUN,
        PlannedRun(run_id=run_id, workflow_uid="u", trigger="local", started_at=AT, settings=chosen, dataplanes=shown),
    )
    documents.write_document(
        directory / documents.PREFLIGHT, documents.Preflight(findings=(), provenance={"kernel": "6"}, visits=visits)
    )
    for visit in visits:
        write_visit(directory / documents.visit_directory(visit.visit), visit, chosen)


def write_visit(folder: Path, visit: Visit, chosen: Settings) -> None:
    number, name = visit.visit, visit.dataplane.partition("+")[0]
    change = Change(what="rules", command="iptables-restore")
    documents.write_document(
        folder / documents.CONFIGURE, documents.Configure(visit=number, started_at=AT, changes=(change,), switch_s=0.1)
    )
    for document, moment in ((documents.SETTLE, "before"), (documents.CLEAR, "after")):
        signs = tuple(sign(node, name, moment=moment) for node in NODES)
        documents.write_document(
            folder / document, documents.Evidence(visit=number, nodes=NODES, signs=signs, settle_s=0.2)
        )
    between_hosts = placement(topology="node-to-node")
    documents.write_document(
        folder / documents.PREPARE, documents.Prepare(visit=number, placements=(between_hosts, placement()))
    )
    idle = {"host": (counters(90.0), counters(90.2, busy=0.02))}
    positions = turn_order.reference_positions(len(visit.trials), chosen.environment)
    for position in positions:
        reference = documents.CanaryDocument(moment="between", attempt=attempt(), turn=turn(visit, chosen, position))
        if position == positions[0]:
            reference = reference.model_copy(update={"moment": "before", "idle": idle})
        elif position == positions[-1]:
            reference = reference.model_copy(update={"moment": "after"})
        documents.write_document(folder / turn_order.HOST_NETWORK / documents.trial_name(position), reference)
    for planned in visit.trials:
        write_trial(folder, planned, turn=turn(visit, chosen, planned.position) + (planned.position in positions))


def scale_change(at: Trial, **fields: object) -> documents.ScaleChange:
    """The proven change to the scale of a trial, before it."""
    counted = [
        ScaleSign(factor="services", node=node, looked_at="rules", seen="all of them", at=AT, holds=True)
        for node in NODES
    ]
    base = {"scale": at.scale, "position": at.position, "started_at": AT, "signs": counted}
    return documents.ScaleChange.model_validate({**base, **fields})


def write_scales(folder: Path, visit: Visit, **fields: object) -> None:
    """The documents of the scales of a visit; `fields` of each change but the first."""
    prepared = documents.read_document(folder / documents.PREPARE, documents.Prepare)
    documents.write_document(
        folder / documents.PREPARE, prepared.model_copy(update={"scale": scale_change(visit.trials[0])})
    )
    positions = turn_order.changed_positions(visit)
    later = [scale_change(planned, **fields) for planned in visit.trials if planned.position in positions]
    documents.write_document(
        folder / turn_order.SCALE / documents.CHANGES, documents.Scales(visit=visit.visit, changes=tuple(later))
    )


def turn(visit: Visit, chosen: Settings, position: int) -> int:
    """The turn of what is measured first at a position: its reference if it has one."""
    references = turn_order.reference_positions(len(visit.trials), chosen.environment)
    return position + sum(reference < position for reference in references)


def write_trial(folder: Path, planned: Trial, *attempts: documents.Attempt, turn: int | None = None) -> None:
    connects = '{"connects_per_s":100.0,"p50_s":1e-5,"p99_s":2e-5,"count":25,"errors":0,"error":null,"duration_s":0.25}'
    done = attempts or (attempt(stdout=connects) if planned.tool == "tcp_connect" else attempt(),)
    done = tuple(fitted(one, planned) for one in done)
    document = documents.TrialDocument(trial=planned, placement=placement(), turn=turn, mtu_bytes=1450, attempts=done)
    documents.write_document(folder / planned.topology / documents.trial_name(planned.trial), document)


def cut_short(path: Path) -> None:
    """Leave half of a file, as a full disk or a kill does."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def damaged(path: Path) -> None:
    """Leave a whole file that holds something else."""
    path.write_bytes(gzip.compress(b'{"version": 2}') if path.suffix == ".gz" else b'{"version": 2}')
