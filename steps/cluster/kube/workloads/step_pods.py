"""The pods that Argo made for the steps of this very run: what was added to them, and what they ask of a node."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.permissions import BENCHMARK, PODS
from steps.cluster.kube.api.quantity import amount
from steps.cluster.kube.workloads import comparison
from steps.cluster.kube.workloads.manifests import STEP_REQUESTS
from steps.domain import Finding

Object = dict[str, Any]

_WORKFLOW_LABEL: Final = "workflows.argoproj.io/workflow"
_WORKFLOW: Final = "ARGO_WORKFLOW_NAME"


def pods_of_run(client: Client, variables: Mapping[str, str]) -> list[Object]:
    """The pods of the workflow that this process is a step of; none where it is no step."""
    name = variables.get(_WORKFLOW, "")
    return client.list(PODS, BENCHMARK, labels=f"{_WORKFLOW_LABEL}={name}") if name else []


def altered_pods(found: Iterable[Object]) -> dict[str, list[str]]:
    """What was made of them, by the pod's name; only those that differ from what Argo makes."""
    unlike = {pod["metadata"]["name"]: comparison.step_differences(pod) for pod in found}
    return {name: clauses for name, clauses in unlike.items() if clauses}


def alteration_sentence(unlike: Mapping[str, Sequence[str]]) -> str:
    """The first of them, and how many others there are."""
    name, clauses = next(iter(unlike.items()))
    others = f" (and {len(unlike) - 1} others)" if len(unlike) > 1 else ""
    return f"the step's pod {name}{others} is not as Argo makes it: {', and '.join(clauses)}"


def findings(client: Client, variables: Mapping[str, str]) -> list[Finding]:
    """That something is added to the pods of steps, which the measuring clients are."""
    unlike = altered_pods(pods_of_run(client, variables))
    if not unlike:
        return []
    return [Finding(severity="stop", subject="pods", reason=f"{alteration_sentence(unlike)}.", remedy=remedy(client))]


def requests(found: Iterable[Object]) -> dict[str, str]:
    """The most that one of these pods asks of its node, Argo's own containers and added ones included.

    A measuring step asks for as much, so a pod with these requests is placed where, and only where, the step is.
    """
    found = list(found)
    cores, memory_bytes = (
        max([amount(STEP_REQUESTS[what]), *(requested([pod], what) for pod in found)]) for what in ("cpu", "memory")
    )
    return {"cpu": f"{round(cores * 1000)}m", "memory": str(round(memory_bytes))}


def requested(pods: Iterable[Object], what: str) -> float:
    """The sum of what the containers of these pods request, in cores or bytes."""
    return sum(
        amount(str(((container.get("resources") or {}).get("requests") or {}).get(what, "0")))
        for pod in pods
        for container in (pod.get("spec") or {}).get("containers") or []
    )


def remedy(client: Client) -> str:
    """What would mend it."""
    return f"{comparison.OPT_OUT}: look at `kubectl get namespace {client.namespace} --show-labels`."
