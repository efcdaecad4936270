"""RBAC says exactly what the code calls: each role's work is done under its rendered rules, and all rules are used."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import yaml

from steps.catalogue.factors import Scale
from steps.catalogue.options import Settings
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.api import permissions
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.permissions import (
    BENCHMARK,
    CALICO_SYSTEM,
    OPERATOR_NAMESPACES,
    PERMISSIONS,
    TIGERA_OPERATOR,
    V3_GROUP,
    Role,
)
from steps.cluster.kube.plugins.calico.proof import observations, observe, readiness
from steps.cluster.kube.plugins.calico.switching.cluster_state import ClusterState, read_state
from steps.cluster.kube.servers import trial_servers
from steps.cluster.kube.workloads import connectivity, manifests
from steps.cluster.kube.workloads.workload import Workload
from steps.domain import Visit
from steps.polling import poll
from steps.settings.settings import choose_settings
from tests.steps.kube.fakes.answers import Request
from tests.steps.kube.fakes.api import NAMESPACE, direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.switching import around
from tests.steps.kube.test_adapter import put_workflow
from workflows.template import rbac, render

Object = dict[str, Any]
Call = tuple[str, str, str, str | None]
"""Verb, group, resource with subresource, and namespace."""

ACCOUNTS: dict[Role, str] = {"switch": rbac.SWITCH, "observe": rbac.OBSERVE}
VARIABLES = {"BENCHMARK_IMAGE": "bench:1", "ARGO_WORKFLOW_NAME": "run-1", "ARGO_WORKFLOW_UID": "uid-1"}


def rules(account: str) -> list[tuple[str | None, Object]]:
    """The rules that bind an account, each with the namespace it holds in, from what would be applied."""
    items = [*rbac.build_rbac(namespace=NAMESPACE)["items"]]
    items += rbac.build_rbac(operator=True, namespace=NAMESPACE)["items"]
    roles = {(i["kind"], i["metadata"]["name"], i["metadata"].get("namespace")): i for i in items if "rules" in i}
    found = []
    for binding in items:
        names = [s["name"] for s in binding.get("subjects", []) if s["namespace"] == NAMESPACE]
        if account in names:
            namespace = binding["metadata"].get("namespace")
            role = roles[binding["roleRef"]["kind"], binding["roleRef"]["name"], namespace]
            found += [(namespace, rule) for rule in role["rules"]]
    return found


def authoriser(account: str) -> Callable[[Request], bool]:
    held = rules(account)

    def denied(request: Request) -> bool:
        resource = f"{request.plural}/{request.sub}" if request.sub else request.plural
        return not any(
            namespace in {None, request.namespace}
            and request.verb in rule["verbs"]
            and request.group in rule["apiGroups"]
            and resource in rule["resources"]
            and (not rule.get("resourceNames") or (request.name in rule["resourceNames"] and request.verb != "create"))
            for namespace, rule in held
        )

    return denied


def asked(monkeypatch: pytest.MonkeyPatch) -> tuple[Settings, Visit]:
    """Some run, and a way to wait that always begins with a watch."""
    plain = Client.until

    def until(self: Client, resource: Any, namespace: Any, ready: Any, timeout_s: float, **more: Any) -> Any:  # noqa: ANN401
        looks = iter((False,))
        return plain(self, resource, namespace, lambda f: next(looks, True) and ready(f), timeout_s, **more)

    monkeypatch.setattr(Client, "until", until)
    monkeypatch.setattr(connectivity, "CHECK_S", 0.01)
    monkeypatch.setattr(connectivity, "_POLL_S", 0.0)
    settings = choose_settings(
        profile="smoke", dataplanes="ebpf", options="services=2", environment="prod", seed_source=lambda: 1
    )
    return settings, Visit(visit=1, round=1, dataplane="ebpf", trials=())


def kube(calico: Calico, role: Role) -> KubernetesCluster:
    client, _transport = direct_client(calico.store)
    calico.store.denied = authoriser(ACCOUNTS[role])
    return KubernetesCluster(
        "prod", client=client, variables=VARIABLES, say=lambda _s: None, sleep=calico.store.advance, gate_s=0
    )


def switching(calico: Calico, settings: Settings, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    """What preflight, snapshot, configure and restore do, and a restore after a run that is dead."""
    who = kube(calico, "switch")
    assert not [finding for finding in who.preflight(settings) if "may not" in finding.reason]
    put_workflow(calico, VARIABLES)
    who.snapshot()
    for dataplane in ("ebpf", "nftables", "iptables"):
        who.configure(visit.model_copy(update={"dataplane": dataplane}), settings)
    who.await_turn(visit, settings)
    who.set_scale(visit, settings, Scale(services=2, policies=1, churn_per_s=100))
    poll(lambda: {r.verb for r in calico.store.requests if r.plural == "endpointslices"}, _has_patch, pause_s=0.01)
    for scale in (Scale(services=1), Scale()):
        who.set_scale(visit, settings, scale)
    who.retreat(visit, "it can't be had here")
    assert who.left()
    client, _transport = direct_client(calico.store)
    curing(calico, client, read_state(client, to_switch=False), monkeypatch)
    put_workflow(calico, VARIABLES, phase="Failed")
    variables = {**VARIABLES, "ARGO_WORKFLOW_NAME": "run-2"}
    other = KubernetesCluster(
        "prod", client=client, variables=variables, say=lambda _s: None, sleep=calico.store.advance, gate_s=0
    )
    other.restore()


def _has_patch(verbs: set[str]) -> bool:
    return "patch" in verbs


def curing(calico: Calico, client: Client, standing: ClusterState, monkeypatch: pytest.MonkeyPatch) -> None:
    """What every proof may do, the one after a restore too."""
    monkeypatch.setattr(readiness, "nodes_without_rules", lambda _seen, _now: ("node-a",))
    monkeypatch.setattr(readiness, "nodes_with_lost_interfaces", lambda _seen: ("node-a",))
    later = calico.store.now() + timedelta(hours=1)
    cures = observe._restart_agents(around(calico, client), standing, readiness.Readiness([], "ebpf", later, []))
    assert [cure.looked_at for cure in cures] == ["cure", "cure"]


def observing(calico: Calico, settings: Settings, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other steps do that ask the cluster."""
    who = kube(calico, "observe")
    who.provenance(settings)
    client, _transport = direct_client(calico.store)
    standing = read_state(client, to_switch=False)
    observations.read_logs(client, standing, ["node-a", "node-b"])
    curing(calico, client, standing, monkeypatch)
    workload = Workload(client, manifests.TRIALS)
    workload.ensure_services(trial_servers.service())
    container = manifests.Container("server", ("true",))
    (running,) = workload.ensure_pods(
        [manifests.pod("server", manifests.TRIALS, "node-a", [container], "bench:1", deadline_s=60)]
    )
    client.log(running["metadata"]["name"], BENCHMARK)
    who.clear(visit)
    workload.delete()


