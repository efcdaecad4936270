"""A network policy that keeps the benchmark's pods apart is found by what it does, and named, before any switch."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from steps.cluster.kube.api.permissions import (
    NETWORK_POLICIES,
    PERMISSIONS,
    POLICIES,
    QUOTAS,
    SERVICE_ADDRESSES,
    SERVICE_RANGES,
    is_needed,
)
from steps.cluster.kube.servers import server_findings
from steps.cluster.kube.workloads import connectivity
from steps.cluster.kube.workloads.policies import suspects
from steps.cluster.kube.workloads.policies.selectors import matches, selects
from steps.domain import Finding
from tests.steps.kube.bench import MEASURED, WITH_IMAGE, Bench, settings
from tests.steps.kube.fakes import kubelet as fake_kubelet
from tests.steps.kube.fakes.api import NAMESPACE
from workflows.template import benchmark

Object = dict[str, Any]
OWN = suspects.own_labels(NAMESPACE)
NETWORKING, ADMIN = "networking.k8s.io", "policy.networking.k8s.io"
DENY_ALL: Object = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectivity, "CHECK_S", 0.05)


def denied(bench: Bench, *, to: str = "a pod on", udp: bool = True) -> None:
    """Let what is sent to pods get no answer: connections fail, and datagrams don't come back."""

    def say(pod: Object) -> str | None:
        line = fake_kubelet.probe_report(pod, bench.store.now(), bpf=False, proxy_mode="iptables", failing=to)
        if line is None or not udp:
            return line
        found = json.loads(line)
        for each in found["lines"]:
            each["received"] = 0 if to in each["name"] else each["received"]
        return json.dumps(found)

    bench.kubelet.says = say


def put(bench: Bench, group: str, plural: str, name: str, spec: Object, namespace: str = "") -> None:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    bench.store.put(group, plural, {"metadata": meta, "spec": spec})


def findings(bench: Bench, *topologies: str) -> list[Finding]:
    asked = settings(*(topologies or ("pod-to-pod",)))
    return server_findings.findings(bench.client, bench.standing, MEASURED, asked, variables=WITH_IMAGE)


def test_default_deny_network_policy_stops_the_run() -> None:
    bench = Bench()
    put(bench, NETWORKING, "networkpolicies", "default-deny", DENY_ALL, NAMESPACE)
    put(bench, NETWORKING, "networkpolicies", "of-others", {"podSelector": {"matchLabels": {"app": "x"}}}, NAMESPACE)
    denied(bench)
    (found,) = findings(bench)
    assert (found.severity, found.subject) == ("stop", "pods")
    for way in (
        "a pod on node-a gets no answer from a pod on node-b by",
        "node-b gets no answer from a pod on node-a by",
    ):
        assert f"{way} TCP" in found.reason
        assert f"{way} UDP" in found.reason
    assert "NetworkPolicy bench/default-deny applies to it and lets through only what it lists" in found.reason
    assert "of-others" not in found.reason
    remedy = found.remedy or ""
    policy = json.loads(remedy[remedy.index("{") : remedy.rindex("}") + 1])
    assert policy["spec"]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "dataplane-benchmark"}
    assert remedy.endswith("| kubectl -n bench apply -f -`.")
    assert bench.kubelet.pods() == {}
    assert bench.kubelet.services() == {}


def test_network_policy_that_admits_pods_alone_stops_the_run() -> None:
    """The benchmark's own steps are in the nodes' network, and reach its servers from there."""
    bench = Bench()
    same: Object = {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}], "policyTypes": ["Ingress"]}
    put(bench, NETWORKING, "networkpolicies", "same-namespace", same, NAMESPACE)

    def say(pod: Object) -> str | None:
        failing = "a pod on" if pod["spec"]["hostNetwork"] else ""
        return fake_kubelet.probe_report(pod, bench.store.now(), bpf=False, proxy_mode="iptables", failing=failing)

    bench.kubelet.says = say
    (found,) = findings(bench)
    assert (found.severity, found.subject) == ("stop", "pods")
    assert found.reason.startswith(
        "node-a gets no answer from a pod on node-b by TCP; node-b gets no answer from a pod"
    )
    assert "NetworkPolicy bench/same-namespace applies to it" in found.reason


