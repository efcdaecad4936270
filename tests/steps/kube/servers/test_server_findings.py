"""Findings of a preflight about servers and clients: images, nodes, ports and paths."""

import json

import pytest

from analysis.errors import Unsupported
from steps.cluster.kube.servers import outside_client, server_findings, trial_servers
from steps.cluster.kube.workloads import connectivity
from tests.steps.kube.bench import (
    MEASURED,
    PLACES,
    TOKEN,
    WITH_IMAGE,
    Bench,
    Object,
    report_connections,
    settings,
)
from tests.steps.kube.fakes import kubelet as fake_kubelet


def test_missing_outside_client_skips_only_its_topology() -> None:
    bench = Bench(outside=False)
    report_connections(bench)
    (found,) = server_findings.findings(
        bench.client, bench.standing, MEASURED, settings("pod-to-pod", "external-to-nodeport"), variables=WITH_IMAGE
    )
    assert (found.severity, found.subject) == ("skip", "external-to-nodeport")
    assert "BENCHMARK_OUTSIDE" in (found.remedy or "")
    with pytest.raises(Unsupported, match="there is no node outside"):
        bench.prepare("external-to-nodeport")
    assert set(bench.prepare("pod-to-pod")) == {"node-to-node", "pod-to-pod"}


def test_named_outside_client_must_be_outside() -> None:
    bench = Bench()
    for name, reason in (
        ("node-a", "is no ready Linux node without the network plugin's agent"),
        ("nowhere", "is no node of the cluster"),
    ):
        with pytest.raises(Unsupported, match=rf"names {name}, which {reason}: name one of outside"):
            outside_client.outside_node(bench.standing.nodes, {"BENCHMARK_OUTSIDE": name})
    found = outside_client.outside_node(bench.standing.nodes, {"BENCHMARK_OUTSIDE": "outside"})
    assert found is not None
    assert found.name == "outside"


def test_blocked_return_path_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectivity, "CHECK_S", 0.05)
    bench = Bench()
    bench.kubelet.says = lambda pod: fake_kubelet.probe_report(
        pod, bench.store.now(), bpf=False, proxy_mode="iptables", failing="node-a (10.250.0.11) on port 5201"
    )
    (found,) = server_findings.findings(
        bench.client, bench.standing, MEASURED, settings("pod-to-pod"), variables=WITH_IMAGE
    )
    assert found.reason == "node-b gets no answer from node-a (10.250.0.11) on port 5201 by TCP"
    asking = [
        json.loads(pod["spec"]["containers"][0]["command"][-1])
        for pod in connectivity.check_manifests(PLACES, "i", 5201, TOKEN)
    ]
    assert [(spec["node"], spec["echo"], spec["lines"][0]["node"]) for spec in asking] == [
        ("node-a", 5201, "node-b"),
        ("node-b", 5201, "node-a"),
    ]


@pytest.mark.parametrize(
    ("refused", "failing", "words"),
    [
        ("", "", ""),
        ("", "NodePort of node-a", "outside gets no answer from a NodePort of node-a (10.250.0.11, port 30"),
        ("ErrImageNeverPull", "", "check-outside: ErrImageNeverPull"),
    ],
)
def test_outside_client_needs_image_and_node_port(
    monkeypatch: pytest.MonkeyPatch, refused: str, failing: str, words: str
) -> None:
    monkeypatch.setattr(connectivity, "CHECK_S", 0.05)
    bench = Bench()
    bench.kubelet.refuses = lambda pod: (
        refused if refused and pod["spec"]["hostNetwork"] and _on(pod, "outside") else None
    )
    bench.kubelet.says = lambda pod: fake_kubelet.probe_report(
        pod, bench.store.now(), bpf=False, proxy_mode="iptables", failing=failing
    )
    asked = settings("pod-to-pod", "external-to-nodeport")
    found = server_findings.findings(bench.client, bench.standing, MEASURED, asked, variables=WITH_IMAGE)
    assert [(each.severity, each.subject) for each in found] == ([("skip", "external-to-nodeport")] if words else [])
    assert all(words in each.reason for each in found)
    assert bench.kubelet.pods() == {}
    assert bench.kubelet.services() == {}
    server_findings.findings(bench.client, bench.standing, MEASURED, settings("pod-to-pod"), variables=WITH_IMAGE)
    assert not failing or not [f for f in found if f.severity == "stop"]