@pytest.mark.parametrize("role", ["switch", "observe"])
def test_rbac_roles_have_exactly_the_needed_permissions(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, visit = asked(monkeypatch)
    used: set[Call] = set()
    clusters = (Calico(), Calico(group=V3_GROUP), Calico("operator", bootstraps=False), Calico("operator"))
    for calico in clusters:
        (
            switching(calico, settings, visit, monkeypatch)
            if role == "switch"
            else observing(calico, settings, visit, monkeypatch)
        )
        used |= {_call(request) for request in calico.store.requests}
    assert used == {_of(entry) for entry in PERMISSIONS if role in entry.roles}


def test_rbac_measure_account_has_no_permissions() -> None:
    (only,) = rules(rbac.MEASURE)
    assert only == (
        NAMESPACE,
        {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]},
    )


def test_rbac_only_the_switching_account_may_patch() -> None:
    assert not [
        rule
        for _namespace, rule in rules(rbac.OBSERVE)
        if "patch" in rule["verbs"] and "workflowtaskresults" not in rule["resources"]
    ]


def test_rbac_no_exec_and_no_secrets() -> None:
    for account in (rbac.SWITCH, rbac.OBSERVE, rbac.MEASURE):
        for _namespace, rule in rules(account):
            assert not {"pods/exec", "pods/attach", "pods/portforward", "secrets", "*"} & set(rule["resources"])
            assert "*" not in rule["verbs"]


def test_rbac_writes_to_system_objects_are_limited_by_name() -> None:
    for entry in PERMISSIONS:
        if entry.verb in {"patch", "delete"} and entry.namespace != BENCHMARK and entry.resource != permissions.PODS:
            assert entry.names, f"{entry.verb} {entry.plural} in {entry.namespace} is for any name"


def test_rbac_operator_namespaces_are_separate() -> None:
    for name in ("base/rbac.yaml", "operator/rbac.yaml"):
        items = yaml.safe_load((render.DIRECTORY / name).read_text())["items"]
        inside = {i["metadata"].get("namespace") in OPERATOR_NAMESPACES for i in items}
        assert inside == {name == "operator/rbac.yaml"}
    assert {CALICO_SYSTEM, TIGERA_OPERATOR} == OPERATOR_NAMESPACES


def _call(request: Request) -> Call:
    resource = f"{request.plural}/{request.sub}" if request.sub else request.plural
    namespace = BENCHMARK if request.namespace == NAMESPACE else request.namespace or None
    return request.verb, request.group, resource, namespace


def _of(entry: permissions.Permission) -> Call:
    return entry.verb, entry.resource.group, entry.plural, entry.namespace
