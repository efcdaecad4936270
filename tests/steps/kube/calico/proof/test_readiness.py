import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.cluster.kube.plugins.calico.felix.log import read_felix_log
from steps.cluster.kube.plugins.calico.felix.process import FelixProcess
from steps.cluster.kube.plugins.calico.proof import readiness
from steps.cluster.kube.plugins.calico.proof.readiness import Readiness
from steps.cluster.kube.plugins.calico.proof.signs import KNOWN, Observation
from steps.cluster.kube.probe.report import HostProbe
from steps.proof import evaluate
from steps.proof.wait import WAITING, Impossible, Judgement, Pending, Proven
from tests.steps.kube.calico.proof.judgements import FALLBACK, LOST, answering, host, judge_switch
from tests.steps.kube.recordings import NAMES, NODES, Switch, shifted, spans, stamp, switch

BROKEN = "07-back-kube-proxy-unparked-first-breaks-services"
HALF_BROKEN = "09-back-from-mixed"
CRASH = "12-nftables-to-iptables-felix-panics-once"
GOOD = tuple(name for name in NAMES if name not in {FALLBACK, BROKEN, HALF_BROKEN, LOST})
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
    found = Readiness(recorded.look(now), recorded.asked, now, NODES, recorded.changed_at).signs()
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
        at=now, interfaces=frozenset({"eth0", "vxlan.calico"}), tunnel_external=False, proxy_mode="iptables"
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


def without_each_line(recorded: Switch) -> Iterator[tuple[Lines, Judgement, Judgement]]:
    """Each line, and how the switch is judged without it: after a look from a pod on each node, and without one."""
    end = recorded.last_at + timedelta(seconds=readiness.STABLE_S + 1)
    looks: list[dict[str, HostProbe | None]] = [
        {node: host(recorded, node, end) for node in NODES},
        dict.fromkeys(NODES),
    ]
    for node in NODES:
        others = [[recorded.seen(other, end, hosts[other]) for other in NODES if other != node] for hosts in looks]
        lines, answers = recorded.logs[node], recorded.answers(node, end)
        for first, next_ in spans(lines):
            reading = read_felix_log(b"\n".join(lines[:first] + lines[next_:]))
            looked, unlooked = (
                judge_switch(
                    [Observation(node, reading, hosts[node], answers), *seen],
                    recorded.asked,
                    end,
                    changed_at=recorded.changed_at,
                )
                for hosts, seen in zip(looks, others, strict=True)
            )
            yield lines[first:next_], looked, unlooked


@pytest.mark.parametrize("name", NAMES)
def test_no_single_log_line_decides_with_or_without_a_look_from_a_pod(name: str) -> None:
    expected = Proven if name in GOOD else Impossible if name == FALLBACK else Pending
    for line, looked, unlooked in without_each_line(switch(name)):
        assert isinstance(looked, expected), (line, looked)
        if name in GOOD:
            assert isinstance(unlooked, Proven), (line, unlooked)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
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


SILENT = frozenset({"WARNING", "ERROR", "FATAL", "PANIC"})


def silenced(recorded: Switch, levels: frozenset[str]) -> Switch:
    def keep(line: bytes) -> bool:
        head = re.search(rb" \[([A-Z]+)\]\[\d+\]", line[:80])
        return head is not None and head[1].decode() in levels

    return changed(recorded, lambda _node, lines: tuple(line for line in lines if keep(line)))


@pytest.mark.parametrize("levels", [SILENT, SILENT - {"WARNING"}, frozenset({"FATAL"})])
@pytest.mark.parametrize("name", [name for name in GOOD if name != CRASH])
def test_felix_log_without_signs_is_proven_by_probe_or_impossible(name: str, levels: frozenset[str]) -> None:
    recorded = silenced(switch(name), levels)
    now = switch(name).last_at + timedelta(seconds=readiness.STABLE_S + 1)
    look = [
        replace(recorded.seen(node, now, replace(host(recorded, node, now), agent_ready=True)), silenced="Warning")
        if recorded.logs[node]
        else Observation(
            node,
            None,
            replace(host(recorded, node, now), agent_ready=True),
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
