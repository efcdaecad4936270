"""The preflight as a whole: permissions, the lock, pods, and the provenance of a run."""

import re
from pathlib import Path
from typing import Any

import pytest

from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.ownership import lock
from steps.cluster.kube.ownership.owner import LockOwner
from steps.cluster.kube.plugins.calico import preflight
from steps.cluster.kube.plugins.calico.inventory import provenance
from steps.cluster.kube.plugins.calico.switching.snapshot import take_snapshot
from steps.cluster.kube.workloads import connectivity
from steps.settings.settings import choose_settings
from tests.steps.kube.calico.clusters import ALL, label, standing
from tests.steps.kube.fakes.answers import Request
from tests.steps.kube.fakes.api import NAMESPACE, direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.fakes.kubelet import Kubelet

Object = dict[str, Any]


def test_all_missing_rbac_permissions_are_listed() -> None:
    calico = Calico()

    def denied(request: Request) -> bool:
        return request.verb == "patch" or request.sub == "log"

    calico.store.denied = denied
    client, _transport = direct_client(calico.store)
    who = KubernetesCluster("prod", client=client, variables={}, say=lambda _s: None)
    found = who.preflight(choose_settings(profile="smoke", dataplanes=ALL, environment="prod"))
    assert [finding.reason for finding in found] == [
        "may not patch felixconfigurations in API group crd.projectcalico.org named default.",
        "may not patch daemonsets in API group apps named kube-proxy in namespace kube-system.",
        "may not patch configmaps named kube-proxy, dataplane-benchmark in namespace kube-system.",
        "may not get pods/log in namespace kube-system.",
        f"may not get pods/log in namespace {NAMESPACE}.",
        f"may not patch endpointslices in API group discovery.k8s.io in namespace {NAMESPACE}.",
    ]


def test_preflight_findings_come_at_once_and_trial_pods_unless_locked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connectivity, "CHECK_S", 0.0)
    calico = Calico()
    Kubelet(calico)
    label("argocd.argoproj.io/instance", "infra")(calico)
    calico.store.denied = lambda request: request.verb == "patch" and request.plural != "endpointslices"
    variables = {"BENCHMARK_IMAGE": "image:1", "ARGO_WORKFLOW_NAME": "run-1"}
    client, _transport = direct_client(calico.store)
    who = KubernetesCluster("prod", client=client, variables=variables, say=lambda _s: None)
    subjects = [f.subject for f in who.preflight(choose_settings(profile="smoke", dataplanes=ALL, environment="prod"))]
    assert subjects.count("permissions") == 3
    assert "cluster" in subjects
    assert "node-to-node" in subjects, "the pods say nothing here, which is told as well"
    owner = LockOwner("run-2", NAMESPACE, None)
    calico.store.denied = lambda _request: False
    lock.take_lock(client, owner, take_snapshot(client, standing(calico), ""), client.now())
    calico.store.requests.clear()
    found = who.preflight(choose_settings(profile="smoke", dataplanes=ALL, environment="prod"))
    assert any("run-2" in each.reason for each in found)
    assert all(each.remedy for each in found if each.severity != "warn")
    assert not [r for r in calico.store.requests if (r.verb, r.plural) == ("create", "pods")]


def test_files_named_by_remedies_exist() -> None:
    root = Path(preflight.__file__).parents[5]
    named = set()
    for file in [*root.glob("steps/**/*.py"), *root.glob("workflows/**/*.py"), root / "Makefile"]:
        named |= set(re.findall(r"(?<![/\w])(?:workflows|docs|analysis)/[\w.-]*\w(?:/[\w.-]*\w)?", file.read_text()))
    assert "workflows/manifests" in named
    assert [name for name in sorted(named) if not (root / name).exists()] == []


def test_provenance_of_a_cluster() -> None:
    here = standing(Calico())
    told = provenance.provenance(here.facts, here.inventory, ("node-a", "node-b"))
    wanted = {
        "kubernetes": "v1.35.4",
        "cni": "Calico",
        "cni_version": "v3.32.1",
        "install": "manifest",
        "encapsulation": "VXLAN Always",
        "kube_proxy_mode": "iptables",
        "kernel": "6.18.44-fc-v657",
        "instance_type": None,
    }
    assert {key: told[key] for key in wanted} == wanted