def test_network_policy_remedy_selects_the_trial_pods() -> None:
    bench = Bench()
    bench.prepare("pod-to-pod")
    spec = benchmark.build_template().to_dict()["spec"]
    for labels in (spec["podMetadata"]["labels"], *(p["metadata"]["labels"] for p in bench.kubelet.pods().values())):
        assert labels["app.kubernetes.io/name"] == "dataplane-benchmark"


def test_network_policy_allowing_the_traffic_is_accepted() -> None:
    bench = Bench()
    put(bench, NETWORKING, "networkpolicies", "default-deny", DENY_ALL, NAMESPACE)
    fine: Object = {"podSelector": {}, "ingress": [{}], "egress": [{}], "policyTypes": ["Ingress", "Egress"]}
    put(bench, NETWORKING, "networkpolicies", "allow", fine, NAMESPACE)
    bench.kubelet.says = lambda pod: fake_kubelet.probe_report(pod, bench.store.now(), bpf=False, proxy_mode="iptables")
    assert findings(bench) == []


@pytest.mark.parametrize(
    ("group", "plural", "spec", "namespace", "words"),
    [
        (
            "crd.projectcalico.org",
            "globalnetworkpolicies",
            {"selector": "all()", "types": ["Ingress", "Egress"]},
            "",
            "GlobalNetworkPolicy deny applies to it and denies what it does not allow (Ingress and Egress)",
        ),
        (
            "crd.projectcalico.org",
            "networkpolicies",
            {"selector": "app.kubernetes.io/name == 'dataplane-benchmark'", "ingress": [{"action": "Deny"}]},
            NAMESPACE,
            "NetworkPolicy bench/deny applies to it and denies",
        ),
        (
            ADMIN,
            "adminnetworkpolicies",
            {"subject": {"namespaces": {}}, "ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}]},
            "",
            "AdminNetworkPolicy deny applies to it and has rules that deny (Ingress)",
        ),
        (
            "crd.projectcalico.org",
            "globalnetworkpolicies",
            {"selector": "all()", "serviceAccountSelector": "x == 'y'", "types": ["Egress"]},
            "",
            "GlobalNetworkPolicy deny may apply to it",
        ),
        *(
            (
                "crd.projectcalico.org",
                "globalnetworkpolicies",
                {"types": ["Ingress"], **spec},
                "",
                f"GlobalNetworkPolicy deny {applies} to it and denies",
            )
            for spec, applies in (
                ({"namespaceSelector": "team == 'a'"}, "may apply"),
                ({"selector": "has(pcns.team)"}, "may apply"),
                ({"selector": "all()", "preDNAT": True, "applyOnForward": True}, "may apply"),
                ({"ingress": [{"action": "Allow", "notProtocol": "UDP"}]}, "applies"),
            )
        ),
        (
            ADMIN,
            "adminnetworkpolicies",
            {
                "subject": {"namespaces": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}},
                "egress": [{"action": "Deny"}],
            },
            "",
            "AdminNetworkPolicy deny may apply to it and has rules that deny (Egress)",
        ),
    ],
)
def test_every_kind_of_network_policy_is_named(
    group: str, plural: str, spec: Object, namespace: str, words: str
) -> None:
    bench = Bench()
    put(bench, group, plural, "deny", spec, namespace)
    denied(bench)
    (found,) = findings(bench)
    assert words in found.reason
    assert "app.kubernetes.io/name=dataplane-benchmark in namespace bench" in (found.remedy or "")


