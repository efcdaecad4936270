"""The manifests of the benchmark's own pods and Services. Pure.

Every pod is pinned to a node, has no service account's token, meets the Pod Security level `restricted` except for the
node's own network where its name says so, has a memory limit, and ends at its deadline whatever becomes of its run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from analysis.console.excerpts import excerpt
from analysis.errors import Problem, Unsupported
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.workloads import mesh
from steps.lease import PART_LABEL
from steps.settings.environment import IMAGE

NAME: Final = "app.kubernetes.io/name"
NAMED: Final = "dataplane-benchmark"
LABEL: Final = PART_LABEL
"""The part of a run that creates and deletes them together, such as `trials` or `look`."""

TRIALS: Final = "trials"
"""The part that serves the trials. Its pods are younger than the proof."""

NODE_MONITORS: Final = "node-monitors"
"""The part of the monitors in the nodes' own networks. No switch changes those, so they stay for all visits."""

USER: Final = 65532
REQUESTS: Final = {"cpu": "10m", "memory": "32Mi"}
STEP_REQUESTS: Final = {"cpu": "50m", "memory": "64Mi"}
"""The requests of a step of the workflow."""

_MEMORY_LIMIT: Final = "256Mi"
SERVER_MEMORY_LIMIT: Final = "1Gi"
"""Of a trial's server: more than the buffers of 128 streams take, so that it slows no traffic. CPU is never limited."""

LONGEST_RUN_S: Final = 48 * 3600
"""No pod of ours lives longer than the longest run."""

LARGEST_STEP_MEMORY: Final = "2Gi"
"""The largest memory limit of a step of the workflow: of those that analyse."""

_AGAIN: Final = 'while :; do "$@"; sleep 0.2; done'
"""Restarts a server before the next trial, sooner than the kubelet would."""


@dataclass(frozen=True, slots=True)
class Container:
    """A program of a pod.

    Attributes:
        name: its own.
        argv: its command.
        listens: the TCP port that makes it ready; None: see `creates`.
        creates: the file that makes it ready; None: it is ready when it runs.
        forever: whether it is restarted in the container.
        requests: of CPU and memory.
        memory_limit: the container is killed beyond it.
    """

    name: str
    argv: tuple[str, ...]
    listens: int | None = None
    creates: str | None = None
    forever: bool = False
    requests: Mapping[str, str] = field(default_factory=lambda: dict(REQUESTS))
    memory_limit: str = _MEMORY_LIMIT


def image(variables: Mapping[str, str]) -> str:
    """The image of the benchmark's own pods.

    Raises:
        Unsupported: it is not set.
    """
    name = variables.get(IMAGE, "").strip()
    if not name:
        raise Unsupported(f"{IMAGE} is not set: name the image with this project's steps and iperf3, with a tag.")
    return name


def pod(
    name: str,
    part: str,
    node: str,
    containers: Sequence[Container],
    image_name: str,
    *,
    deadline_s: int,
    host_network: bool = False,
    labels: Mapping[str, str] | None = None,
    restarts: bool = True,
) -> Object:
    """A pod on one node.

    Args:
        name: its own.
        part: of the run, which deletes it.
        node: where it must run, by its name; the label kubernetes.io/hostname may differ from it.
        containers: its programs.
        image_name: of all of them.
        deadline_s: it is ended after so long, even if nothing else ends it.
        host_network: whether it has the node's own network.
        labels: further ones, for a Service's selector.
        restarts: whether a program that exits with 0 starts again; one that fails always does.
    """
    own = {**mesh.OPT_OUT_LABELS, NAME: NAMED, LABEL: part, **(labels or {})}
    return {
        "metadata": {"name": name, "labels": own, "annotations": dict(mesh.OPT_OUT_ANNOTATIONS)},
        "spec": {
            "restartPolicy": "Always" if restarts else "OnFailure",
            "activeDeadlineSeconds": min(deadline_s, LONGEST_RUN_S),
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "hostNetwork": host_network,
            "dnsPolicy": "Default",
            "affinity": {"nodeAffinity": _pinned(node)},
            # nodes without the network plugin, and control planes, are usually tainted
            "tolerations": [{"operator": "Exists"}],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [_container(each, image_name) for each in containers],
            "volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}],
        },
    }


def largest_step(node: str, image_name: str) -> Object:
    """A pod with the largest limits of all steps of the workflow, for a dry run of its admission."""
    container = Container("step", ("true",), requests=STEP_REQUESTS, memory_limit=LARGEST_STEP_MEMORY)
    return pod("largest-step", "check", node, [container], image_name, deadline_s=LONGEST_RUN_S)


def service(name: str, part: str, selector: Mapping[str, str], ports: Sequence[Object], kind: str) -> Object:
    """A Service; `kind` is ClusterIP or NodePort."""
    return {
        "metadata": {"name": name, "labels": {NAME: NAMED, LABEL: part}},
        "spec": {"type": kind, "selector": dict(selector), "ports": list(ports)},
    }


