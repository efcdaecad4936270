"""LimitRange, ResourceQuota and policies of the benchmark's namespace: foreseen in preflight, where nothing is made."""

from collections.abc import Callable
from typing import Any

import pytest

from steps.cluster.kube.servers import server_findings
from steps.cluster.kube.workloads import admission
from steps.domain import Finding
from tests.steps.kube.bench import MEASURED, WITH_IMAGE, Bench, settings
from tests.steps.kube.fakes import kubelet as fake_kubelet
from tests.steps.kube.fakes.answers import Request
from tests.steps.kube.fakes.api import NAMESPACE
from tests.steps.kube.workloads.test_alterations import step_pod

Object = dict[str, Any]
Admission = Callable[[Request, Any], str | None]
RUN = {**WITH_IMAGE, "ARGO_WORKFLOW_NAME": "run-1"}


def findings(bench: Bench, *, services: int = 0) -> list[Finding]:
    bench.kubelet.says = lambda pod: fake_kubelet.probe_report(pod, bench.store.now(), bpf=False, proxy_mode="iptables")
    asked = settings("pod-to-pod", services=services)
    return server_findings.findings(bench.client, bench.standing, MEASURED, asked, variables=RUN)


def containers(body: Any) -> list[Object]:  # noqa: ANN401 - JSON
    found: list[Object] = (body or {}).get("spec", {}).get("containers") or []
    return found


def at_least_20m(request: Request, body: Any) -> str | None:  # noqa: ANN401 - JSON
    """As a LimitRange with a min refuses: the pods that preflight tries ask for more, a visit's servers for less."""
    if request.plural == "pods" and any(c["resources"]["requests"]["cpu"] == "10m" for c in containers(body)):
        return f'pods "{request.name}" is forbidden: minimum cpu usage per Container is 20m, but request is 10m'
    return None


def at_most_1gi(request: Request, body: Any) -> str | None:  # noqa: ANN401 - JSON
    """As a LimitRange with a max refuses the steps that analyse, at the end of a run."""
    if request.plural == "pods" and any(
        c["resources"].get("limits", {}).get("memory") == "2Gi" for c in containers(body)
    ):
        return f'pods "{request.name}" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi'
    return None


def no_node_ports(request: Request, body: Any) -> str | None:  # noqa: ANN401 - JSON
    if request.plural == "services" and body["spec"]["type"] == "NodePort":
        return f'services "{request.name}" is forbidden: exceeded quota: tenant, requested: services.nodeports=3'
    return None


@pytest.mark.parametrize(
    ("refuses", "words"),
    [
        (
            at_least_20m,
            ["minimum cpu usage per Container is 20m", "server-host, server, monitor-1, monitor-0", "limitrange"],
        ),
        (at_most_1gi, ["maximum memory usage per Container is 1Gi", "largest-step", "limitrange"]),
        (no_node_ports, ["exceeded quota: tenant", "trials", "describe resourcequota tenant"]),
    ],
)
def test_namespace_that_would_refuse_a_visit_stops_the_run_before_anything_is_made(
    refuses: Admission, words: list[str]
) -> None:
    bench = Bench()
    bench.store.admission = refuses
    before = len(bench.store.requests)
    (found,) = findings(bench)
    assert (found.severity, found.subject) == ("stop", "pods")
    assert all(word in found.reason for word in words), found.reason
    assert {request.verb for request in bench.store.requests[before:]} <= {"get", "list"}


def limiting(cpu: str) -> Admission:
    """A LimitRange with a max, which is also the limit of whatever asks for none."""

    def admit(request: Request, body: Any) -> None:  # noqa: ANN401 - JSON
        for container in containers(body) if request.plural == "pods" else []:
            container["resources"].setdefault("limits", {}).setdefault("cpu", cpu)

    return admit


def test_cpu_limit_below_what_iperf3_may_need_stops_the_run() -> None:
    bench = Bench()
    bench.store.admission = limiting("500m")
    (found,) = findings(bench)
    assert found.severity == "stop"
    assert (
        "may use no more than 500m CPU, which its manifest does not set: a trial's streams may need 1" in found.reason
    )
    assert "describe limitrange" in str(found.remedy)


def test_cpu_limit_of_the_steps_own_pods_is_looked_at() -> None:
    bench = Bench()
    bench.store.put("", "pods", step_pod(containers=[{"name": "main", "resources": {"limits": {"cpu": "200m"}}}]))
    (found,) = [finding for finding in findings(bench) if "CPU" in finding.reason]
    assert "may use no more than 200m CPU" in found.reason


@pytest.mark.parametrize("cpu", ["1", "1000m", "64"])
def test_cpu_limit_that_iperf3_does_not_reach_is_no_reason(cpu: str) -> None:
    bench = Bench()
    bench.store.admission = limiting(cpu)
    assert findings(bench) == []


def quota(bench: Bench, hard: Object, used: Object, **spec: object) -> None:
    bench.store.serve("", "v1", "resourcequotas", "ResourceQuota")
    found = {"metadata": {"name": "tenant", "namespace": NAMESPACE}, "spec": {"hard": hard, **spec}}
    bench.store.put("", "resourcequotas", {**found, "status": {"hard": hard, "used": used}})


@pytest.mark.parametrize(
    ("hard", "used", "words"),
    [
        ({"pods": "10"}, {"pods": "3"}, "allows 10 of pods, 3 are used, and a visit needs 14 more"),
        ({"count/services": "5"}, {}, "allows 5 of count/services, 0 are used, and a visit needs 24 more"),
        ({"requests.cpu": "1"}, {"requests.cpu": "900m"}, "allows 1 of requests.cpu, 900m are used"),
        ({"requests.memory": "1Gi"}, {"requests.memory": "1000Mi"}, "allows 1Gi of requests.memory"),
    ],
)
def test_quota_that_has_too_little_left_for_a_whole_visit_stops_the_run(hard: Object, used: Object, words: str) -> None:
    bench = Bench()
    quota(bench, hard, used)
    (found,) = findings(bench, services=20)
    assert words in found.reason
    assert "describe resourcequota tenant" in str(found.remedy)


@pytest.mark.parametrize(
    ("hard", "used", "spec"),
    [
        ({"pods": "20", "requests.cpu": "4"}, {"pods": "3", "requests.cpu": "1"}, {}),
        ({"pods": "1"}, {"pods": "1"}, {"scopes": ["BestEffort"]}),
        ({"pods": "1"}, {"pods": "1"}, {"scopeSelector": {"matchExpressions": []}}),
        ({"persistentvolumeclaims": "0"}, {}, {}),
    ],
)
def test_quota_of_others_or_with_room_is_no_reason(hard: Object, used: Object, spec: Object) -> None:
    bench = Bench()
    quota(bench, hard, used, **spec)
    assert findings(bench) == []


def test_unreadable_quota_and_unreachable_webhook_end_no_run() -> None:
    bench = Bench()
    quota(bench, {"pods": "1"}, {"pods": "1"})
    bench.store.denied = lambda request: request.plural == "resourcequotas"
    untried = 'admission webhook "x" does not support dry run'
    bench.store.admission = lambda request, _body: untried if request in bench.store.tried[-1:] else None
    assert findings(bench) == []
    assert bench.store.tried, "it was asked"
    assert admission.findings(bench.client, [], [], settings()) == []
