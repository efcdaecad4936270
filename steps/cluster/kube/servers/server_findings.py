"""Findings of a preflight about the servers and clients of the trials."""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from analysis.errors import Problem, Unsupported
from steps.catalogue.options import Settings
from steps.catalogue.tools import CANARY
from steps.catalogue.topologies import BY_NAME, NODE_TO_NODE, TOPOLOGIES, Topology
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.nodes import ClusterNode
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import KUBE_SYSTEM, PODS, SERVICES
from steps.cluster.kube.cni import CniState
from steps.cluster.kube.findings import skip, stop
from steps.cluster.kube.scale import capacity, programming_pods
from steps.cluster.kube.servers import monitors, outside_client, trial_servers
from steps.cluster.kube.servers.placements import BALANCED
from steps.cluster.kube.workloads import admission, connectivity, probe_pods, step_pods
from steps.cluster.kube.workloads import manifests as pods
from steps.cluster.kube.workloads.workload import Workload
from steps.domain import Finding
from steps.settings import turn_order
from steps.settings.environment import IMAGE, OUTSIDE

_KUBE_PROXIES: Final = ("k8s-app=kube-proxy", "component=kube-proxy")
"""The labels of kube-proxy's pods: those of kubeadm and of most, and those of static pods."""


def findings(
    client: Client,
    standing: CniState,
    chosen: Sequence[str],
    settings: Settings,
    *,
    variables: Mapping[str, str] = os.environ,
) -> list[Finding]:
    """Why the servers, or a topology's client, are unavailable, tried with pods that are deleted afterwards."""
    chosen_topologies = {cell.topology for cell in settings.cells}
    found = [*step_pods.findings(client, variables), *_own_services(chosen_topologies)]
    try:
        outside = outside_client.outside_node(standing.nodes, variables)
    except Unsupported as error:
        remedy = f"Run `kubectl get nodes`, and set {OUTSIDE} to one without the network plugin's agent, or to nothing."
        return [stop(str(error), remedy, "outside")]
    if outside is None:
        lost = [name for name in sorted(chosen_topologies) if BY_NAME[name].needs_outside]
        found += [skip(name, outside_client.UNAVAILABLE, outside_client.REMEDY) for name in lost]
    else:
        found += standing.outside_findings(outside, chosen[0], settings)
    try:
        image = pods.image(variables)
        places = probe_pods.sites(standing.nodes, chosen)
    except Problem as error:
        remedy = f"Set `{IMAGE}=NAME:TAG`, and check `kubectl get nodes -o wide`."
        return [*found, stop(str(error), remedy, "pods")]
    from_outside = sorted(name for name in chosen_topologies if BY_NAME[name].client == "outside")
    beyond = probe_pods.sites(standing.nodes, [outside.name])[0] if outside is not None and from_outside else None
    paths = [topology for topology in TOPOLOGIES if topology.name in {*chosen_topologies, NODE_TO_NODE}]
    at_once = _pods_of_a_visit(paths, places, image, settings)
    services = (trial_servers.service(), trial_servers.turns_service(), *trial_servers.other_services(paths).values())
    kinds = [*((SERVICES, each) for each in services), *capacity.samples(settings.scales)]
    running, more = step_pods.pods_of_run(client, variables), capacity.quota_needs(settings.scales)
    found += capacity.findings(client, settings.scales)
    refused = admission.findings(client, at_once, kinds, settings, running=running, more=more)
    if refused:
        return found + refused  # real pods would be refused too
    in_pods = any(BY_NAME[name].client == "pod" or BY_NAME[name].target != "node-address" for name in chosen_topologies)
    found += _forwarded_outside(client, paths, outside) or _balanced(client, paths)
    return found + connectivity.findings(
        client, places, image, CANARY.port, beyond, in_pods=in_pods, from_outside=from_outside
    )


def _own_services(chosen: Iterable[str]) -> list[Finding]:
    reason = "on a cluster the client is the pod of a step, which runs no server that a Service could lead back to"
    names = [name for name in sorted(chosen) if BY_NAME[name].target == "own-service"]
    return [skip(name, reason, "Measure it in the lab, or leave it out.") for name in names]


def _forwarded_outside(client: Client, paths: Sequence[Topology], outside: ClusterNode | None) -> list[Finding]:
    """Why paths through a load balancer's address can't be measured where the client's node runs kube-proxy.

    kube-proxy's rules there send the client's own packets straight to a pod, as they do for a ClusterIP. (A NodePort is
    only forwarded by the node whose address the client connects to.)
    """
    balanced = [path.name for path in paths if path.target == BALANCED]
    if outside is None or not balanced:
        return []
    proxies = (pod for labels in _KUBE_PROXIES for pod in client.list(PODS, KUBE_SYSTEM, labels=labels))
    if all(pod["spec"].get("nodeName") != outside.name for pod in proxies):
        return []
    reason = f"kube-proxy runs on {outside.name}, and forwards a load balancer's address there, before it leaves"
    remedy = (
        f"Leave the path out, or keep kube-proxy's pods off {outside.name} by a node affinity and route the address of "
        "the Service kubernetes there, since Argo's executor needs it."
    )
    return [skip(name, reason, remedy) for name in balanced]


def _balanced(client: Client, paths: Sequence[Topology]) -> list[Finding]:
    """Why paths through a load balancer's address can't be measured, tried with a Service that is deleted."""
    made = trial_servers.other_services(paths).get(BALANCED)
    if made is None:
        return []
    workload = Workload(client, connectivity.CHECK)
    made["metadata"]["labels"][pods.LABEL] = connectivity.CHECK
    try:
        workload.ensure_services(made)
        trial_servers.await_address(client, connectivity.CHECK, made["metadata"]["name"])
    except Problem as problem:
        remedy = (
            "Install what hands out addresses, such as MetalLB or Calico's LoadBalancer IPAM, or leave the path out."
        )
        return [skip(path.name, str(problem), remedy) for path in paths if path.target == BALANCED]
    finally:
        workload.delete()
    return []


def _pods_of_a_visit(
    paths: Sequence[Topology], places: Sequence[probe_pods.Site], image: str, settings: Settings
) -> list[Object]:
    """All pods that a visit has at once: servers, monitors, probes, its steps, and those that follow changes."""
    make = partial(pods.pod, part=connectivity.REACH, image_name=image, deadline_s=connectivity.DEADLINE_S)
    changes_scale = len(settings.scales) > 1 or any(cell.program.by_scale for cell in settings.cells)
    steps = [path.name for path in paths] + [turn_order.HOST_NETWORK, turn_order.SETTLE, turn_order.CLEAR]
    step = pods.Container("step", ("true",), requests=pods.STEP_REQUESTS)
    return [
        *trial_servers.manifests(paths, places, image),
        *(monitors.on_nodes(places, image) if monitors.are_needed_on_nodes(paths) else []),
        *(make(f"step-{name}", node=places[0].node, containers=[step]) for name in steps),
        *(
            make(f"{probe_pods.PART}-{kind}-{index}", node=place.node, containers=[pods.Container("probe", ("true",))])
            for index, place in enumerate(places)
            for kind in ("host", "pod")
        ),
        pods.largest_step(places[0].node, image),
        *(programming_pods.manifests(places, image, "") if changes_scale else []),
    ]
