"""Whether a run that holds a cluster's lock still gives signs of life: by its pods, and its last renewal. Pure.

Argo's record alone does not tell: while Argo's controller is stopped, a workflow stays Running for ever. So a run whose
lock was not renewed, and which had no pod at work, for SILENT_S counts as dead. This module imports next to nothing,
since the guard looks once a minute.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

ENDED: Final = frozenset({"Succeeded", "Failed", "Error"})
"""Argo's phases of a workflow that has ended, its exit handler included."""

SILENT_S: Final = 300.0
"""A run without a sign of life for so long is dead: longer than a restart of Argo's controller takes."""

RENEWAL_S: Final = 60.0
"""How old a renewal may be before it is renewed again."""

START_S: Final = 900.0
"""How long a pod may take to start, including the pull of its image; after that it is no sign of life."""

DAY: Final = timedelta(days=1)

PART_LABEL: Final = "dataplane-benchmark/part"
PART: Final = "guard"
"""The value of that label on the guard's pods."""

DEPLOYED_PART: Final = "deployment"
"""The value of that label on everything that a deployment creates."""

POD_NAME: Final = "BENCHMARK_GUARD_POD"
POD_UID: Final = "BENCHMARK_GUARD_UID"
"""Variables of the guard's pod: which one it is."""

API_SERVERS: Final = "BENCHMARK_API_SERVERS"
"""The API server's own addresses, HOST:PORT separated by commas, for the time in which no Service works."""

RUN_LABEL: Final = "workflows.argoproj.io/workflow"
"""Argo's label on each step's pod: its workflow's name."""


def own_addresses(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The API server's own addresses in the environment, HOST:PORT each."""
    return tuple(each.strip() for each in variables.get(API_SERVERS, "").split(",") if each.strip())


def last_sign(renewed_at: datetime, pods: Iterable[Mapping[str, Any]], now: datetime) -> datetime:
    """When a run was last known to be alive.

    `renewed_at`: when its lock was renewed. `pods`: of its steps. `now`: by the API server's clock.
    """
    return min(now, max([renewed_at, *(_sign(pod, now) for pod in pods)]))


def is_silent(sign: datetime, now: datetime) -> bool:
    """Whether the last sign of life is too old."""
    return now - sign >= timedelta(seconds=SILENT_S)


def at_work(pod: Mapping[str, Any]) -> bool:
    """Whether the programs of a pod may still run."""
    return (pod.get("status") or {}).get("phase") in {"Pending", "Running", "Unknown"}


def _sign(pod: Mapping[str, Any], now: datetime) -> datetime:
    """Of one pod. One on a node that doesn't answer is not ready, though Kubernetes calls it Running."""
    created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    status = pod.get("status") or {}
    phase = status.get("phase")
    if phase == "Pending":
        return now if now - created < timedelta(seconds=START_S) else created
    if phase == "Running":
        ready: Mapping[str, Any] = next(
            (each for each in status.get("conditions") or [] if each.get("type") == "Ready"), {}
        )
        if ready.get("status") == "True":
            return now
        since = ready.get("lastTransitionTime")
        return datetime.fromisoformat(since) if since else created
    ends = [
        datetime.fromisoformat(state["finishedAt"])
        for container in status.get("containerStatuses") or []
        if (state := (container.get("state") or {}).get("terminated") or {}).get("finishedAt")
    ]
    return max([created, *ends])
