"""Who keeps a cluster's objects as they are, and would undo a switch: GitOps tools, and the add-on manager. Pure."""

from typing import Any, Final

from steps.cluster.kube.permissions import KUBE_SYSTEM, SERVICES_ENDPOINT
from steps.cluster.kube.seen import Seen

Object = dict[str, Any]

_GITOPS_LABELS: Final = {
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
_GITOPS_ANNOTATIONS: Final = {"argocd.argoproj.io/tracking-id": "Argo CD"}
ADDON_MANAGER: Final = "addonmanager.kubernetes.io/mode"


def owners(seen: Seen) -> dict[str, str]:
    """The objects that a switch patches, and who would put them back."""
    touched = {
        "FelixConfiguration default": seen.felix_default,
        "Installation default": seen.installation,
        "DaemonSet kube-system/kube-proxy": seen.kube_proxy,
        "ConfigMap kube-system/kube-proxy": seen.kube_proxy_config,
        f"ConfigMap kube-system/{SERVICES_ENDPOINT}": seen.services_endpoints.get(KUBE_SYSTEM),
    }
    found = {}
    for name, each in touched.items():
        own, notes = labels(each), annotations(each)
        tools = [tool for key, tool in _GITOPS_LABELS.items() if key in own or key in notes]
        tools += [tool for key, tool in _GITOPS_ANNOTATIONS.items() if key in notes]
        if own.get(ADDON_MANAGER) == "Reconcile":
            tools.append("the add-on manager")
        if tools:
            found[name] = tools[0]
    return found


def labels(found: Object | None) -> dict[str, str]:
    """An object's labels."""
    return (found or {}).get("metadata", {}).get("labels") or {}


def annotations(found: Object | None) -> dict[str, str]:
    """An object's annotations."""
    return (found or {}).get("metadata", {}).get("annotations") or {}
