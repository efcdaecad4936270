"""What reconciles a cluster's objects and would undo a switch: GitOps tools, add-on managers, operators. Pure.

An object's reconciler is recognised by its labels, annotations, field managers and ownerReferences.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import KUBE_PROXY, KUBE_SYSTEM, SERVICES_ENDPOINT, TIGERA_OPERATOR
from steps.cluster.kube.plugins.calico.inventory.objects import ClusterObjects

ADDON_MANAGER: Final = "addonmanager.kubernetes.io/mode"

_CALICO_METADATA: Final = "projectcalico.org/metadata"
_RELEASED: Final = "meta.helm.sh/"


@dataclass(frozen=True, slots=True)
class Reconciler:
    """What maintains an object. `reverts`: it undoes changes of others by itself, not only when it is run."""

    name: str
    reverts: bool


@dataclass(frozen=True, slots=True)
class _Signs:
    """How one reconciler is recognised: any of these is enough.

    Attributes:
        name: as used in a sentence.
        reverts: whether it undoes changes of others by itself.
        keys: labels or annotations, each with the values that count; none: any value.
        prefixes: of labels or annotations.
        managers: its field managers; one that ends in `-` or `@` is a prefix.
        opt_outs: labels or annotations, each with the value by which it leaves an object alone.
    """

    name: str
    reverts: bool = True
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    opt_outs: Mapping[str, str] = field(default_factory=dict)


_TABLE: Final = (
    _Signs(
        "Argo CD",
        keys={"argocd.argoproj.io/instance": (), "argocd.argoproj.io/tracking-id": ()},
        managers=("argocd-",),
    ),
    _Signs(
        "Flux",
        prefixes=("kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/"),
        managers=("kustomize-controller",),
        opt_outs={
            "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
            "kustomize.toolkit.fluxcd.io/ssa": "Ignore",
        },
    ),
    _Signs("Fleet", prefixes=("fleet.cattle.io/",), managers=("fleetagent", "fleet-agent")),
    _Signs(
        "the add-on controller of k3s or RKE2",
        keys={"objectset.rio.cattle.io/owner-gvk": ("k3s.cattle.io/v1, Kind=Addon",)},
        prefixes=("helm.cattle.io/", "addon.k3s.cattle.io/"),
        managers=("deploy@", "k3s-supervisor@", "rke2-supervisor@"),
    ),
    _Signs("an object set of Rancher's (k3s, RKE2 or Fleet)", prefixes=("objectset.rio.cattle.io/",)),
    _Signs(
        "Config Sync",
        keys={"configmanagement.gke.io/managed": ("enabled",)},
        prefixes=("configsync.gke.io/",),
        managers=("configsync",),
        opt_outs={"configmanagement.gke.io/managed": "disabled"},
    ),
    _Signs(
        "Gardener",
        keys={"resources.gardener.cloud/managed-by": (), "gardener.cloud/role": (), "origin": ("gardener",)},
        prefixes=("shoot.gardener.cloud/",),
        managers=("gardener-resource-manager", "gardenlet"),
        opt_outs={"resources.gardener.cloud/ignore": "true", "resources.gardener.cloud/mode": "Ignore"},
    ),
    _Signs("the add-on manager", keys={ADDON_MANAGER: ("Reconcile",)}),
    _Signs("kapp-controller", managers=("kapp-controller",)),
    _Signs("Open Cluster Management", managers=("work-agent",)),
    _Signs("Sveltos", prefixes=("projectsveltos.io/",)),
    _Signs("Crossplane", prefixes=("crossplane.io/",)),
    _Signs("the Operator Lifecycle Manager", prefixes=("olm.owner",)),
    _Signs(
        "OpenShift's network operator", prefixes=("networkoperator.openshift.io/",), managers=("cluster-network-op",)
    ),
    _Signs("kapp", reverts=False, keys={"kapp.k14s.io/app": ()}),
    _Signs("kops", reverts=False, prefixes=("addon.kops.k8s.io/",)),
    _Signs("Amazon EKS, as an add-on", reverts=False, managers=("eks",)),
    _Signs("Terraform", reverts=False, managers=("Terraform", "HashiCorp")),
    _Signs(
        "Helm",
        reverts=False,
        keys={"app.kubernetes.io/managed-by": ("Helm",)},
        prefixes=(_RELEASED,),
        managers=("helm",),
    ),
)
"""Those that revert come first, since one such is enough."""

_INSTANCE: Final = "app.kubernetes.io/instance"
_ARGO_BEFORE_3: Final = Reconciler("Argo CD, if its version is older than 3.0 and tracks by label", reverts=False)
"""Argo CD before 3.0 marks its objects with a label that Helm and others set as well."""


def owners(objects: ClusterObjects) -> dict[str, Reconciler]:
    """The objects that a switch patches and that have a reconciler, by name."""
    touched = {
        "FelixConfiguration default": objects.felix_default,
        "Installation default": objects.installation,
        "DaemonSet kube-system/kube-proxy": objects.kube_proxy,
        f"ConfigMap kube-system/{KUBE_PROXY}": objects.kube_proxy_config,
        **{
            f"ConfigMap {place}/{SERVICES_ENDPOINT}": objects.services_endpoints.get(place)
            for place in (KUBE_SYSTEM, TIGERA_OPERATOR)
        },
    }
    return {name: found for name, each in touched.items() if (found := next(reconcilers(each), None)) is not None}


def reconcilers(found: Object | None) -> Iterator[Reconciler]:
    """All reconcilers of an object, those that revert first."""
    marks = marks_of(found)
    notes = [str(entry.get("manager", "")) for each in _metadata(found) for entry in each.get("managedFields") or []]
    matched = [signs for signs in _TABLE if _matches(signs, marks, notes)]
    yield from (Reconciler(signs.name, signs.reverts) for signs in matched if signs.reverts)
    yield from _controllers(found)
    by_helm = any(key.startswith(_RELEASED) for key in marks)
    if _INSTANCE in marks and not by_helm and not any(signs.reverts for signs in matched):
        yield _ARGO_BEFORE_3
    yield from (Reconciler(signs.name, signs.reverts) for signs in matched if not signs.reverts)


def marks_of(found: Object | None) -> dict[str, str]:
    """An object's labels and annotations."""
    sources = [each.get(kind) or {} for kind in ("annotations", "labels") for each in _metadata(found)]
    return {key: value for source in sources for key, value in source.items()}


