"""The manifests of the benchmark's own pods and Services: pinned, restricted, without a service account. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from analysis.errors import Problem, Unsupported
from steps.cluster.kube.workloads import mesh
from steps.settings.environment import IMAGE

Object = dict[str, Any]

NAME: Final = "app.kubernetes.io/name"
NAMED: Final = "dataplane-benchmark"
ROLE: Final = "app.kubernetes.io/component"
"""What a pod or Service is for."""

LABEL: Final = "dataplane-benchmark/part"
"""Tells what clears them: `trials` or `look`."""

TRIALS: Final = "trials"
"""The part that serves the trials: what is younger than its pods came after the proof."""

USER: Final = 65532
_REQUESTS: Final = {"cpu": "10m", "memory": "32Mi"}
STEP_REQUESTS: Final = {"cpu": "50m", "memory": "64Mi"}
"""What a step of the workflow asks for, which its pod's node must have left."""

LARGEST_STEP_MEMORY: Final = "2Gi"
"""The most memory that a step of the workflow may use: those that analyse."""

_AGAIN: Final = 'while :; do "$@"; sleep 0.2; done'
"""A server that dies is back before the next trial, sooner than the kubelet would start it again."""


@dataclass(frozen=True, slots=True)
class Container:
    """A program of a pod.

    `listens`: the TCP port by which it is known to be ready; None: it is when it runs. `requests`: the CPU and memory
    that are set aside for it.
    """

    name: str
    argv: tuple[str, ...]
    listens: int | None = None
    forever: bool = False
    requests: Mapping[str, str] = field(default_factory=lambda: dict(_REQUESTS))


def image(variables: Mapping[str, str]) -> str:
    """The image of the benchmark's own pods.

    Raises:
        Unsupported: it is not known.
    """
    name = variables.get(IMAGE, "").strip()
    if not name:
        raise Unsupported(f"{IMAGE} is not set: name the image with this project's steps and iperf3, with a tag.")
    return name


def pod(
    name: str,
    part: str,
    role: str,
    node: str,
    containers: Sequence[Container],
    image_name: str,
    *,
    host_network: bool = False,
    labels: Mapping[str, str] | None = None,
) -> Object:
    """A pod on one node.

    Args:
        name: its own.
        part: what it is cleared with.
        role: what it is for.
        node: where it must run, by its name, which every node has; the label kubernetes.io/hostname may differ.
        containers: its programs.
        image_name: of all of them.
        host_network: whether it has the node's own network.
        labels: more of them, for a Service's selector.
    """
    own = {**mesh.OPT_OUT_LABELS, NAME: NAMED, LABEL: part, ROLE: role, **(labels or {})}
    return {
        "metadata": {"name": name, "labels": own, "annotations": dict(mesh.OPT_OUT_ANNOTATIONS)},
        "spec": {
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "hostNetwork": host_network,
            "dnsPolicy": "Default",
            "affinity": {"nodeAffinity": _pinned(node)},
            # A node that Calico doesn't manage, and a control plane, are tainted as a rule.
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
    """A pod that may use as much memory as any step of the workflow, for asking whether it would be admitted."""
    made = pod(
        "largest-step", "check", "step", node, [Container("step", ("true",), requests=STEP_REQUESTS)], image_name
    )
    made["spec"]["containers"][0]["resources"]["limits"] = {"memory": LARGEST_STEP_MEMORY}
    return made


def service(name: str, part: str, role: str, selector: Mapping[str, str], ports: Sequence[Object], kind: str) -> Object:
    """A Service; `kind` is ClusterIP or NodePort."""
    return {
        "metadata": {"name": name, "labels": {NAME: NAMED, LABEL: part, ROLE: role}},
        "spec": {"type": kind, "selector": dict(selector), "ports": list(ports)},
    }


def tcp_and_udp(name: str, port: int) -> list[Object]:
    """A port by TCP and by UDP; the API server gives both the same node port, since they have the same number."""
    return [{"name": f"{name}-{p.lower()}", "protocol": p, "port": port, "targetPort": port} for p in ("TCP", "UDP")]


def is_ready(found: Object) -> bool:
    """Whether a pod is ready, by its condition."""
    conditions = (found.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def ip(found: Object) -> str:
    """A pod's address.

    Raises:
        Problem: it has none.
    """
    address = (found.get("status") or {}).get("podIP")
    if not address:
        raise Problem(f"pod {found['metadata']['name']} has no address, though it is ready: run it again.")
    return str(address)


def is_unscheduled(found: Object) -> bool:
    """Whether no node has been found for a pod so far."""
    return not (found.get("spec") or {}).get("nodeName") and (found.get("status") or {}).get("phase") in {
        None,
        "Pending",
    }


def why_not_ready(found: Object) -> str:
    """What keeps a pod from being ready, as half a sentence."""
    status = found.get("status") or {}
    for each in status.get("containerStatuses") or []:
        state = each.get("state") or {}
        held = state.get("waiting") or state.get("terminated") or {}
        if held.get("reason") not in {None, "ContainerCreating", "PodInitializing"}:
            return f"{held['reason']}{': ' + held['message'] if held.get('message') else ''}"
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"it can't be placed: {condition.get('message') or condition.get('reason')}"
    if is_unscheduled(found):
        return "it has no node, and no scheduler has said why: look at kube-scheduler"
    reason = status.get("message") or status.get("reason")
    return f"it is {status.get('phase', 'not known to its node')}" + (f": {reason}" if reason else "")


def can_never_be_ready(found: Object) -> bool:
    """Whether a pod can't become ready however long one waits."""
    status = found.get("status") or {}
    reasons = {(c.get("state") or {}).get("waiting", {}).get("reason") for c in status.get("containerStatuses") or []}
    return bool(reasons & {"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"}) or (
        status.get("phase") == "Failed"
    )


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
        "resources": {"requests": dict(container.requests)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - iperf3 keeps what it sends there
    }
    if container.listens is not None:
        # Ready once it listens, and not asked again: a probe that connected would be a client that the one-at-a-time
        # server is busy with, and one that came again in the middle of a trial would cost CPU there.
        listening = f"grep -qiE '^ *[0-9]+: [0-9a-f]+:{container.listens:04x} .* 0a ' /proc/net/tcp /proc/net/tcp6"
        command = ["sh", "-c", listening]
        made["startupProbe"] = {"exec": {"command": command}, "periodSeconds": 1, "failureThreshold": 120}
        made["ports"] = [{"containerPort": container.listens, "protocol": "TCP"}]
    return made
