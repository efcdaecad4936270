import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from analysis.errors import Problem
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.permissions import BENCHMARK, PODS
from steps.cluster.kube.plugins.calico.felix.agent import FELIX
from steps.cluster.kube.plugins.calico.proof import observe, switch_cost
from steps.cluster.kube.plugins.calico.switching.cluster_state import read_state
from steps.cluster.kube.probe import connections, rest
from steps.cluster.kube.probe.report import ProbeReport
from steps.cluster.kube.servers import trial_servers
from steps.cluster.kube.workloads import manifests, probe_pods
from steps.cluster.kube.workloads.manifests import Container
from steps.domain import Moment
from steps.proof import evaluate, wait
from steps.proof.evaluate import RESTART
from steps.proof.wait import Impossible
from tests.steps.kube.bench import MEASURED, WITH_IMAGE
from tests.steps.kube.calico.proof.judgements import host, judge_switch
from tests.steps.kube.calico.switched import EBPF, IPTABLES, Cluster, visit
from tests.steps.kube.fakes import kubelet as fake_kubelet
from tests.steps.kube.recordings import NAMES, switch
from tests.steps.kube.switching import around

Object = dict[str, Any]


@pytest.mark.parametrize("name", [EBPF, IPTABLES, "02-ebpf-to-dsr", "11-iptables-to-nftables-by-kube-proxy-mode"])
def test_finished_switch_is_proven_before_and_after_the_trials(name: str) -> None:
    cluster = Cluster(switch(name))
    before = cluster.observe(cluster.recorded.asked)
    assert cluster.state(before) == "proven", evaluate.evaluate(before, cluster.recorded.asked, MEASURED)
    trial_servers.clear(cluster.client)
    after = cluster.observe(cluster.recorded.asked, "after")
    assert cluster.state(after) == "proven"
    assert {sign.moment for sign in after} == {"after"}


def test_contrary_signs_are_recorded() -> None:
    recorded = switch(EBPF)
    cluster = Cluster(recorded, after_s=20.0)
    found = cluster.observe("ebpf")
    waits = [sign for sign in found if sign.looked_at == wait.WAITING]
    assert {sign.indicates for sign in waits} == {()}
    assert any("without a restart are needed" in sign.seen for sign in waits)
    assert cluster.state(found) == "disproven"


def test_observe_after_the_trials_waits_for_the_stability_window() -> None:
    cluster = Cluster(switch(EBPF), after_s=40.0)
    assert cluster.state(cluster.observe("ebpf", "after")) == "proven"
    assert cluster.notices
    assert "45 s without a restart" in cluster.notices[0]


def test_felix_logs_are_not_read_before_the_woken_probes_have_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(switch(EBPF), after_s=100.0)
    cluster.observe("ebpf")
    real, stale = probe_pods.latest_reports, iter(range(3))

    def read() -> int:
        return sum(r.name == "calico-node-node-a" and r.sub == "log" for r in cluster.store.requests)

    before = read()

    def latest(client: Client, sites: Sequence[probe_pods.Site]) -> dict[str, probe_pods.NodeReport]:
        reports = real(client, sites)
        if next(stale, None) is None:
            return reports
        assert read() == before
        past = timedelta(seconds=60)
        return {n: replace(r, host=r.host and replace(r.host, at=r.host.at - past)) for n, r in reports.items()}

    monkeypatch.setattr(probe_pods, "latest_reports", latest)
    assert cluster.state(cluster.observe("ebpf", "after")) == "proven"
    assert next(stale, None) is None
    assert read() > before
    assert cluster.notices == [], "nothing was waited for with all signs read"


def test_calico_node_that_is_only_being_started_is_waited_for() -> None:
    cluster = Cluster(switch(EBPF))
    cluster.store.initializing.add(("kube-system", "calico-node-node-a"))
    judgement = wait.judge(cluster.observe("ebpf"), "ebpf", MEASURED)
    assert isinstance(judgement, wait.Pending)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_bpf_fallback_ends_the_wait_with_evidence(moment: Moment) -> None:
    cluster = Cluster(switch("08-node-b-kernel-too-old-falls-back"), after_s=5.0)
    found = cluster.observe("ebpf", moment)
    judgement = wait.judge(found, "ebpf", MEASURED)
    assert isinstance(judgement, Impossible)
    assert judgement.reason.startswith("node-b: Felix fell back from BPF")
    assert any("not supported by the kernel" in sign.seen for sign in found)
    assert judgement.proof.state != "proven"
    assert cluster.notices == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("after_s", [0.5, 5.0, 30.0, 100.0])