def _metadata(found: Object | None) -> list[Object]:
    """An object's metadata, and the metadata that Calico's API server stores in its annotation."""
    own: Object = (found or {}).get("metadata") or {}
    try:
        inner = json.loads((own.get("annotations") or {}).get(_CALICO_METADATA) or "{}")
    except ValueError:
        inner = {}
    return [own, inner] if isinstance(inner, dict) else [own]


def _matches(signs: _Signs, marks: Mapping[str, str], managers: list[str]) -> bool:
    if any(marks.get(key) == value for key, value in signs.opt_outs.items()):
        return False
    return (
        any(key in marks and (not values or marks[key] in values) for key, values in signs.keys.items())
        or any(key.startswith(signs.prefixes) for key in marks)
        or any(_is_manager(manager, known) for known in signs.managers for manager in managers)
    )


def _is_manager(manager: str, known: str) -> bool:
    return manager == known or (known.endswith(("-", "@")) and manager.startswith(known))


def _controllers(found: Object | None) -> Iterator[Reconciler]:
    for owner in [owner for each in _metadata(found) for owner in each.get("ownerReferences") or []]:
        group = str(owner.get("apiVersion", "")).partition("/")[0]
        if owner.get("controller") and group != "operator.tigera.io":  # a switch goes through Calico's operator
            yield Reconciler(f"its controller, {owner.get('kind')} {owner.get('name')}", reverts=True)
