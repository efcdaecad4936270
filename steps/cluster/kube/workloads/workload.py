"""The benchmark's own pods and Services of one part: created, awaited, deleted. Every call may be repeated.

They belong to the workflow that created them, so that Kubernetes deletes them with it.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Final

from analysis.console.excerpts import excerpt
from analysis.errors import Problem
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ApiError, ConflictError, DeniedError, TransientError
from steps.cluster.kube.api.nodes import not_ready
from steps.cluster.kube.api.objects import Object, is_ready
from steps.cluster.kube.api.permissions import BENCHMARK, NODES, PODS, SERVICES
from steps.cluster.kube.workloads import comparison, manifests, owned

PodCondition = Callable[[Object], bool]
"""Of a pod."""

READY_S: Final = 180.0
"""The longest start of a pod, image pull included."""

UNPLACED_S: Final = 40.0
"""The longest wait for a node: a pod is pinned, so it only waits for what a terminating pod still occupies."""

GONE_S: Final = 60.0
_SOON_S: Final = 15.0
"""How long pods usually take to end, at most: if one does not, its node may have failed."""

_AT_ONCE: Final = 8
_GRACE_S: Final = 1
_LOOK_S: Final = 5.0
_LONGEST: Final = 1000


class AlteredError(Problem):
    """A pod differs from its manifest: something changes the pods of this namespace."""


class NodesError(Problem):
    """Pods do not start, or do not end.

    `nodes`: why, by the node that each is pinned to. `doubtful`: those of them whose network may be the cause.
    """

    def __init__(self, message: str, nodes: Mapping[str, str], doubtful: Collection[str] = ()) -> None:
        super().__init__(message)
        self.nodes = dict(nodes)
        self.doubtful = frozenset(doubtful)


class StillThereError(NodesError):
    """Pods do not end."""


class Workload:
    """The pods and Services with one value of the label `part`."""

    def __init__(self, client: Client, part: str) -> None:
        self._client = client
        self._labels = f"{manifests.NAME}={manifests.NAMED},{manifests.LABEL}={part}"

    def pods(self) -> dict[str, Object]:
        """Those that exist, by name."""
        return {p["metadata"]["name"]: p for p in self._client.list(PODS, BENCHMARK, labels=self._labels)}

    def services(self) -> dict[str, Object]:
        """Those that exist, by name."""
        return {s["metadata"]["name"]: s for s in self._client.list(SERVICES, BENCHMARK, labels=self._labels)}

    def ensure_services(self, *manifests: Object) -> None:
        """Create these Services. One of that name stays, unless it belongs to another workflow."""
        there = self.services()
        stale = {name for name, found in there.items() if not owned.is_own(self._client, found)}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._delete_service, stale & {each["metadata"]["name"] for each in manifests}))
            wanted = [each for each in manifests if each["metadata"]["name"] not in there.keys() - stale]
            list(pool.map(partial(owned.create, self._client, SERVICES), wanted))

    def ensure_pods(
        self,
        manifests: Sequence[Object],
        timeout_s: float = READY_S,
        is_up: PodCondition = is_ready,
        *,
        each: bool = False,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> list[Object]:
        """Create exactly these pods in this order, and wait until they are ready. One that differs is replaced.

        `is_up`: what is waited for instead of readiness. `meanwhile`: called while they start. `each`: the wait goes on
        until each pod is ready or never will be, so that the error names all of those; otherwise it ends with the first
        of them, or with a pod that the API server refuses.

        Raises:
            AlteredError: one differs from its manifest.
            StillThereError: one that differs does not end.
            NodesError: one is not ready in time, or can't be, or gets no node within a minute; with the reason.
        """
        wanted = {each["metadata"]["name"]: each for each in manifests}
        there = self.pods()
        stale = [p for name, p in there.items() if name not in wanted or not self._may_stay(p, wanted[name])]
        self._remove(stale)
        missing = [name for name in wanted if name not in there or there[name] in stale]
        refused = self._create_pods([wanted[name] for name in missing], each=each)
        meanwhile()
        began = time.monotonic()
        found = self._awaited(wanted.keys() - refused.keys(), timeout_s, is_up, each=each)
        if altered := _altered(found, wanted):
            raise AlteredError(f"{self._client.where}: {excerpt('; '.join(altered), _LONGEST)}. {comparison.OPT_OUT}.")
        if not _all_up(found, wanted, is_up):
            raise self._unready(found, wanted, time.monotonic() - began, is_up, refused)
        return [p for p in found if p["metadata"]["name"] in wanted]

    def _create_pods(self, wanted: Sequence[Object], *, each: bool) -> dict[str, str]:
        """Create these pods; why some were refused, by name, if that shall not end it."""
        refused = {}
        for manifest in wanted:
            try:
                owned.create(self._client, PODS, manifest)
            except TransientError:
                raise
            except (ApiError, DeniedError) as problem:
                if not each:
                    raise
                refused[manifest["metadata"]["name"]] = excerpt(problem)
        return refused

    def await_ready(self, timeout_s: float = READY_S) -> None:
        """Wait until the pods that exist now are ready.

        Raises:
            Problem: one is not ready in time, or can't be; with the reason.
        """
        began, there = time.monotonic(), self.pods()
        found = self._awaited(there, timeout_s, is_ready)
        if not _all_up(found, there, is_ready):
            raise self._unready(found, there, time.monotonic() - began, is_ready, {})

    def _awaited(
        self, wanted: Collection[str], timeout_s: float, is_up: PodCondition, *, each: bool = False
    ) -> list[Object]:
        """The pods, once they are up, or one never will be or has no node for too long, or after the timeout.

        `each`: once each is up, or never will be.
        """
        since: dict[str, float] = {}
        last: list[Object] = []

        def decided(found: list[Object]) -> bool:
            nonlocal since, last
            last, now = found, time.monotonic()
            there = {p["metadata"]["name"]: p for p in found}
            since = {
                name: since.get(name, now) for name in wanted if name in there and manifests.is_unscheduled(there[name])
            }
            never = {name for name in wanted if name in there and manifests.can_never_be_ready(there[name])}
            never |= {name for name, began in since.items() if now - began >= UNPLACED_S}
            ends = all(name in never or _all_up(found, [name], is_up) for name in wanted) if each else bool(never)
            return ends or _all_up(found, wanted, is_up)

        self._client.until(PODS, BENCHMARK, decided, timeout_s, labels=self._labels, every_s=_LOOK_S)
        return last

    def delete(self, *, keep_services: bool = False, wait: bool = True) -> None:
        """Delete all of them, and by default wait until the pods are gone. Safe to run twice."""
        self._remove(list(self.pods().values()), wait=wait)
        if not keep_services:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(self._delete_service, self.services()))

    def _delete_service(self, name: str) -> None:
        self._client.delete(SERVICES, name, BENCHMARK)

    def _may_stay(self, found: Object, wanted: Object) -> bool:
        is_over = (found.get("status") or {}).get("phase") in {"Failed", "Succeeded"}
        is_going = is_over or bool(found["metadata"].get("deletionTimestamp"))
        return not is_going and owned.is_own(self._client, found) and not comparison.pod_differences(found, wanted)

    def _remove(self, found: Sequence[Object], *, wait: bool = True) -> None:
        uids = {each["metadata"]["uid"] for each in found}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._delete_pod, found))
        if not uids or not wait:
            return
        if not (self._are_gone(uids, _SOON_S) or self._forget_lost(uids) or self._are_gone(uids, GONE_S - _SOON_S)):
            left = [pod for pod in self.pods().values() if pod["metadata"]["uid"] in uids] or found
            names = ", ".join(each["metadata"]["name"] for each in left)
            raise StillThereError(
                f"{self._client.where}: pods are still there {GONE_S:.0f} s after they were deleted ({names}): "
                f"check `kubectl -n {self._client.namespace} get pods -o wide`; a node may not answer.",
                {manifests.node_of(pod): f"pod {pod['metadata']['name']} does not end" for pod in left},
            )

    def _delete_pod(self, pod: Object, grace_s: int = _GRACE_S) -> None:
        meta = pod["metadata"]
        with suppress(ConflictError):  # the name has a new pod by now
            self._client.delete(PODS, meta["name"], BENCHMARK, grace_s=grace_s, uid=meta["uid"])

    def _are_gone(self, uids: set[str], timeout_s: float) -> bool:
        """Wait until none of these pods exists; False after the timeout."""
        gone = self._client.until(
            PODS,
            BENCHMARK,
            lambda all_: not uids & {p["metadata"]["uid"] for p in all_},
            timeout_s,
            labels=self._labels,
        )
        return gone is not None

    def _forget_lost(self, uids: set[str]) -> bool:
        """Forget the pods on nodes that are not ready; whether no other is left."""
        left = [pod for pod in self.pods().values() if pod["metadata"]["uid"] in uids]
        lost = self._forget(left, not_ready(self._client.list(NODES)))
        return len(lost) == len(left)

    def forget_ending(self, nodes: Collection[str]) -> None:
        """Forget the pods on these nodes that were deleted and do not end."""
        self._forget([pod for pod in self.pods().values() if pod["metadata"].get("deletionTimestamp")], nodes)

    def _forget(self, pods: Sequence[Object], nodes: Collection[str]) -> list[Object]:
        """Delete those of the pods that are on these nodes without their kubelets' answer, and return them.

        Such a pod ends when its kubelet gets to it, and its name is free at once.
        """
        lost = [pod for pod in pods if (pod.get("spec") or {}).get("nodeName") in nodes]
        for pod in lost:
            self._delete_pod(pod, grace_s=0)
        return lost

    def _unready(
        self,
        found: Sequence[Object],
        wanted: Mapping[str, Object],
        waited_s: float,
        is_up: PodCondition,
        refused: Mapping[str, str],
    ) -> NodesError:
        """The error that names the pods which are not up. `refused`: why the API server did not create some."""
        there = {p["metadata"]["name"]: p for p in found}
        reasons: list[str] = []
        nodes: dict[str, str] = {}
        doubtful: set[str] = set()
        for name, pod in wanted.items():
            if name in refused:
                why = f"{name}: {refused[name]}"
            elif name not in there:
                why = f"{name} is gone, deleted by somebody else"
            elif not is_up(there[name]) or manifests.can_never_be_ready(there[name]):
                why = f"{name}: {manifests.why_not_ready(there[name])}"
            else:
                continue
            reasons.append(why)
            nodes.setdefault(manifests.node_of(pod), why)
            if name not in refused and not (name in there and manifests.can_not_run_here(there[name])):
                doubtful.add(manifests.node_of(pod))
        return NodesError(
            f"{self._client.where}: pods of the benchmark are not ready (waited {waited_s:.0f} s): "
            f"{excerpt('; '.join(reasons), _LONGEST)}. See `kubectl -n {self._client.namespace} describe pods`.",
            nodes,
            doubtful,
        )


def _all_up(found: Sequence[Object], wanted: Collection[str], is_up: PodCondition) -> bool:
    up = {
        p["metadata"]["name"]
        for p in found
        if is_up(p) and not p["metadata"].get("deletionTimestamp") and not manifests.can_never_be_ready(p)
    }
    return up >= set(wanted)


def _altered(found: Sequence[Object], wanted: dict[str, Object]) -> list[str]:
    """How pods differ from their manifests, each as a clause."""
    by_name = {p["metadata"]["name"]: p for p in found}
    return [
        f"pod {name} differs from its manifest: {excerpt(', and '.join(unlike))}"
        for name, manifest in wanted.items()
        if name in by_name and (unlike := comparison.pod_differences(by_name[name], manifest))
    ]
