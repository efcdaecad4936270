"""How long after the start of a pod its first packet is answered, on each measured node, by the pod's own clock."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Final

from pydantic import Field, ValidationError

from analysis.errors import Problem
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK, PODS
from steps.cluster.kube.probe import first_answer
from steps.cluster.kube.scale.observations import ObservedChange
from steps.cluster.kube.scale.programming_pods import STARTS, ProgrammingPods, starting_pod
from steps.cluster.kube.workloads import manifests, owned
from steps.cluster.kube.workloads.workload import READY_S, Workload
from steps.strict_model import Seconds, StrictModel

_LONGEST_LOG_BYTES: Final = 4096
_EVERY_S: Final = 5.0
_ENDED: Final = frozenset({"Succeeded", "Failed"})


class _Report(StrictModel):
    """What such a pod prints."""

    answered_s: Seconds | None
    began_s: Annotated[float, Field(ge=0, le=1e6)]


def observe(client: Client, bench: ProgrammingPods, duration_s: float) -> list[ObservedChange]:
    """Start pods on every site, one after another, for so long.

    Raises:
        Problem: a pod does not start, or says nothing.
    """
    end = time.monotonic() + duration_s
    try:
        with ThreadPoolExecutor(len(bench.sites)) as pool:
            lanes = list(pool.map(lambda index: _starts(client, bench, index, end), range(len(bench.sites))))
        return [each for lane in lanes for each in lane]
    finally:
        Workload(client, STARTS).delete(wait=False)


def _starts(client: Client, bench: ProgrammingPods, index: int, end: float) -> list[ObservedChange]:
    found: list[ObservedChange] = []
    site = bench.sites[index]
    while not found or (time.monotonic() < end and found[-1].seconds is not None):
        name = f"{STARTS}-{secrets.token_hex(4)}"
        owned.create(client, PODS, starting_pod(site, bench.image, bench.far_echo(index), bench.token, name))
        report = _report(client, name)
        found.append(ObservedChange(site.node, report.answered_s, 0.0))
        client.delete(PODS, name, BENCHMARK, grace_s=0)
    return found


def _report(client: Client, name: str) -> _Report:
    labels = f"{manifests.LABEL}={STARTS}"
    longest_s = READY_S + first_answer.LONGEST_S

    def is_over(pods: list[Object]) -> bool:
        found = [pod for pod in pods if pod["metadata"]["name"] == name]
        return not found or any((pod.get("status") or {}).get("phase") in _ENDED for pod in found)

    if client.until(PODS, BENCHMARK, is_over, longest_s, labels=labels, every_s=_EVERY_S) is None:
        raise Problem(f"{client.where}: pod {name} has not ended after {longest_s:.0f} s.")
    log = client.log(name, BENCHMARK, timestamps=False, limit_bytes=_LONGEST_LOG_BYTES)
    try:
        return _Report.model_validate_json(log)
    except ValidationError:
        raise Problem(f"{client.where}: pod {name} ended without a report.") from None
