"""Whether the benchmark's namespace admits a run's pods and Services, by dry runs before the first switch.

A LimitRange, a ResourceQuota or a policy may refuse them. A LimitRange also limits the CPU of containers without a
limit, which would slow iperf3 down.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from analysis.console.excerpts import excerpt
from analysis.errors import Problem
from steps.catalogue.options import Settings
from steps.catalogue.tools import SERVED
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import NO_DRY_RUN, ApiError, ConflictError, DeniedError, TransientError
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK, PODS, QUOTAS, Resource
from steps.cluster.kube.api.quantity import amount
from steps.cluster.kube.findings import NO_COMMAND, stop
from steps.cluster.kube.workloads import step_pods
from steps.domain import Finding

_ELSEWHERE: Final = "deploy into another namespace"
_SERVICES: Final = 4
"""Services of a visit beside those of its scale: of the probe pods, the trials, and their turns."""

_OURS: Final = frozenset({"NotTerminating", "NotBestEffort"})
"""The scopes of a ResourceQuota that include the benchmark's own pods."""

_PARALLEL: Final = frozenset({"main", *(tool.label for tool in SERVED if tool.is_parallel)})
"""The containers with as many streams at once as are asked for: the servers', and Argo's own for the clients."""

_SUMMED: Final = {
    "requests.cpu": ("requests", "cpu"),
    "cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "memory": ("requests", "memory"),
    "limits.memory": ("limits", "memory"),
}


def findings(
    client: Client,
    pods: Sequence[Object],
    others: Sequence[tuple[Resource, Object]],
    settings: Settings,
    *,
    running: Iterable[Object] = (),
    more: Mapping[str, float] | None = None,
) -> list[Finding]:
    """Why the pods and Services of a visit would be refused, or limited in CPU.

    `pods` are all manifests of a visit, `others` those of its other objects, one of each kind. `running`: pods of this
    run's steps, which get the same limits. `more`: what a ResourceQuota must allow beside the pods and the visit's own
    Services, by its name there.
    """
    admitted: list[Object] = []
    refused: dict[str, list[str]] = {}
    for resource, body in [*((PODS, pod) for pod in pods), *others]:
        name = body["metadata"]["name"]
        answer = _tried(client, resource, body)
        if isinstance(answer, str):
            refused.setdefault(answer.replace(f'"{name}"', '"…"'), []).append(name)
        elif resource is PODS:
            admitted.append(answer)
    found = [_stop(f"{', '.join(names)}: {reason}") for reason, names in refused.items()]
    found += _limited(client, [*admitted, *running], settings.streams)
    return found + list(_beyond_quotas(client, admitted, more or {}))


def _tried(client: Client, resource: Resource, body: Object) -> Object | str:
    """The object as it would be created, or the reason of its refusal."""
    try:
        return client.create(resource, body, BENCHMARK, dry_run=True)
    except TransientError:
        raise
    except ConflictError:
        return body
    except Problem as problem:
        message = str(problem).removeprefix(f"{client.where}: ")
        return body if NO_DRY_RUN in message else message


def _limited(client: Client, pods: Iterable[Object], streams: int) -> list[Finding]:
    """Whether containers whose tools run these streams at once, or the steps', may use less CPU than they may need."""
    limits = {
        str(limit): pod["metadata"]["name"]
        for pod in pods
        for container in (pod.get("spec") or {}).get("containers") or []
        if container.get("name") in _PARALLEL
        and (limit := ((container.get("resources") or {}).get("limits") or {}).get("cpu")) is not None
    }
    low = {limit: name for limit, name in limits.items() if amount(limit) < streams}
    return [
        _stop(
            f"pod {name} may use no more than {excerpt(limit)} CPU, which its manifest does not set: a "
            f"trial's streams may need {streams}, and the measurement would show that limit.",
            f"A LimitRange sets it: see `kubectl -n {client.namespace} describe limitrange`, and have its default and "
            f"max of CPU raised, or {_ELSEWHERE}.",
        )
        for limit, name in low.items()
    ]


def _beyond_quotas(client: Client, pods: Sequence[Object], more: Mapping[str, float]) -> Iterator[Finding]:
    needs = {
        **more,
        **dict.fromkeys(("pods", "count/pods"), float(len(pods))),
        **{name: _SERVICES + more.get(name, 0.0) for name in ("services", "count/services")},
        **{name: step_pods.total(pods, *what) for name, what in _SUMMED.items()},
    }
    try:
        quotas = client.list(QUOTAS, BENCHMARK)
    except (ApiError, DeniedError):  # the visit will show it
        return
    for quota in quotas:
        spec = quota.get("spec") or {}
        if spec.get("scopeSelector") or set(spec.get("scopes") or []) - _OURS:
            continue
        name = quota["metadata"]["name"]
        for what, need, hard, used in _short(quota.get("status") or {}, needs):
            yield _stop(
                f"ResourceQuota {name} allows {hard} of {what}, {used} are used, and a visit needs {need:g} more.",
                f"See `kubectl -n {client.namespace} describe resourcequota {name}`: have it raised, delete what is in "
                f"the way, or {_ELSEWHERE}.",
            )


def _short(status: Object, needs: Mapping[str, float]) -> Iterator[tuple[str, float, str, str]]:
    hard, used = status.get("hard") or {}, status.get("used") or {}
    for what, need in needs.items():
        if what in hard and need > amount(str(hard[what])) - amount(str(used.get(what, "0"))):
            yield what, need, str(hard[what]), str(used.get(what, "0"))


def _stop(reason: str, remedy: str | None = None) -> Finding:
    # the sentence of a refusal includes its remedy
    return stop(reason, remedy or f"{NO_COMMAND} a run needs these pods and Services.", "pods")