def service_port(name: str, port: int, protocol: str = "TCP") -> Object:
    """A port of a Service, which has the same number on the pods."""
    return {"name": name, "protocol": protocol, "port": port, "targetPort": port}


def tcp_and_udp(name: str, port: int) -> list[Object]:
    """A port for TCP and UDP; the API server gives both the same node port, since they have the same number."""
    return [service_port(f"{name}-{protocol.lower()}", port, protocol) for protocol in ("TCP", "UDP")]


def has_address(found: Object) -> bool:
    """Whether a pod has its address, which it gets before its programs start."""
    return bool((found.get("status") or {}).get("podIP"))


def ip(found: Object) -> str:
    """A pod's address.

    Raises:
        Problem: it has none.
    """
    if not has_address(found):
        raise Problem(f"pod {found['metadata']['name']} runs without an address: run it again.")
    return str(found["status"]["podIP"])


def token_of(found: Object) -> str | None:
    """The token that a pod demands of its clients, the last word of its command; None: it has none."""
    try:
        return str(found["spec"]["containers"][0]["command"][-1])
    except (KeyError, IndexError, TypeError):
        return None


_OF_THE_SANDBOX: Final[frozenset[str | None]] = frozenset({None, "ContainerCreating", "PodInitializing"})
"""Why a container waits before its pod has a network; for all other reasons it waits after that."""


def is_unscheduled(found: Object) -> bool:
    """Whether a pod has no node yet."""
    return not (found.get("spec") or {}).get("nodeName") and (found.get("status") or {}).get("phase") in {
        None,
        "Pending",
    }


def can_not_run_here(found: Object) -> bool:
    """Whether a pod does not start for want of room, of an image or of the node's consent, whatever its network does.

    One that has a node and waits for its sandbox may be kept by the very network that is to be proven.
    """
    return is_unscheduled(found) or _has_failed(found) or bool(_waiting_for(found) - _OF_THE_SANDBOX)


def _has_failed(found: Object) -> bool:
    return (found.get("status") or {}).get("phase") == "Failed"


def _waiting_for(found: Object) -> set[str | None]:
    """Why containers of a pod wait."""
    states = [each.get("state") or {} for each in (found.get("status") or {}).get("containerStatuses") or []]
    return {state["waiting"].get("reason") for state in states if state.get("waiting")}


def why_not_ready(found: Object) -> str:
    """Why a pod is not ready, as a clause."""
    status = found.get("status") or {}
    for each in status.get("containerStatuses") or []:
        state = each.get("state") or {}
        stopped = state.get("waiting") or state.get("terminated") or {}
        if stopped.get("reason") not in _OF_THE_SANDBOX:
            return excerpt(f"{stopped['reason']}{': ' + stopped['message'] if stopped.get('message') else ''}")
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return excerpt(f"it can't be placed: {condition.get('message') or condition.get('reason')}")
    if is_unscheduled(found):
        return "it has no node, and no scheduler has given a reason: check kube-scheduler"
    reason = status.get("message") or status.get("reason")
    return excerpt(f"it is {status.get('phase', 'unknown to its node')}" + (f": {reason}" if reason else ""))


def can_never_be_ready(found: Object) -> bool:
    """Whether a pod can never become ready."""
    lasting = {"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"}
    return bool(_waiting_for(found) & lasting) or _has_failed(found)


def node_of(found: Object) -> str:
    """The node that a pod is on, or that it is pinned to; empty: neither is known."""
    spec = found.get("spec") or {}
    return str(spec.get("nodeName") or pinned_to(spec) or "")


def pinned_to(spec: Object) -> str | None:
    """The node that a pod is pinned to by name; None: it is not pinned."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    fields = [each for term in required.get("nodeSelectorTerms") or [] for each in term.get("matchFields") or []]
    return next((str(each["values"][0]) for each in fields if each.get("key") == "metadata.name"), None)


def _pinned(node: str) -> Object:
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}


def _container(container: Container, image_name: str) -> Object:
    command = ["sh", "-c", _AGAIN, "again", *container.argv] if container.forever else list(container.argv)
    made: Object = {
        "name": container.name,
        "image": image_name,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "env": [
            {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
            {"name": "PYTHONUNBUFFERED", "value": "1"},
        ],
        "resources": {"requests": dict(container.requests), "limits": {"memory": container.memory_limit}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - iperf3 keeps what it sends there
    }
    if container.listens is not None:
        # A startup probe, and no connection: iperf3 serves one client at a time, and a probe during a trial costs CPU.
        listening = f"grep -qiE '^ *[0-9]+: [0-9a-f]+:{container.listens:04x} .* 0a ' /proc/net/tcp /proc/net/tcp6"
        made["ports"] = [{"containerPort": container.listens, "protocol": "TCP"}]
    if container.listens is not None or container.creates is not None:
        ready = ["sh", "-c", listening] if container.listens is not None else ["test", "-e", str(container.creates)]
        made["startupProbe"] = {"exec": {"command": ready}, "periodSeconds": 1, "failureThreshold": 120}
    return made
