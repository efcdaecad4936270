"""The choice of the two measured nodes, and of the node of a client outside. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from analysis.console.excerpts import excerpt
from analysis.errors import BadInput, Unsupported
from steps.cluster.kube.api.objects import Object, is_ready
from steps.cluster.kube.api.quantity import amount
from steps.settings import environment

_PRESSURES: Final = ("MemoryPressure", "DiskPressure", "PIDPressure")
_KEEPS_OFF: Final = frozenset({"NoSchedule", "NoExecute"})


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """What decides whether and how a node is measured.

    `has_agent`: whether the network plugin's agent runs on it. `address`: the first internal one; `addresses`: external
    ones too.
    """

    name: str
    os: str
    arch: str
    kernel: str
    cpus: float
    ready: bool
    schedulable: bool
    pressures: tuple[str, ...]
    has_agent: bool
    address: str | None
    instance_type: str | None
    zone: str | None
    provider: str | None
    labels: Mapping[str, str]
    os_image: str | None = None
    container_runtime: str | None = None
    addresses: tuple[str, ...] = ()

    @property
    def fit(self) -> bool:
        """Whether it can be measured."""
        return self.os == "linux" and self.ready and self.schedulable and self.has_agent and not self.pressures


def with_agent(
    pods: Iterable[Object] | None, daemon_set: Object | None, nodes: Iterable[Object], annotations: Iterable[str]
) -> frozenset[str]:
    """The names of the nodes that run the network plugin's agent.

    While an agent is missing, as in a rolling update, a node that an agent has annotated counts too.

    Args:
        pods: of the agent's DaemonSet; None: unknown.
        daemon_set: the agent's.
        nodes: all of the cluster.
        annotations: that the agent leaves on its node, by their keys; one is enough.
    """
    running = {
        str(pod["spec"]["nodeName"])
        for pod in pods or ()
        if (pod.get("spec") or {}).get("nodeName")
        and not pod["metadata"].get("deletionTimestamp")
        and (pod.get("status") or {}).get("phase") not in {"Failed", "Succeeded"}
    }
    wanted = ((daemon_set or {}).get("status") or {}).get("desiredNumberScheduled")
    if pods is not None and wanted is not None and wanted <= len(running):
        return frozenset(running)
    annotated = {
        node["metadata"]["name"]
        for node in nodes
        if any(key in (node["metadata"].get("annotations") or {}) for key in annotations)
    }
    return frozenset(running | annotated)


def not_ready(found: Iterable[Object]) -> frozenset[str]:
    """The names of the nodes, as Node objects, that are not ready: nothing there can be awaited or read."""
    return frozenset(node["metadata"]["name"] for node in found if not is_ready(node))


def read_node(found: Object, agent_nodes: Iterable[str]) -> ClusterNode:
    """Read a Node object. `agent_nodes`: the names of those that run the network plugin's agent."""
    meta, spec, status = found["metadata"], found.get("spec") or {}, found.get("status") or {}
    labels, info = meta.get("labels") or {}, status.get("nodeInfo") or {}
    conditions = {c["type"]: c["status"] for c in status.get("conditions") or []}
    keeps_off = any(taint.get("effect") in _KEEPS_OFF for taint in spec.get("taints") or [])
    addresses = [a["address"] for a in status.get("addresses") or [] if a.get("type") == "InternalIP"]
    return ClusterNode(
        name=meta["name"],
        os=_text(info.get("operatingSystem")) or labels.get("kubernetes.io/os", ""),
        arch=_text(info.get("architecture")) or "",
        kernel=_text(info.get("kernelVersion")) or "",
        cpus=amount((status.get("capacity") or {}).get("cpu", "0")),
        ready=is_ready(found),
        schedulable=not spec.get("unschedulable") and not keeps_off,
        pressures=tuple(name for name in _PRESSURES if conditions.get(name) == "True"),
        has_agent=meta["name"] in set(agent_nodes),
        address=_first(addresses, spec.get("podCIDR")),
        instance_type=labels.get("node.kubernetes.io/instance-type"),
        zone=labels.get("topology.kubernetes.io/zone"),
        provider=_text(spec.get("providerID")),
        labels=labels,
        os_image=_text(info.get("osImage")),
        container_runtime=_text(info.get("containerRuntimeVersion")),
        addresses=tuple(a["address"] for a in status.get("addresses") or [] if str(a.get("type")).endswith("IP")),
    )


