"""The reconcilers that would undo a switch, by the marks that they leave on an object."""

import json
from typing import Any

import pytest

from steps.cluster.kube.plugins.calico.inventory import reconcilers
from tests.steps.kube.calico.clusters import findings
from tests.steps.kube.fakes.calico import Calico

Object = dict[str, Any]
REVERTS: dict[str, tuple[Object, str]] = {
    "argocd 3": ({"annotations": {"argocd.argoproj.io/tracking-id": "a:apps/DaemonSet:b/c"}}, "Argo CD"),
    "argocd by instance label": ({"labels": {"argocd.argoproj.io/instance": "infra"}}, "Argo CD"),
    "argocd before 3": (
        {"labels": {"app.kubernetes.io/instance": "infra"}, "managedFields": [{"manager": "argocd-controller"}]},
        "Argo CD",
    ),
    "argocd of a chart": (
        {
            "labels": {"app.kubernetes.io/instance": "infra", "app.kubernetes.io/managed-by": "Helm"},
            "managedFields": [{"manager": "argocd-application-controller"}],
        },
        "Argo CD",
    ),
    "flux": ({"labels": {"kustomize.toolkit.fluxcd.io/name": "infra"}}, "Flux"),
    "flux helm": ({"labels": {"helm.toolkit.fluxcd.io/name": "infra"}}, "Flux"),
    "flux by manager": ({"managedFields": [{"manager": "kustomize-controller"}]}, "Flux"),
    "fleet": (
        {"annotations": {"fleet.cattle.io/bundle-id": "b", "objectset.rio.cattle.io/id": "x"}},
        "Fleet",
    ),
    "k3s addon": (
        {"annotations": {"objectset.rio.cattle.io/owner-gvk": "k3s.cattle.io/v1, Kind=Addon"}},
        "the add-on controller of k3s or RKE2",
    ),
    "rke2 addon": ({"managedFields": [{"manager": "deploy@server-1"}]}, "the add-on controller of k3s or RKE2"),
    "rke2 chart": ({"labels": {"helm.cattle.io/chart-name": "rke2-calico"}}, "the add-on controller of k3s or RKE2"),
    "rancher": ({"labels": {"objectset.rio.cattle.io/hash": "1"}}, "an object set of Rancher's"),
    "config sync": ({"annotations": {"configmanagement.gke.io/managed": "enabled"}}, "Config Sync"),
    "config sync by id": ({"annotations": {"configsync.gke.io/resource-id": "x"}}, "Config Sync"),
    "gardener": ({"labels": {"resources.gardener.cloud/managed-by": "gardener"}}, "Gardener"),
    "gardener's role": ({"labels": {"gardener.cloud/role": "system-component"}}, "Gardener"),
    "add-on manager": ({"labels": {"addonmanager.kubernetes.io/mode": "Reconcile"}}, "the add-on manager"),
    "kapp-controller": ({"managedFields": [{"manager": "kapp-controller"}]}, "kapp-controller"),
    "an operator": (
        {
            "ownerReferences": [
                {"apiVersion": "operator.example/v1", "kind": "Network", "name": "cluster", "controller": True}
            ]
        },
        "its controller, Network cluster",
    ),
}
MAY: dict[str, tuple[Object, str]] = {
    "instance label alone": ({"labels": {"app.kubernetes.io/instance": "x"}}, "Argo CD, if its version is older than"),
    "instance label of a chart without a release": (
        {"labels": {"app.kubernetes.io/instance": "x", "app.kubernetes.io/managed-by": "Helm"}},
        "Argo CD, if its version is older than",
    ),
    "helm": (
        {
            "labels": {"app.kubernetes.io/instance": "x", "app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"meta.helm.sh/release-name": "x"},
        },
        "Helm",
    ),
    "eks": ({"managedFields": [{"manager": "eks"}]}, "Amazon EKS"),
    "kapp": ({"labels": {"kapp.k14s.io/app": "1"}}, "kapp"),
    "kops": ({"labels": {"addon.kops.k8s.io/name": "networking"}}, "kops"),
}
NOBODY: dict[str, Object] = {
    "nothing": {},
    "kubectl": {"managedFields": [{"manager": "kubectl-edit"}, {"manager": "kubeadm"}, {"manager": "eksctl"}]},
    "add-on that is only made once": {"labels": {"addonmanager.kubernetes.io/mode": "EnsureExists"}},
    "paused flux": {
        "labels": {"kustomize.toolkit.fluxcd.io/name": "x"},
        "annotations": {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"},
    },
    "released by config sync": {"annotations": {"configmanagement.gke.io/managed": "disabled"}},
    "ignored by gardener": {
        "labels": {"resources.gardener.cloud/managed-by": "gardener"},
        "annotations": {"resources.gardener.cloud/ignore": "true"},
    },
    "an owner that controls nothing": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "a"}]},
    "calico's own operator": {
        "ownerReferences": [
            {"apiVersion": "operator.tigera.io/v1", "kind": "Installation", "name": "default", "controller": True}
        ]
    },
    "unreadable": {"annotations": {"projectcalico.org/metadata": "{"}},
}


def marked(metadata: Object, where: str = "kube-proxy") -> Calico:
    calico = Calico()
    found = calico.kube_proxy if where == "kube-proxy" else calico.felix
    for key, value in metadata.items():
        held = found["metadata"].setdefault(key, type(value)())
        held.update(value) if isinstance(value, dict) else held.extend(value)
    return calico


@pytest.mark.parametrize("name", REVERTS)
@pytest.mark.parametrize("where", ["kube-proxy", "felix"])
def test_gitops_controller_stops_the_run_unless_paused(name: str, where: str) -> None:
    metadata, tool = REVERTS[name]
    calico = marked(metadata, where)
    (found,) = findings(calico)
    assert found.severity == "stop"
    assert f"is maintained by {tool}" in found.reason
    assert "BENCHMARK_ACCEPT=gitops" in (found.remedy or "")
    (accepted,) = findings(calico, accepted=frozenset({"gitops"}))
    assert accepted.severity == "warn"


@pytest.mark.parametrize("name", MAY)
def test_manual_sync_gitops_controller_is_a_warning(name: str) -> None:
    metadata, tool = MAY[name]
    (found,) = findings(marked(metadata))
    assert found.severity == "warn"
    assert f"is maintained by {tool}" in found.reason


@pytest.mark.parametrize("name", NOBODY)
def test_similar_labels_are_no_gitops_controller(name: str) -> None:
    assert findings(marked(NOBODY[name])) == []


def test_gitops_labels_in_calicos_annotation_count() -> None:
    inner = json.dumps({"labels": {"argocd.argoproj.io/instance": "infra"}, "creationTimestamp": None})
    (found,) = findings(marked({"annotations": {"projectcalico.org/metadata": inner}}, "felix"))
    assert (found.severity, "Argo CD" in found.reason) == ("stop", True)


def test_every_gitops_controller_has_an_example() -> None:
    found = [
        keeper.name
        for metadata, _ in [*REVERTS.values(), *MAY.values()]
        for keeper in reconcilers.reconcilers({"metadata": metadata})
    ]
    rare = {"Open Cluster Management", "Sveltos", "Crossplane", "the Operator Lifecycle Manager", "Terraform"}
    rare |= {"OpenShift's network operator"}
    assert {signs.name for signs in reconcilers._TABLE} - set(found) <= rare
