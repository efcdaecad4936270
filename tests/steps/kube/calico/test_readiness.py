import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.cluster.kube.calico.felix.log import FelixLog, read_felix_log
from steps.cluster.kube.calico.felix.process import FelixProcess, LogPosition
from steps.cluster.kube.calico.proof import readiness
from steps.cluster.kube.calico.proof.signs import KNOWN, Observation
from steps.cluster.kube.probe.report import HostProbe, ServiceProbe
from steps.proof import evaluate
from steps.proof.wait import WAITING, Impossible, Judgement, Pending, Proven
from tests.steps.kube.calico.judgements import answering, judge_switch
from tests.steps.kube.recordings import NAMES, NODES, Switch, moment, shifted, stamp, switch

FALLBACK = "08-node-b-kernel-too-old-falls-back"
BROKEN = "07-back-kube-proxy-unparked-first-breaks-services"
HALF_BROKEN = "09-back-from-mixed"
CRASH = "12-nftables-to-iptables-felix-panics-once"
GOOD = tuple(name for name in NAMES if name not in {FALLBACK, BROKEN, HALF_BROKEN})
NOW = moment("2026-11-23T08:00:00Z")
Lines = tuple[bytes, ...]


def judge(recorded: Switch, now: datetime, asked: str | None = None, **options: Any) -> Judgement:  # noqa: ANN401
    return judge_switch(recorded.look(now), asked or recorded.asked, now, changed_at=recorded.changed_at, **options)


def moments(recorded: Switch, beyond_s: float = 60.0, step_s: float = 0.5) -> Iterator[datetime]:
    now = recorded.changed_at - timedelta(seconds=2)
    while now < recorded.last_at + timedelta(seconds=beyond_s):
        yield now
        now += timedelta(seconds=step_s)


def currents(recorded: Switch) -> list[FelixProcess]:
    found = [read_felix_log(b"\n".join(recorded.logs[node])).current for node in NODES]
    return [current for current in found if current is not None]


def over_at(recorded: Switch) -> datetime:
    """When the last node had started for the last time and written its dataplane."""
    ends = [current.updated_at or current.first_at for current in currents(recorded)]
    return max(ends)


@pytest.mark.parametrize("name", GOOD)
def test_recorded_switch_is_pending_until_proven(name: str) -> None:
    recorded = switch(name)
    over = over_at(recorded)
    settled = [now for now in moments(recorded) if isinstance(judge(recorded, now), Proven)]
    assert settled[0] >= over + timedelta(seconds=readiness.STABLE_S)
    assert settled[0] <= over + timedelta(seconds=readiness.STABLE_S + 12)
    assert not any(isinstance(judge(recorded, now), Impossible) for now in moments(recorded))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stable_s", [0.0, 10.0, readiness.STABLE_S])
def test_readiness_never_proves_another_dataplane(name: str, stable_s: float) -> None:
    recorded = switch(name)
    for now in moments(recorded, step_s=2.0):
        for asked in set(KNOWN) - {recorded.asked}:
            look = answering(recorded.look(now), now)
            judgement = judge_switch(look, asked, now, changed_at=recorded.changed_at, stable_s=stable_s)
            assert not isinstance(judgement, Proven)


@pytest.mark.parametrize("name", GOOD)
def test_proof_names_dataplane_and_sign_of_each_node(name: str) -> None:
    recorded = switch(name)
    now = recorded.last_at + timedelta(seconds=readiness.STABLE_S)
    judgement = judge(recorded, now)
    assert isinstance(judgement, Proven)
    assert judgement.proof.observed == recorded.asked
    found = readiness.reported_signs(
        recorded.look(now), recorded.asked, now, nodes=NODES, changed_at=recorded.changed_at
    )
    assert WAITING not in {sign.looked_at for sign in found}
    assert evaluate.evaluate(found, recorded.asked, NODES).state == "proven"
    for node in NODES:
        assert len([s for s in found if s.node == node and s.indicates is not None]) >= 3