def test_live_probe_is_judged_like_the_recorded_switch(name: str, after_s: float) -> None:
    recorded = switch(name)
    cluster = Cluster(recorded, after_s=after_s)
    judgement = wait.judge(cluster.observe(recorded.asked), recorded.asked, MEASURED)
    now = cluster.store.now()
    look = [replace(o, host=host(recorded, o.node, now)) for o in recorded.look(now)]
    pure = judge_switch(
        look, recorded.asked, now, changed_at=now - timedelta(seconds=after_s), stable_s=observe.BEFORE_STABLE_S
    )
    assert isinstance(judgement, Impossible) == (name.startswith("08") and after_s > 2)
    if name[:2] in {"07", "09"}:  # the fake's Services answer whatever kube-proxy has done
        return
    assert type(judgement) is type(pure), (judgement, pure)


def test_felix_restart_during_trials_voids_them() -> None:
    recorded = switch("12-nftables-to-iptables-felix-panics-once")
    cluster = Cluster(recorded)
    made = recorded.changed_at + timedelta(seconds=1)
    cluster.store.stopped, late = made, cluster.store.stopped
    cluster.client.create(
        PODS,
        manifests.pod("server", manifests.TRIALS, "node-b", [Container("c", ("x",))], "image:1", deadline_s=60),
        BENCHMARK,
    )
    cluster.store.stopped = late
    found = cluster.observe("iptables", "after")
    restarts = [sign.seen for sign in found if sign.looked_at == RESTART]
    assert len([seen for seen in restarts if "started again" in seen]) == 4
    assert len([seen for seen in restarts if "crashed" in seen]) == 2
    assert cluster.state(found) == "disproven"


def test_kube_proxy_pod_of_a_node_without_rules_is_deleted_once() -> None:
    cluster = Cluster(switch(IPTABLES), failing="ClusterIP from node-b")
    probe_pods.start(cluster.client, places(), WITH_IMAGE["BENCHMARK_IMAGE"], FELIX)
    cluster.store.advance(60)
    before = {p["spec"]["nodeName"]: p["metadata"]["uid"] for p in cluster.calico.kube_proxy_pods}
    found = cluster.observe("iptables")
    after = {p["spec"]["nodeName"]: p["metadata"]["uid"] for p in cluster.calico.kube_proxy_pods}
    assert after["node-a"] == before["node-a"]
    assert after["node-b"] != before["node-b"]
    (cure,) = [sign for sign in found if sign.looked_at == "cure"]
    assert "kubectl --context prod -n kube-system delete pod kube-proxy" in cure.seen
    assert cure.indicates is None
    assert cluster.state(found) == "disproven"
    assert not [sign for sign in cluster.observe("iptables") if sign.looked_at == "cure"]


def places() -> list[probe_pods.Site]:
    return [probe_pods.Site("node-a", "10.250.0.11"), probe_pods.Site("node-b", "10.250.0.12")]


def test_young_pods_are_not_restarted() -> None:
    cluster = Cluster(switch(IPTABLES), failing="ClusterIP from node-b")
    assert not [sign for sign in cluster.observe("iptables") if sign.looked_at == "cure"]


def test_probe_pods_are_reused_unless_changed() -> None:
    cluster = Cluster(switch(EBPF))
    cluster.observe("ebpf")
    first = {name: pod["metadata"]["uid"] for name, pod in cluster.kubelet.pods().items()}
    cluster.observe("ebpf")
    assert {name: pod["metadata"]["uid"] for name, pod in cluster.kubelet.pods().items()} == first
    assert set(first) == {"look-host-0", "look-host-1", "look-pod-0", "look-pod-1"}
    probe_pods.start(cluster.client, places(), "registry.example/steps:2", FELIX)
    second = {name: pod["metadata"]["uid"] for name, pod in cluster.kubelet.pods().items()}
    assert set(second) == set(first)
    assert not set(second.values()) & set(first.values())


