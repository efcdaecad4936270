"""Waits until the visit before is over.

Argo begins a visit beside the one before it, so that the pod of its first step is up when that one ends; and Retry
begins all visits at once that a Stop had failed.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from steps.catalogue.options import Settings
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK, PODS
from steps.cluster.kube.servers import trial_servers
from steps.cluster.kube.workloads import step_pods
from steps.domain import Visit
from steps.lease import at_work

NODE_NAME: Final = "workflows.argoproj.io/node-name"
"""Argo's annotation on a step's pod: the way to its node through the workflow's templates."""

FIRST, PROOF, RETREAT, LAST, LAST_AGAIN = "configure", "settle", "retreat", "clear", "clear-again"
"""The tasks of a visit by which its end is seen."""

_NODE: Final = re.compile(
    rf"(?P<visit>.+)\.(?P<task>{FIRST}|{PROOF}|{RETREAT}|{LAST}|{LAST_AGAIN})(\(\d+\))?", re.DOTALL
)

IDLE_S: Final = 30.0
"""So long none of a visit's steps is seen at work at most, while Argo starts the next ones."""

_LOOK_S: Final = 2.0
"""At least this often it is looked, though no pod changed."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A pod of a visit's step. `visit`: Argo's name of that visit's node. `failed`: it ended, and not well."""

    visit: str
    task: str
    created: str
    ended: bool
    failed: bool


def await_end(
    client: Client,
    visit: Visit,
    settings: Settings,
    variables: Mapping[str, str],
    say: Callable[[str], None],
    idle_s: float = IDLE_S,
) -> None:
    """Wait while another visit of this run is proven, measured, left or cleared.

    Where nobody is at work any more, its servers were only not cleared.

    Args:
        client: of the cluster.
        visit: that is to begin.
        settings: of the run.
        variables: of this step's environment.
        say: called with a sentence where another is waited for.
        idle_s: how long to wait for a step that does not start.
    """
    labels = step_pods.labels_of_run(variables)
    if not labels:
        return
    idle_since: float | None = None

    def is_next(pods: list[Object]) -> bool:
        nonlocal idle_since
        if any(map(_is_busy, pods)):
            idle_since = None
            return False
        if is_over(pods, unknown=not trial_servers.serve_another(client, visit)):
            return True
        idle_since = time.monotonic() if idle_since is None else idle_since
        return time.monotonic() - idle_since >= idle_s

    if not is_next(client.list(PODS, BENCHMARK, labels=labels)):
        say(f"ready: visit {visit.visit} begins when the visit before it is over")
        longest_s = trial_servers.deadline_s(visit, settings)
        client.until(PODS, BENCHMARK, is_next, longest_s, labels=labels, every_s=_LOOK_S)


def is_over(pods: Iterable[Object], *, unknown: bool) -> bool:
    """Whether the visit that began last, but for the one whose first step is at work, has come to its end.

    Its last step has ended, and where its proof failed, it was left. A step that Argo repeated counts by its last pod.

    Args:
        pods: of all steps of the run, none of which is at work but that first step.
        unknown: the answer where there is no pod of another visit.
    """
    steps = sorted(filter(None, map(_step_of, pods)), key=lambda step: step.created)
    own = next((step.visit for step in steps if step.task == FIRST and not step.ended), None)
    others = [step for step in steps if step.visit != own]
    if not others:
        return unknown
    before = {step.task: step for step in others if step.visit == others[-1].visit}
    well = {task for task, step in before.items() if not step.failed}
    return bool(well & {LAST, LAST_AGAIN}) and (PROOF not in before or bool(well & {PROOF, RETREAT}))


def _step_of(pod: Object) -> _Step | None:
    metadata = pod["metadata"]
    found = _NODE.fullmatch((metadata.get("annotations") or {}).get(NODE_NAME, ""))
    if found is None:
        return None
    failed = (pod.get("status") or {}).get("phase") == "Failed" or _exit_code(pod) not in {None, 0}
    return _Step(found["visit"], found["task"], metadata.get("creationTimestamp") or "", _has_ended(pod), failed)


def _is_busy(pod: Object) -> bool:
    """Whether a step other than the first of a visit is at work. Saving its artifacts disturbs no switch."""
    step = _step_of(pod)
    return not _has_ended(pod) and (step is None or step.task != FIRST)


def _has_ended(pod: Object) -> bool:
    return not at_work(pod) or _exit_code(pod) is not None


def _exit_code(pod: Object) -> int | None:
    """Of the step's own program; None: it is at work, or unknown."""
    containers: Sequence[Object] = (pod.get("status") or {}).get("containerStatuses") or []
    main = next((each for each in containers if each.get("name") == "main"), {})
    code = ((main.get("state") or {}).get("terminated") or {}).get("exitCode")
    return None if code is None else int(code)
