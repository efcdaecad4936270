"""The facts of a cluster that a reader needs to judge the results. Pure."""

from steps.cluster.kube.api import quantity
from steps.cluster.kube.api.nodes import ClusterNode
from steps.cluster.kube.calico.inventory.facts import Facts
from steps.cluster.kube.calico.inventory.objects import ClusterObjects


def provenance(facts: Facts, objects: ClusterObjects, measured: tuple[str, ...]) -> dict[str, object]:
    """The facts, JSON-serialisable; None is unknown. Facts read on a node itself are in each trial's document."""
    felix = (objects.felix_default or {}).get("spec")
    information = (objects.information or {}).get("spec") or {}
    network = ((objects.installation or {}).get("spec") or {}).get("calicoNetwork")
    by_name = {node.name: node for node in facts.nodes}
    return {
        "kubernetes": facts.kubernetes_version,
        "cni": "Calico" if facts.install else ", ".join(facts.other_cnis) or None,
        "cni_version": facts.calico_version,
        "policy_only": facts.policy_only if facts.install else None,
        "calico_cluster_type": information.get("clusterType"),
        "calico_images": _images(objects),
        "install": facts.install,
        "api_group": facts.group,
        "felix_configuration": felix,
        "felix_environment": facts.overrides or None,
        "installation": network,
        "encapsulation": facts.encapsulation,
        "ip_pools": list(facts.pools),
        "mtu": facts.mtu,
        "kube_proxy_mode": facts.kube_proxy_mode,
        "other_cnis": list(facts.other_cnis),
        "windows_nodes": list(facts.windows_nodes),
        "nodes_in_cluster": len(facts.nodes),
        "nodes": [_node(by_name[name]) for name in measured if name in by_name],
        "kernel": _common({by_name[name].kernel for name in measured if name in by_name}),
        "architecture": _common({by_name[name].arch or None for name in measured if name in by_name}),
        "instance_type": _common({by_name[name].instance_type for name in measured if name in by_name}),
        "cores": _common({by_name[name].cpus for name in measured if name in by_name}),
    }


def _node(node: ClusterNode) -> dict[str, object]:
    return {
        "name": node.name,
        "kernel": node.kernel or None,
        "os": node.os_image,
        "architecture": node.arch or None,
        "cores": node.cpus or None,
        "container_runtime": node.container_runtime,
        "instance_type": node.instance_type,
        "zone": node.zone,
        "burstable": quantity.is_burstable(node.instance_type) if node.instance_type is not None else None,
    }


def _common(values: set[object]) -> object:
    """The value that all of them share; None where they differ."""
    return next(iter(values)) if len(values) == 1 else None


def _images(objects: ClusterObjects) -> list[str]:
    return sorted(
        {
            container.get("image", "")
            for found in objects.daemon_sets
            if found in (objects.agent, objects.kube_proxy)
            for container in found["spec"]["template"]["spec"].get("containers") or []
        }
    )
