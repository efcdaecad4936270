"""Waits for the end of another visit of the same run: Argo's Retry begins all visits at once that a Stop had failed."""

import operator
from collections.abc import Callable, Mapping
from typing import Final

from steps.catalogue.options import Settings
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.servers import trial_servers
from steps.cluster.kube.workloads import step_pods
from steps.domain import Visit
from steps.lease import at_work
from steps.polling import poll

_PAUSE_S: Final = 2.0
_IDLE_LOOKS: Final = 8
"""So often none of a visit's steps is seen at work at most, while Argo starts the next ones."""


def await_end(
    client: Client,
    visit: Visit,
    settings: Settings,
    variables: Mapping[str, str],
    say: Callable[[str], None],
    sleep: Callable[[float], None],
) -> None:
    """Wait while another visit's servers are there, and steps beside this one are at work.

    Where nobody is at work any more, its servers were only not cleared.

    `say`: called with a sentence where another is waited for.
    """
    idle_looks = 0

    def is_measured() -> bool:
        nonlocal idle_looks
        if not trial_servers.serve_another(client, visit):
            return False
        others = sum(map(at_work, step_pods.pods_of_run(client, variables))) - 1
        idle_looks = 0 if others > 0 else idle_looks + 1
        return idle_looks < _IDLE_LOOKS

    if is_measured():
        say(f"waiting for the end of another visit, before visit {visit.visit} switches the cluster")
        longest_s = trial_servers.deadline_s(visit, settings)
        poll(is_measured, operator.not_, pause_s=_PAUSE_S, timeout_s=longest_s, sleep=sleep)