def resting(cluster: Cluster, *, silent_s: float = 0.0) -> None:
    """From now on every probe pod has last reported that it rests."""

    def says(pod: Object) -> str | None:
        line = fake_kubelet.probe_report(pod, cluster.store.now(), bpf=cluster.bpf, proxy_mode=cluster.proxy_mode)
        if line is None:
            return None
        found = json.loads(line) | {"rests": True}
        found["lines"] = [each | {"silent_s": silent_s} for each in found["lines"]]
        return json.dumps(found)

    cluster.kubelet.says = says
    cluster.kubelet.act()


def told(monkeypatch: pytest.MonkeyPatch, *, obeys: bool) -> list[tuple[str, int, bool]]:
    """What probe pods are told from now on: address, port, and whether their rest begins."""
    found: list[tuple[str, int, bool]] = []

    def tell(address: str, port: int, token: str, *, begins: bool) -> bool:
        assert len(token) == 32
        found.append((address, port, begins))
        return obeys

    monkeypatch.setattr(rest, "tell", tell)
    return found


def test_probe_pods_rest_during_the_trials_and_wake_for_the_next_observation(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, heard = Cluster(switch(EBPF)), told(monkeypatch, obeys=True)
    cluster.observe("ebpf")
    assert heard == []
    first = {pod["metadata"]["uid"] for pod in cluster.kubelet.pods().values()}
    servers = [manifests.ip(cluster.kubelet.pods()[f"look-pod-{index}"]) for index in (0, 1)]
    probe_pods.rest(cluster.client)
    assert heard == [(address, 5204, True) for address in servers]
    resting(cluster)
    cluster.observe("ebpf", "after")
    assert heard[2:] == [(address, 5204, False) for address in servers]
    assert {pod["metadata"]["uid"] for pod in cluster.kubelet.pods().values()} == first


def test_probe_pods_that_do_not_rest_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(switch(EBPF))
    cluster.observe("ebpf")
    first = {pod["metadata"]["uid"] for pod in cluster.kubelet.pods().values()}
    told(monkeypatch, obeys=False)
    resting(cluster)
    cluster.observe("ebpf", "after")
    second = {pod["metadata"]["uid"] for pod in cluster.kubelet.pods().values()}
    assert len(second) == 4
    assert not first & second
    probe_pods.rest(cluster.client)
    assert cluster.kubelet.pods() == {}, "they would disturb the trials"


def test_switch_cost_is_read_from_probe_pods() -> None:
    cluster = Cluster(switch(EBPF))
    standing = read_state(cluster.client, to_switch=False)
    own = around(cluster.calico, cluster.client)
    assert switch_cost.connection_cost(own, standing, MEASURED, final=True) is None
    cluster.observe("ebpf")
    cost = switch_cost.connection_cost(own, standing, MEASURED, final=False)
    assert cost is not None
    assert (cost.connections, cost.dropped, cost.udp_lost_packets) == (6, 0, 0)
    assert (cost.tcp_longest_gap_s, cost.udp_longest_gap_s) == (0.4, 0.4)


def test_silent_connection_is_counted_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(switch(EBPF))
    monkeypatch.setattr(connections, "DEAD_S", 0)
    standing = read_state(cluster.client, to_switch=False)
    monkeypatch.setattr(switch_cost, "_POLL_S", 0)
    own = around(cluster.calico, cluster.client)
    cluster.observe("ebpf")
    resting(cluster, silent_s=9.0)
    assert switch_cost.connection_cost(own, standing, MEASURED, final=False) is None
    cost = switch_cost.connection_cost(own, standing, MEASURED, final=True)
    assert cost is not None
    assert cost.dropped == cost.connections == 6


@pytest.mark.parametrize(
    ("recorded", "after_s", "waits"),
    [(EBPF, 4.0, True), (EBPF, 40.0, False), (IPTABLES, 2.0, True), (IPTABLES, 8.0, False)],
)
def test_new_pods_wait_until_felix_runs_what_the_switch_made(
    monkeypatch: pytest.MonkeyPatch, recorded: str, after_s: float, *, waits: bool
) -> None:
    """Less than the proof: no time without a restart, and no answers of Services."""
    monkeypatch.setattr(observe, "SWITCH_S", 0)
    cluster = Cluster(switch(recorded), after_s)
    standing, own = read_state(cluster.client, to_switch=False), around(cluster.calico, cluster.client)
    if waits:
        with pytest.raises(Problem, match=r"the switch is not over after 0 s: node-a: Felix"):
            observe.await_switch(own, standing, MEASURED, visit(switch(recorded).asked))
    else:
        observe.await_switch(own, standing, MEASURED, visit(switch(recorded).asked))


def test_switch_cost_counts_broken_silent_and_lost_connections() -> None:
    def line(protocol: str, **fared: Any) -> Object:  # noqa: ANN401
        plain = {"name": "l", "protocol": protocol, "connected": 1, "dropped": 0, "sent": 100, "received": 99}
        return {**plain, "silent_s": 0.0, "longest_gap_s": 0.1, **fared}

    def report(node: str, *lines: Object, failed: int | None = None) -> ProbeReport:
        answers = [] if failed is None else [{"node": node, "target": "t", "failed": 9, "failed_since_ok": failed}]
        found: Object = {"at": "2026-11-25T00:00:00Z", "node": node, "host": None, "answers": answers, "lines": lines}
        return ProbeReport.model_validate(found)

    seen = probe_pods.by_node(
        [
            report("a", line("tcp"), line("tcp", dropped=2, longest_gap_s=9.0), line("udp", received=90), failed=3),
            report("b", line("tcp", silent_s=14.0), line("tcp", received=0), line("udp", longest_gap_s=3.0), failed=2),
        ],
        ["a", "b"],
    )
    found = probe_pods.total_cost(seen.values())
    assert (found.connections, found.dropped) == (3, 2), "one that never was is neither held nor dropped"
    assert (found.tcp_longest_gap_s, found.udp_longest_gap_s) == (9.0, 3.0)
    assert (found.udp_sent_packets, found.udp_lost_packets) == (200, 9), "the last of each may be on its way"
    assert found.new_failed == 5
    nothing = probe_pods.total_cost(probe_pods.by_node([report("a")], ["a"]).values())
    assert (nothing.connections, nothing.udp_lost_packets, nothing.tcp_longest_gap_s) == (0, None, None)
    assert nothing.new_failed is None


def test_as_is_dataplane_is_reported_without_proof() -> None:
    cluster = Cluster(switch(EBPF))
    found = cluster.observe("as-is")
    assert evaluate.evaluate(found, "as-is", MEASURED).state == "proven"
    assert all("Calico v3.32.1" in sign.seen for sign in found)
    assert cluster.kubelet.pods() == {}


def test_unreadable_pod_log_is_reported() -> None:
    cluster = Cluster(switch(EBPF))
    cluster.store.logs.clear()
    cluster.kubelet.act()
    found = cluster.observe("ebpf")
    assert any(sign.seen == "calico-node's log could not be read" for sign in found)
    assert cluster.state(found) != "proven"


def test_log_lines_are_grouped_by_node() -> None:
    specs = [probe_pods.spec(i, places(), services(), "0" * 32, FELIX) for i in (0, 1)]
    assert [(t.name, t.node) for t in specs[0].targets] == [
        ("ClusterIP from node-a", "node-a"),
        ("own NodePort from node-a", "node-a"),
        ("NodePort of node-b from node-a", "node-b"),
    ]
    # Whatever is connected to is on the other node, so that each connection crosses.
    assert specs[0].targets[0].address == services()["look-1"]["spec"]["clusterIP"]
    assert specs[0].targets[1].port == 30001
    assert (specs[0].targets[2].address, specs[0].targets[2].port) == ("10.250.0.12", 30000)


def services() -> dict[str, Object]:
    return {f"look-{i}": {"spec": {"clusterIP": f"10.97.0.{i}", "ports": [{"nodePort": 30000 + i}]}} for i in (0, 1)}


def test_log_cut_within_a_line_gives_whole_lines() -> None:
    whole = b'{"at":"2026-11-25T00:00:00Z","node":"n","host":null,"answers":[],"lines":[]}\n'
    found = probe_pods.parse(whole + whole[:-9])
    assert found is not None
    assert found.node == "n"
    assert probe_pods.parse(b"") is None
    assert probe_pods.parse(b"Traceback\n") is None
