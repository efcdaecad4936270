"""The guard: a CronJob of Kubernetes' own that puts the cluster back where a run died before it could.

It isn't Argo's, whose controller may be what died. With nothing to do it ends within a second, after it has searched
for pods and Services of a run that died before it held the lock; while a run holds it, one pod stays and checks it, so
that no container starts during its trials. `python -m steps.tasks.guard`.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from steps.lease import DAY, POD_NAME, RENEWAL_S
from steps.tasks.guarding import guard_metrics
from steps.tasks.guarding.guard_lock import GuardApiError, LockStatus, PodApi, check_lock
from steps.tasks.guarding.guard_sweep import sweep

CHECK_S: Final = 10.0
"""Between two checks while a run holds the lock."""

STAY_S: Final = 1800.0
"""How long one pod stays with a run; the next one goes on."""

PUSHGATEWAY: Final = "BENCHMARK_PUSHGATEWAY"
MINUTES: Final = "BENCHMARK_GUARD_MINUTES"
"""Variables of the deployment: where metrics are pushed to, and how many minutes pass between two pods."""

_LOST: Final = 6
"""So many checks without an answer end a pod: the next one may be on a node that reaches the API server."""

Act = Callable[[LockStatus, Mapping[str, str]], int]


def watch(
    api: PodApi,
    variables: Mapping[str, str],
    act: Act,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Check the lock, again and again while a run holds the lock, and act where it is dead; the exit code.

    `act`: called with what was found where something is left behind, or a person's lock is to be reported.
    """
    began, lost = clock(), 0
    pushed_at = None
    while True:
        try:
            found, lost = check_lock(api), 0
        except GuardApiError as error:
            lost += 1
            if lost == _LOST or pushed_at is None:
                _say(str(error))
                return 1
            sleep(CHECK_S)
            continue
        if pushed_at is None or clock() - pushed_at >= RENEWAL_S:
            pushed_at = clock()
            _push(api, variables, found)
        if found.state == "left" or (found.state == "person" and _is_due(api, found, variables)):
            return act(found, variables)
        if found.state != "run":
            return _sweep(api)
        if clock() - began >= STAY_S:
            return 0
        sleep(CHECK_S)


def _sweep(api: PodApi) -> int:
    """Delete what a run left that died before it held the lock; the exit code."""
    try:
        swept = sweep(api)
    except GuardApiError as error:
        _say(str(error))
        return 1
    if swept:
        _say(f"deleted what a run had left that never held the cluster: {', '.join(swept)}")
    return 0


def _is_due(api: PodApi, found: LockStatus, variables: Mapping[str, str]) -> bool:
    """Whether a person's lock became a day older since the check before: no check remembers another.

    A check begins some seconds after the minute for which it is scheduled, so both are rounded down to that.
    """
    interval = timedelta(minutes=_minutes(variables))
    rounding = timedelta(seconds=api.now.timestamp() % interval.total_seconds())
    age = timedelta(seconds=found.held_s) - rounding
    return age >= DAY and age // DAY > (age - interval) // DAY


def _minutes(variables: Mapping[str, str]) -> int:
    """Between two pods; 1 where the variable is empty or no such number, as after an edit by hand."""
    text = variables.get(MINUTES, "").strip()
    return max(1, int(text)) if text.isascii() and text.isdecimal() else 1


def _push(api: PodApi, variables: Mapping[str, str], found: LockStatus) -> None:
    if gateway := variables.get(PUSHGATEWAY, "").strip():
        from steps.settings.environment import name_for_messages  # noqa: PLC0415 - few deployments push

        name = name_for_messages(variables)
        if problem := guard_metrics.push(gateway, name, api.now, switched=found.state != "free"):
            _say(problem)


def _act(found: LockStatus, variables: Mapping[str, str]) -> int:
    # imported here, since almost no check needs them, and they take most of a second
    from analysis.errors import Problem  # noqa: PLC0415
    from steps.cluster.kube.adapter import KubernetesCluster  # noqa: PLC0415
    from steps.settings.environment import name_for_messages  # noqa: PLC0415
    from steps.tasks.guarding import guard_restore  # noqa: PLC0415

    try:
        if found.state == "person":
            guard_restore.notify_of_person(found.owner, found.held_s, variables)
            return 0
        cluster = KubernetesCluster(name_for_messages(variables), variables=variables)
        return guard_restore.restore_left(cluster, variables)
    except Problem as problem:
        _say(str(problem))
        return problem.exit_code


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def main(variables: Mapping[str, str] = os.environ) -> int:
    """Returns the exit code."""
    if not variables.get(POD_NAME):
        _say("the guard runs in a pod of its CronJob; by hand, `make restore ENVIRONMENT=...` puts a cluster back.")
        return 2
    try:
        api = PodApi(variables)
    except GuardApiError as error:
        _say(str(error))
        return 1
    return watch(api, variables, _act)


if __name__ == "__main__":
    sys.exit(main())