def test_bpf_fallback_is_impossible_at_once() -> None:
    recorded = switch(FALLBACK)
    fell = stamp(next(line for line in recorded.logs["node-b"] if b"not supported by the kernel" in line))
    for now in moments(recorded):
        judgement = judge(recorded, now)
        if now >= fell:
            assert isinstance(judgement, Impossible)
            assert "node-b: Felix fell back" in judgement.reason
            assert "4.19.0-27" in judgement.reason
            assert judgement.proof.state != "proven"
        else:
            assert isinstance(judgement, Pending)


@pytest.mark.parametrize(
    "lost",
    [
        rb"not supported by the kernel",
        rb"\(from internal override\)|Merging in config from internal override|not supported by the kernel",
        rb"internal override|not supported by the kernel",
        rb"internal override|not supported by the kernel|Successfully loaded|Exiting for config",
    ],
)
@pytest.mark.parametrize("looked", [True, False])
def test_bpf_fallback_is_found_without_its_log_lines(lost: bytes, *, looked: bool) -> None:
    recorded = changed(
        switch(FALLBACK), lambda _node, lines: tuple(line for line in lines if not re.search(lost, line))
    )
    for after_s in (5.0, 30.0, 100.0):
        now = recorded.changed_at + timedelta(seconds=after_s)
        look = [recorded.seen(node, now, host(recorded, node, now) if looked else None) for node in NODES]
        judgement = judge_switch(look, "ebpf", now, changed_at=recorded.changed_at)
        assert isinstance(judgement, Impossible), judgement
        assert "node-b: Felix fell back" in judgement.reason


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {FALLBACK, HALF_BROKEN}])
def test_other_log_lines_are_no_bpf_fallback(name: str) -> None:
    recorded = switch(name)
    for now in moments(recorded, step_s=1.0):
        for node in NODES:
            reading = recorded.seen(node, now).felix
            assert reading is not None
            assert not any(process.fallback for process in reading.processes)


def test_bpf_fallback_on_an_unmeasured_node_counts() -> None:
    recorded = switch(FALLBACK)
    now = recorded.last_at
    assert isinstance(judge(recorded, now, nodes=["node-a"]), Impossible)


def test_bpf_fallback_is_ignored_when_bpf_is_not_requested() -> None:
    recorded = switch(FALLBACK)
    assert isinstance(judge(recorded, recorded.last_at, "iptables"), Pending)


def test_missing_kube_proxy_rules_are_pending_and_name_the_node() -> None:
    recorded = switch(BROKEN)
    assert not any(isinstance(judge(recorded, now), Proven) for now in moments(recorded))
    now = recorded.last_at + timedelta(seconds=5)
    running = HostProbe(at=now, interfaces=frozenset({"eth0"}), proxy_mode="iptables")
    look = [recorded.seen(node, now, running) for node in NODES]
    assert readiness.nodes_without_rules(look, now) == ("node-b",)
    judgement = judge_switch(look, "iptables", now, changed_at=recorded.changed_at)
    assert isinstance(judgement, Pending)
    assert "node-b: ClusterIP from node-b does not answer (timed out)" in judgement.reason
    assert "node-a: " not in judgement.reason.replace("node-a: Felix", "")


def test_kube_proxy_restart_waits_for_felix_and_kube_proxy() -> None:
    recorded = switch(BROKEN)
    now = recorded.last_at + timedelta(seconds=5)
    absent = HostProbe(at=now, interfaces=frozenset({"eth0"}))
    assert readiness.nodes_without_rules([recorded.seen(node, now, absent) for node in NODES], now) == ()
    soon = recorded.changed_at + timedelta(seconds=8)
    running = replace(absent, at=soon, proxy_mode="iptables")
    assert readiness.nodes_without_rules([recorded.seen(node, soon, running) for node in NODES], soon) == ()


def test_node_after_bpf_fallback_needs_no_restart() -> None:
    recorded = switch(HALF_BROKEN)
    now = recorded.changed_at + timedelta(seconds=readiness.STABLE_S)
    host = HostProbe(
        at=now, interfaces=frozenset({"eth0", "vxlan.calico"}), vxlan_external=False, proxy_mode="iptables"
    )
    look = [recorded.seen("node-b", now, host)]
    judgement = judge_switch(look, "iptables", now, changed_at=recorded.changed_at)
    assert isinstance(judgement, Proven), judgement
    sooner = now - timedelta(seconds=1)
    look = [recorded.seen("node-b", sooner, replace(host, at=sooner))]
    assert isinstance(judge_switch(look, "iptables", sooner, changed_at=recorded.changed_at), Pending)