def _on(pod: Object, node: str) -> bool:
    return node in json.dumps(pod["spec"]["affinity"]["nodeAffinity"])


@pytest.mark.parametrize(("tcp", "udp"), [(True, True), (False, True), (True, False), (False, False)])
def test_blocked_port_stops_the_run_and_names_the_protocol(
    monkeypatch: pytest.MonkeyPatch, *, tcp: bool, udp: bool
) -> None:
    monkeypatch.setattr(connectivity, "CHECK_S", 0.05)
    bench = Bench()
    report_connections(bench, tcp=tcp, udp=udp)
    found = server_findings.findings(
        bench.client, bench.standing, MEASURED, settings("pod-to-pod"), variables=WITH_IMAGE
    )
    closed = [name for name, open_ in (("TCP", tcp), ("UDP", udp)) if not open_]
    ways = (("node-a", "node-b (10.250.0.12)"), ("node-b", "node-a (10.250.0.11)"))
    assert [(f.severity, f.reason) for f in found] == [
        ("stop", f"{one} gets no answer from {other} on port 5201 by {name}") for one, other in ways for name in closed
    ]
    assert bench.kubelet.pods() == {}


def test_image_pull_failure_stops_the_run_in_preflight() -> None:
    bench = Bench()
    bench.kubelet.refuses = lambda _pod: "ErrImageNeverPull"
    (found,) = server_findings.findings(
        bench.client, bench.standing, MEASURED, settings("pod-to-pod"), variables=WITH_IMAGE
    )
    assert (found.severity, found.subject) == ("stop", "pods")
    assert "ErrImageNeverPull" in found.reason
    assert bench.kubelet.pods() == {}


def test_load_balancer_is_left_out_where_the_cluster_hands_out_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_servers, "_ADDRESS_S", 0.0)
    chosen = settings("pod-to-pod", "external-to-load-balancer")
    for balances, subjects in ((True, []), (False, ["external-to-load-balancer"])):
        bench = Bench()
        bench.kubelet.balances = balances
        report_connections(bench)
        found = server_findings.findings(bench.client, bench.standing, MEASURED, chosen, variables=WITH_IMAGE)
        assert [(finding.severity, finding.subject) for finding in found] == [("skip", name) for name in subjects]
        assert all("got no IP address" in finding.reason for finding in found)
        assert bench.kubelet.services() == {}, "what it tried with is gone"


def test_load_balancer_is_left_out_beside_a_kube_proxy() -> None:
    chosen = settings("pod-to-pod", "external-to-nodeport", "external-to-load-balancer")
    for node, subjects in (("node-a", []), ("outside", ["external-to-load-balancer"])):
        bench = Bench()
        report_connections(bench)
        labels = {"k8s-app": "kube-proxy"}
        proxy = {"metadata": {"name": "kube-proxy-x", "namespace": "kube-system", "labels": labels}}
        bench.store.put("", "pods", {**proxy, "spec": {"nodeName": node}})
        found = server_findings.findings(bench.client, bench.standing, MEASURED, chosen, variables=WITH_IMAGE)
        assert [(finding.severity, finding.subject) for finding in found] == [("skip", name) for name in subjects]
        assert all("kube-proxy runs on outside" in finding.reason for finding in found)


def test_pod_to_its_own_service_is_left_out_with_the_reason() -> None:
    bench = Bench()
    report_connections(bench)
    chosen = settings("pod-to-pod", "pod-to-own-service")
    (found,) = server_findings.findings(bench.client, bench.standing, MEASURED, chosen, variables=WITH_IMAGE)
    assert (found.severity, found.subject) == ("skip", "pod-to-own-service")
    assert "the pod of a step" in found.reason
