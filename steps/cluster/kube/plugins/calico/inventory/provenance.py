"""The facts of a cluster that a reader needs to judge the results. Pure."""

from steps.cluster.kube.api import quantity
from steps.cluster.kube.api.fields import read_field
from steps.cluster.kube.api.nodes import ClusterNode
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.plugins.calico.inventory.facts import Facts
from steps.cluster.kube.plugins.calico.inventory.objects import ClusterObjects


def provenance(facts: Facts, objects: ClusterObjects, measured: tuple[str, ...]) -> dict[str, object]:
    """The facts, JSON-serialisable; None is unknown. Facts read on a node itself are in each trial's document."""
    felix = (objects.felix_default or {}).get("spec")
    information = (objects.information or {}).get("spec") or {}
    network = ((objects.installation or {}).get("spec") or {}).get("calicoNetwork")
    by_name = {node.name: node for node in facts.nodes}
    nodes = [_node(by_name[name]) for name in measured if name in by_name]
    return {
        "kubernetes": objects.server_version,
        "cni": "Calico" if facts.install else ", ".join(facts.other_cnis) or None,
        "cni_version": facts.calico_version,
        "policy_only": facts.policy_only if facts.install else None,
        "calico_cluster_type": information.get("clusterType"),
        "calico_images": _images(objects),
        "install": facts.install,
        "api_group": facts.group,
        "felix_configuration": felix,
        "felix_environment": {name: each.value for name, each in facts.overrides.items()} or None,
        "installation": network,
        "encapsulation": facts.encapsulation,
        "ip_pools": [_pool(pool) for pool in objects.pools],
        "mtu": _configured_mtu(objects),
        "kube_proxy_mode": facts.kube_proxy_mode,
        "other_cnis": list(facts.other_cnis),
        "windows_nodes": list(facts.windows_nodes),
        "nodes_in_cluster": len(facts.nodes),
        "nodes": nodes,
        **{key: _common({node[key] for node in nodes}) for key in ("kernel", "architecture", "instance_type", "cores")},
    }


def _pool(pool: Object) -> dict[str, object]:
    spec = pool.get("spec") or {}
    keys = ("cidr", "vxlanMode", "ipipMode", "natOutgoing", "disabled")
    return {"name": pool["metadata"]["name"], **{key: spec.get(key) for key in keys}}


def _configured_mtu(objects: ClusterObjects) -> str | None:
    felix = (objects.felix_default or {}).get("spec") or {}
    configured = felix.get("vxlanMTU") or felix.get("mtu") or objects.agent_environment.get("FELIX_VXLANMTU")
    configured = configured or read_field(objects.installation, ("spec", "calicoNetwork", "mtu"))
    return str(configured) if configured else None


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