def test_felix_crash_after_the_first_update_restarts_the_wait() -> None:
    recorded = switch(CRASH)
    crash = max(stamp(line) for node in NODES for line in recorded.logs[node] if b"panic: " in line)
    judgement = judge(recorded, crash + timedelta(seconds=0.01), stable_s=0.0)
    assert isinstance(judgement, Pending)
    assert "Felix ended" in judgement.reason
    assert isinstance(judge(recorded, crash + timedelta(seconds=20), stable_s=30.0), Pending)


# Any line may be missing, lines of one moment may come in any order, and older switches stand before.


def changed(recorded: Switch, change: Callable[[str, Lines], Lines]) -> Switch:
    return replace(recorded, logs={node: change(node, lines) for node, lines in recorded.logs.items()})


def host(recorded: Switch, node: str, now: datetime) -> HostProbe:
    """A look from a pod on the node, when the switch is over."""
    bpf = recorded.asked.startswith("ebpf") and not (recorded.name == FALLBACK and node == "node-b")
    names = {"eth0", "vxlan.calico"} | ({"bpfin.cali", "bpfout.cali"} if bpf else set())
    return HostProbe(now, frozenset(names), vxlan_external=bpf, proxy_mode=None if bpf else recorded.asked)


def without_each_line(recorded: Switch, *, looked: bool) -> Iterator[tuple[bytes, Judgement]]:
    end = recorded.last_at + timedelta(seconds=readiness.STABLE_S + 1)
    hosts = {node: host(recorded, node, end) if looked else None for node in NODES}
    for node in NODES:
        others = [recorded.seen(other, end, hosts[other]) for other in NODES if other != node]
        lines = recorded.logs[node]
        for missing in range(len(lines)):
            reading = read_felix_log(b"\n".join(lines[:missing] + lines[missing + 1 :]))
            seen = Observation(node, reading, hosts[node], recorded.answers(node, end))
            look = [seen, *others]
            yield lines[missing], judge_switch(look, recorded.asked, end, changed_at=recorded.changed_at)


@pytest.mark.parametrize("name", NAMES)
def test_readiness_with_any_log_line_missing(name: str) -> None:
    expected = Proven if name in GOOD else Impossible if name == FALLBACK else Pending
    for line, judgement in without_each_line(switch(name), looked=True):
        assert isinstance(judgement, expected), (line, judgement)