def _text(value: object) -> str | None:
    """Text that a node reports of itself, which reaches messages and provenance."""
    return excerpt(value) if value else None


def _first(addresses: Sequence[str], pod_cidr: str | None) -> str | None:
    """The first address of the family of the pods' network; the first of all if that is unknown."""
    same = [a for a in addresses if pod_cidr is not None and (":" in a) == (":" in pod_cidr)]
    return next(iter([*same, *addresses]), None)


def url_host(address: str) -> str:
    """The host of a URL: an IPv6 address in brackets, anything else unchanged."""
    return f"[{address}]" if ":" in address else address


def choose_nodes(nodes: Sequence[ClusterNode], requested: str = "") -> tuple[str, str]:
    """The client's node and the server's.

    Without a request, the two most similar nodes (architecture, instance type, zone, cores, kernel; each criterion
    dropped in turn from the right), among these those with the most cores, and then the first by name.

    Args:
        nodes: all of the cluster.
        requested: two names separated by a comma, the client's first; empty: choose.

    Raises:
        BadInput: the names are not two nodes of the cluster.
        Unsupported: fewer than two nodes can be measured.
    """
    by_name = {node.name: node for node in nodes}
    if requested.strip():
        names = [name.strip() for name in requested.split(",")]
        unknown = [name for name in names if name not in by_name]
        if len(names) != len(set(names)) or len(names) != 2 or unknown:  # noqa: PLR2004 - a pair
            raise BadInput(
                f"{environment.NODES} must name two nodes of the cluster, the client's first, got "
                f"{excerpt(requested)!r}: it has {excerpt(', '.join(sorted(by_name))) or 'none'}."
            )
        return names[0], names[1]
    fit = sorted((node for node in nodes if node.fit), key=lambda node: (-node.cpus, node.name))
    if len(fit) < 2:  # noqa: PLR2004 - a pair
        unfit = excerpt("; ".join(f"{node.name} {why_unfit(node)}" for node in nodes if not node.fit))
        raise Unsupported(
            "two nodes are needed that are Linux, ready and schedulable and run the network plugin's agent, and "
            f"{len(fit)} of {len(nodes)} do: {unfit or 'add a node'}."
        )
    for depth in range(5, -1, -1):
        alike: dict[tuple[object, ...], list[ClusterNode]] = {}
        for node in fit:
            likeness = (node.arch, node.instance_type, node.zone, node.cpus, node.kernel)
            group = alike.setdefault(likeness[:depth], [])
            group.append(node)
            if len(group) == 2:  # noqa: PLR2004 - a pair
                return min(group[0].name, group[1].name), max(group[0].name, group[1].name)
    raise AssertionError("at depth 0 all nodes are alike")


def outside_nodes(nodes: Sequence[ClusterNode]) -> tuple[ClusterNode, ...]:
    """The nodes without the network plugin's agent, where a pod in the host network can be the client outside."""
    return tuple(node for node in nodes if node.os == "linux" and node.ready and not node.has_agent)


def why_unfit(node: ClusterNode) -> str:
    """Why a node can't be measured, as a clause."""
    reasons = [
        (node.os != "linux", f"runs {node.os or 'an unknown system'}"),
        (not node.ready, "is not ready"),
        (not node.schedulable, "takes no pods (cordoned or tainted)"),
        (not node.has_agent, "has no agent of the network plugin"),
        (bool(node.pressures), f"has {', '.join(node.pressures)}"),
    ]
    return " and ".join(text for applies, text in reasons if applies) or "is fit"


def unfit_nodes(nodes: Iterable[ClusterNode], chosen: Iterable[str]) -> Iterator[str]:
    """A sentence for each node of a snapshot that would not be chosen now, such as one that was cordoned since.

    It is no reason to refuse a switch: a cordoned node's agents are switched too, and the pods of the proof run there.
    """
    by_name = {node.name: node for node in nodes}
    for name in chosen:
        node = by_name.get(name)
        if node is None or not node.fit:
            why = why_unfit(node) if node is not None else "is no longer in the cluster"
            yield (
                f"node {name} {why}, and stays one of the measured two: they are chosen with the snapshot, so others "
                "are only after a restore"
            )
