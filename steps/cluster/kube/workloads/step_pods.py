"""The pods that Argo created for the steps of this run: what was added to them, and their requests."""

from collections.abc import Iterable, Mapping, Sequence

from analysis.console.excerpts import excerpt
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.identity import WORKFLOW_NAME
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK, PODS
from steps.cluster.kube.api.quantity import amount
from steps.cluster.kube.findings import stop
from steps.cluster.kube.workloads import comparison
from steps.cluster.kube.workloads.manifests import STEP_REQUESTS
from steps.domain import Finding
from steps.lease import RUN_LABEL


def pods_of_run(client: Client, variables: Mapping[str, str]) -> list[Object]:
    """The pods of the workflow that this process is a step of; none if it is no step."""
    name = variables.get(WORKFLOW_NAME, "")
    return client.list(PODS, BENCHMARK, labels=f"{RUN_LABEL}={name}") if name else []


def altered_pods(found: Iterable[Object]) -> dict[str, list[str]]:
    """The differences from what Argo creates, by the pod's name; only pods with differences."""
    unlike = {pod["metadata"]["name"]: comparison.step_differences(pod) for pod in found}
    return {name: clauses for name, clauses in unlike.items() if clauses}


def alteration_sentence(unlike: Mapping[str, Sequence[str]]) -> str:
    """The first of them, and the number of others."""
    name, clauses = next(iter(unlike.items()))
    others = f" (and {len(unlike) - 1} others)" if len(unlike) > 1 else ""
    return f"the step's pod {name}{others} differs from what Argo creates: {excerpt(', and '.join(clauses))}"


def findings(client: Client, variables: Mapping[str, str]) -> list[Finding]:
    """Whether something is added to the pods of steps, which are the measuring clients."""
    unlike = altered_pods(pods_of_run(client, variables))
    if not unlike:
        return []
    return [stop(f"{alteration_sentence(unlike)}.", remedy(client), "pods")]


def requests(found: Iterable[Object]) -> dict[str, str]:
    """The largest requests of one of these pods, Argo's own and added containers included.

    A pod with these requests fits on exactly the nodes where a measuring step fits.
    """
    found = list(found)
    cores, memory_bytes = (
        max([amount(STEP_REQUESTS[what]), *(total([pod], "requests", what) for pod in found)])
        for what in ("cpu", "memory")
    )
    return {"cpu": f"{round(cores * 1000)}m", "memory": str(round(memory_bytes))}


def total(pods: Iterable[Object], kind: str, what: str) -> float:
    """The sum of the containers' `requests` or `limits`, in cores or bytes."""
    return sum(
        amount(str(((container.get("resources") or {}).get(kind) or {}).get(what, "0")))
        for pod in pods
        for container in (pod.get("spec") or {}).get("containers") or []
    )


def remedy(client: Client) -> str:
    """What to do about it."""
    return f"{comparison.OPT_OUT}: see `kubectl get namespace {client.namespace} --show-labels`."