@pytest.mark.parametrize("name", GOOD)
def test_no_single_log_line_decides_without_probe(name: str) -> None:
    for line, judgement in without_each_line(switch(name), looked=False):
        assert isinstance(judgement, Proven), (line, judgement)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_readiness_is_invariant_to_line_order_older_switches_and_a_lost_line(name: str, data: st.DataObject) -> None:
    recorded = switch(name)
    now = recorded.changed_at + timedelta(seconds=data.draw(st.sampled_from([0.5, 2.5, 4, 8, 15, 30, 50, 70, 90])))
    older = data.draw(st.sampled_from((None, *NAMES)))
    missing = data.draw(st.integers(0, 400))
    grain = data.draw(st.sampled_from([1, 1000]))
    random = Random(data.draw(st.integers(0, 2**32)))  # drawing each permutation would take most of the time

    def change(node: str, lines: Lines) -> Lines:
        held = list(lines[:missing] + lines[missing + 1 :])
        groups: dict[datetime, list[bytes]] = {}
        for line in held:
            at = stamp(line)
            groups.setdefault(at.replace(microsecond=at.microsecond // grain * grain), []).append(line)
        mixed: list[bytes] = []
        for at, group in groups.items():
            # Rows of a table stay below its head: they were written at once.
            rigid = any(b" | " in line or b" +-" in line for line in group)
            order = group if rigid else random.sample(group, len(group))
            mixed += [at.isoformat().encode() + b" " + line.partition(b" ")[2] for line in order]
        if older is None:
            return tuple(mixed)
        prefix = switch(older).logs[node]
        return shifted(prefix, stamp(lines[0]) - stamp(prefix[-1]) - timedelta(seconds=60)) + tuple(mixed)

    # A trimmed log that doesn't hold the start of its process can't tell it from an older one's.
    if any(read_felix_log(b"\n".join(lines)).starts(recorded.changed_at) == () for lines in recorded.logs.values()):
        older = None
    mixed = changed(recorded, change)
    plain, other = judge(recorded, now), judge(mixed, now)
    if isinstance(other, Proven):
        assert isinstance(plain, Proven)
        assert other.proof.observed == recorded.asked
    assert isinstance(other, Impossible) == isinstance(plain, Impossible)
    if isinstance(plain, Proven) and now > over_at(recorded) + timedelta(seconds=readiness.STABLE_S + 8):
        look = [mixed.seen(node, now, host(recorded, node, now)) for node in NODES]
        whole = judge_switch(look, recorded.asked, now, changed_at=recorded.changed_at)
        assert isinstance(whole, Proven), whole


# What no recording has.


def process(**fields: Any) -> FelixProcess:  # noqa: ANN401
    fields.setdefault("levels", {"INFO"})
    started = fields.pop("started_at", NOW - timedelta(seconds=100))
    return FelixProcess(7, started or NOW - timedelta(hours=1), started, NOW, **fields)


def observed(current: FelixProcess | None = None, host: HostProbe | None = None, **more: Any) -> Observation:  # noqa: ANN401
    reading = FelixLog((current,)) if current is not None else None
    answers = more.pop("answers", (ServiceProbe("n", "ClusterIP", ok_at=NOW),))
    return Observation("n", felix=reading, host=host, answers=answers, **more)


def reason(look: Observation, asked: str = "ebpf", **options: Any) -> str:  # noqa: ANN401
    judgement = judge_switch([look], asked, NOW, **options)
    return "" if isinstance(judgement, Proven) else judgement.reason


IN_BPF = {
    "driver_bpf": LogPosition(NOW, "true"),
    "driver_dsr": False,
    "bpf": [LogPosition(NOW, "BPF enabled, starting")],
}
DONE = {"first_update": LogPosition(NOW - timedelta(seconds=90), "Completed first update to dataplane.")}
BPF_HOST = HostProbe(at=NOW, interfaces=frozenset({"bpfin.cali", "bpfout.cali"}), vxlan_external=True)


def test_complete_observation_is_proven() -> None:
    assert reason(observed(process(**IN_BPF, **DONE), BPF_HOST)) == ""


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (observed(process(**IN_BPF), None), "has not completed its first update"),
        (
            observed(process(**IN_BPF, **DONE, pending_settings={"BPFEnabled": "false"})),
            "yet to restart: its configuration",
        ),
        (observed(process(**IN_BPF, **DONE, leaving=LogPosition(NOW, "Exiting"))), "has not started again"),
        (observed(process(**IN_BPF, **DONE), replace(BPF_HOST, felix_ready=False)), "reports that it is not ready"),
        (observed(process(**IN_BPF, **DONE), replace(BPF_HOST, at=NOW - timedelta(seconds=60))), "60 s old"),
        (observed(process(**IN_BPF, **DONE), replace(BPF_HOST, felix_started_at=NOW)), "0 s past"),
        (observed(process(**IN_BPF, **DONE), answers=()), "no Service was probed"),
        (
            observed(process(**IN_BPF, **DONE), answers=(ServiceProbe("n", "ClusterIP", NOW - timedelta(seconds=60)),)),
            "last answered 60 s ago",
        ),
        (
            observed(
                process(**IN_BPF, **DONE),
                answers=(ServiceProbe("n", "NodePort", NOW, NOW - timedelta(seconds=1), "x"),),
            ),
            "NodePort answers intermittently (x)",
        ),
        (
            observed(process(**IN_BPF, **DONE), answers=(ServiceProbe("n", "NodePort", None, NOW, "refused"),)),
            "NodePort does not answer (refused)",
        ),
        (
            observed(process(**IN_BPF, **DONE), replace(BPF_HOST, felix_answered_at=NOW - timedelta(seconds=3))),
            "answered its readiness probe before, and no longer does",
        ),
        (observed(None, None, missed=("the log could not be read",)), "the log could not be read"),
        (observed(process(bpf=IN_BPF["bpf"], **DONE), None), "1 conclusive signs, and 2 are needed"),
        (observed(process(**IN_BPF, **DONE), HostProbe(at=NOW, interfaces=frozenset({"eth0"}))), "no bpfin.cali"),
        (observed(process(**IN_BPF, **DONE), replace(BPF_HOST, proxy_mode="ipvs")), "kube-proxy's mode: ipvs"),
    ],
)
def test_every_missing_part_is_reported(look: Observation, expected: str) -> None:
    assert expected in reason(look)