@pytest.mark.parametrize(
    ("group", "plural", "spec"),
    [
        (NETWORKING, "networkpolicies", {"podSelector": {}, "ingress": [{"from": []}]}),
        (NETWORKING, "networkpolicies", {"podSelector": {}, "ingress": [{"from": None, "ports": None}]}),
        ("crd.projectcalico.org", "networkpolicies", {"ingress": [{"action": "Log"}, {"action": "Allow"}]}),
        (ADMIN, "adminnetworkpolicies", {
            "subject": {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": "other", "team": "a"}}},
            "ingress": [{"action": "Deny"}],
        }),
    ],
)  # fmt: skip
def test_network_policy_that_allows_everything_or_is_of_another_namespace_is_not_blamed(
    group: str, plural: str, spec: Object
) -> None:
    bench = Bench()
    put(bench, group, plural, "fine", spec, "" if group == ADMIN else NAMESPACE)
    denied(bench)
    (found,) = findings(bench)
    assert "no network policy that is known here applies to it" in found.reason


def test_blocked_traffic_without_a_policy_stops_the_run() -> None:
    bench = Bench()
    denied(bench, udp=False)
    (found,) = findings(bench)
    assert "no network policy that is known here applies to it" in found.reason
    assert "UDP" not in found.reason


def test_network_policy_is_a_warning_without_pod_traffic() -> None:
    bench = Bench()
    put(bench, NETWORKING, "networkpolicies", "default-deny", DENY_ALL, NAMESPACE)
    denied(bench)
    (found,) = findings(bench, "node-to-node")
    assert found.severity == "warn"


def test_policy_against_the_outside_client_skips_its_topology() -> None:
    bench = Bench()
    put(
        bench,
        NETWORKING,
        "networkpolicies",
        "own",
        {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]},
        NAMESPACE,
    )
    denied(bench, to="NodePort of node-a", udp=False)
    (found,) = findings(bench, "pod-to-pod", "external-to-nodeport")
    assert (found.severity, found.subject) == ("skip", "external-to-nodeport")
    assert "NetworkPolicy bench/own applies" in found.reason


def test_closed_node_port_is_reported_once_and_not_as_policy() -> None:
    bench = Bench()
    put(bench, NETWORKING, "networkpolicies", "default-deny", DENY_ALL, NAMESPACE)
    bench.kubelet.says = lambda pod: fake_kubelet.probe_report(
        pod, bench.store.now(), bpf=False, proxy_mode="iptables", failing="o"
    )
    assert {finding.subject for finding in findings(bench)} == {"node-to-node"}


def test_unreadable_network_policies_are_suspected() -> None:
    bench = Bench()
    bench.store.denied = lambda request: request.plural.endswith("policies")
    bench.kubelet.says = lambda pod: fake_kubelet.probe_report(pod, bench.store.now(), bpf=False, proxy_mode="iptables")
    assert findings(bench) == []
    denied(bench)
    (found,) = findings(bench)
    assert "a NetworkPolicy, of which none may be read, may apply to it" in found.reason
    kinds = {resource for resource, _ in POLICIES} - {NETWORK_POLICIES}
    ranges = {SERVICE_RANGES, SERVICE_ADDRESSES}
    assert {entry.resource for entry in PERMISSIONS if not is_needed(entry)} == {*kinds, QUOTAS, *ranges}


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ("", True),
        ("all()", True),
        ("global()", False),
        ("has(app.kubernetes.io/name)", True),
        ("!has(app)", True),
        ("app.kubernetes.io/name == 'dataplane-benchmark' && projectcalico.org/namespace == \"bench\"", True),
        ("app.kubernetes.io/name != 'dataplane-benchmark' || all()", True),
        ("projectcalico.org/namespace in {'a', 'bench'}", True),
        ("projectcalico.org/namespace not in { 'a','bench' }", False),
        ("projectcalico.org/namespace  not  in {}", True),
        ("!(has(app) || projectcalico.org/orchestrator == 'k8s')", False),
        ("app.kubernetes.io/name starts with 'dataplane'", True),
        ("app.kubernetes.io/name ends with 'x'", False),
        ("app.kubernetes.io/name contains 'bench'", True),
        ("app == ", None),
        ("app ~ 'x'", None),
        ("all() all()", None),
        ("(all()", None),
        ("unknown(x)", None),
    ],
)
def test_calicos_selectors(expression: str, *, selected: bool | None) -> None:
    assert selects(expression, OWN) is selected


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ({}, True),
        (None, False),
        ({"matchLabels": {"app.kubernetes.io/name": "dataplane-benchmark"}}, True),
        ({"matchLabels": {"app": "x"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["x"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["x"]}]}, False),
    ],
)
def test_kubernetes_selectors(selector: Object | None, *, selected: bool) -> None:
    assert matches(selector, OWN) is selected


@hypothesis_settings(max_examples=200)
@given(st.text(alphabet="ahs()!&|={}'\" ,.x/", max_size=30))
def test_any_selector_is_parsed_or_ignored(text: str) -> None:
    assert selects(text, OWN) in {True, False, None}
