"""Recorded switches by the operator, which replaces calico-node: a node's log is that of its new pod alone."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from steps.cluster.kube.plugins.calico.felix.log import FelixLog, read_felix_log
from steps.cluster.kube.plugins.calico.proof import readiness
from steps.proof.wait import Impossible, Judgement, Pending, Proven
from tests.steps.kube.calico.proof.judgements import LOST, answering, host, judge_switch
from tests.steps.kube.recordings import NODES, Switch, stamp, switch

TO_DSR = "13-operator-iptables-to-dsr"
TO_IPTABLES = "14-operator-dsr-to-iptables"
UNREAD = "Felix can't read its configuration from the API server"


def whole(name: str, node: str) -> FelixLog:
    return read_felix_log(b"\n".join(switch(name).logs[node]))


@pytest.mark.parametrize("node", NODES)
def test_new_pod_starts_without_ebpf_and_gets_it_and_direct_server_return(node: str) -> None:
    processes = whole(TO_DSR, node).processes
    assert [each.in_bpf for each in processes] == [False, True, True]
    assert [each.driver_dsr for each in processes] == [False, False, True]
    assert [each.use_nftables for each in processes] == [True] * 3, "the operator's nftablesMode for eBPF is Enabled"
    assert processes[-1].attached_dsr is True
    assert [each.gone for each in processes] == [True, True, False]


def test_new_pod_on_the_way_back_runs_iptables_from_its_start() -> None:
    assert [each.panic is not None for each in whole(TO_IPTABLES, "node-a").processes] == [True, False, False]
    for node in NODES:
        processes = whole(TO_IPTABLES, node).processes
        assert {each.in_bpf for each in processes} == {False}
        assert {each.use_nftables for each in processes} == {False}


@pytest.mark.parametrize("name", [TO_DSR, TO_IPTABLES])
def test_proven_only_after_the_last_start_of_each_new_pod(name: str) -> None:
    recorded = switch(name)
    last = max(p.started_at for node in NODES for p in whole(name, node).processes if p.started_at is not None)
    assert last > recorded.changed_at
    for now in moments(recorded):
        proven = isinstance(judge(recorded, now, looked=True), Proven)
        assert not (proven and now < last + timedelta(seconds=readiness.STABLE_S))


def test_node_that_lost_the_api_server_is_pending_for_good_and_says_why() -> None:
    recorded = switch(LOST)
    lost = next(stamp(line) for line in recorded.logs["node-b"] if b"cannot validate certificate" in line)
    assert lost < recorded.changed_at + timedelta(seconds=3)
    for looked in (False, True):
        for now in moments(recorded):
            judgement = judge(recorded, now, looked=looked)
            assert isinstance(judgement, Pending), judgement
            if now > lost:
                assert f"node-b: {UNREAD}" in judgement.reason
                assert "x509" in judgement.reason
                assert f"node-a: {UNREAD}" not in judgement.reason


def test_node_that_lost_the_api_server_is_not_taken_for_one_with_a_silent_log() -> None:
    current = whole(LOST, "node-b").current
    assert current is not None
    assert current.levels == {"ERROR"}
    assert not current.quiet
    assert (current.in_bpf, current.updated_at) == (None, None)


def test_node_beside_the_lost_one_is_proven() -> None:
    recorded = switch(LOST)
    judgement = judge(recorded, recorded.last_at, looked=True, nodes=("node-a",))
    assert isinstance(judgement, Proven)
    assert judgement.proof.observed == "ebpf-dsr"


def test_failure_to_read_the_configuration_is_over_with_the_next_line() -> None:
    recorded = switch(LOST)
    failed = recorded.logs["node-b"][-1]
    pid = failed.partition(b"][")[2].partition(b"]")[0]
    read = failed.partition(b" felix/")[0] + b" felix/daemon.go 362: Successfully loaded configuration."
    current = read_felix_log(b"\n".join((*recorded.logs["node-b"], read))).current
    assert current is not None
    assert current.pid == int(pid)
    assert current.unconfigured is None


def judge(recorded: Switch, now: datetime, *, looked: bool, nodes: tuple[str, ...] = NODES) -> Judgement:
    look = [recorded.seen(node, now, host(recorded, node, now) if looked else None) for node in NODES]
    judgement = judge_switch(answering(look, now), recorded.asked, now, nodes=nodes, changed_at=recorded.changed_at)
    assert not isinstance(judgement, Impossible), judgement
    return judgement


def moments(recorded: Switch) -> Iterator[datetime]:
    now = recorded.changed_at - timedelta(seconds=2)
    while now < recorded.last_at + timedelta(seconds=60):
        yield now
        now += timedelta(seconds=2)