SILENT = frozenset({"WARNING", "ERROR", "FATAL", "PANIC"})


def silenced(recorded: Switch, levels: frozenset[str]) -> Switch:
    def keep(line: bytes) -> bool:
        head = re.search(rb" \[([A-Z]+)\]\[\d+\]", line[:80])
        return head is not None and head[1].decode() in levels

    return changed(recorded, lambda _node, lines: tuple(line for line in lines if keep(line)))


@pytest.mark.parametrize("levels", [SILENT, SILENT - {"WARNING"}, frozenset({"FATAL"})])
@pytest.mark.parametrize("name", [name for name in GOOD if name != CRASH])
def test_quiet_felix_log_is_proven_by_probe_or_impossible(name: str, levels: frozenset[str]) -> None:
    recorded = silenced(switch(name), levels)
    now = switch(name).last_at + timedelta(seconds=readiness.STABLE_S + 1)
    look = [
        replace(recorded.seen(node, now, replace(host(recorded, node, now), felix_ready=True)), silenced="Warning")
        if recorded.logs[node]
        else Observation(
            node,
            None,
            replace(host(recorded, node, now), felix_ready=True),
            recorded.answers(node, now),
            silenced="Fatal",
        )
        for node in NODES
    ]
    judgement = judge_switch(look, recorded.asked, now, changed_at=recorded.changed_at)
    if recorded.asked.startswith("ebpf"):
        assert isinstance(judgement, Impossible)
        assert "ebpf and ebpf-dsr can't be distinguished: kubectl patch felixconfiguration" in judgement.reason
    else:
        assert isinstance(judgement, Proven), judgement


def test_felix_process_without_info_lines_is_pending() -> None:
    quiet = process(levels={"WARNING"}, started_at=NOW - timedelta(seconds=readiness.NOTICE_S - 1))
    assert isinstance(judge_switch([observed(quiet, BPF_HOST)], "ebpf", NOW), Pending)
    quiet = process(levels={"WARNING"}, started_at=NOW - timedelta(seconds=readiness.NOTICE_S + 1))
    assert isinstance(judge_switch([observed(quiet, BPF_HOST)], "ebpf", NOW), Impossible)
    assert isinstance(judge_switch([observed(quiet)], "ebpf", NOW), Pending), "a pod may yet look from there"


def test_node_without_observation_is_reported() -> None:
    judgement = judge_switch([], "ebpf", NOW, nodes=["m"])
    assert isinstance(judgement, Pending)
    assert "m: it was not observed" in judgement.reason


def test_change_without_felix_restart_is_pending() -> None:
    host = HostProbe(at=NOW, interfaces=frozenset({"eth0"}), proxy_mode="nftables")
    look = observed(None, host)
    changed_at = NOW - timedelta(seconds=readiness.NOTICE_S - 1)
    assert "has not restarted since the change 19 s ago" in reason(look, "nftables", changed_at=changed_at, stable_s=5)
    assert reason(look, "nftables", changed_at=changed_at - timedelta(seconds=1), stable_s=5) == ""


def test_pod_readiness_replaces_lost_completion_lines() -> None:
    look = observed(process(**IN_BPF), replace(BPF_HOST, felix_ready=True))
    assert reason(look) == ""


def test_pending_readiness_gives_contrary_signs() -> None:
    look = [observed(process(**IN_BPF, **DONE, leaving=LogPosition(NOW, "Exiting")), BPF_HOST)]
    found = readiness.reported_signs(look, "ebpf", NOW, nodes=["n"])
    weighed = evaluate.evaluate(found, "ebpf", ["n"])
    assert weighed.state == "disproven"
    assert "has not started again" in (weighed.reason or "")
