"""The benchmark's own pods and Services of one part: made, awaited, taken away, each call fit to be repeated."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from analysis.errors import Problem
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ConflictError
from steps.cluster.kube.api.permissions import BENCHMARK, PODS, SERVICES
from steps.cluster.kube.workloads import comparison, manifests

Object = dict[str, Any]

READY_S: Final = 180.0
"""How long pods may take to be ready: the image may have to be pulled first."""

UNPLACED_S: Final = 40.0
"""A pod for which there is no node after so long is given up: it is pinned, so no other node can come to help. What is
waited for is a port or memory that a pod which is being deleted still has."""

GONE_S: Final = 60.0
_AT_ONCE: Final = 8
_GRACE_S: Final = 1
_LOOK_S: Final = 5.0


class AlteredError(Problem):
    """A pod is not as it was asked for: somebody adds to the pods of this namespace."""


class Workload:
    """The pods and Services with one value of the label `part`."""

    def __init__(self, client: Client, part: str) -> None:
        self._client = client
        self._labels = f"{manifests.NAME}={manifests.NAMED},{manifests.LABEL}={part}"

    def pods(self) -> dict[str, Object]:
        """Those that are there, by name."""
        return {p["metadata"]["name"]: p for p in self._client.list(PODS, BENCHMARK, labels=self._labels)}

    def services(self) -> dict[str, Object]:
        """Those that are there, by name."""
        return {s["metadata"]["name"]: s for s in self._client.list(SERVICES, BENCHMARK, labels=self._labels)}

    def ensure_services(self, *manifests: Object) -> None:
        """Have these Services. One of that name stays as it is."""
        there = self.services()
        wanted = [each for each in manifests if each["metadata"]["name"] not in there]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._make_service, wanted))

    def ensure_pods(self, manifests: Sequence[Object], timeout_s: float = READY_S) -> list[Object]:
        """Have exactly these pods, and wait until they are ready. One that has other programs is made anew.

        Raises:
            AlteredError: one is not as it was asked for.
            Problem: one is not ready in time, or can't be, or finds no node within a minute; with the reason.
        """
        wanted = {each["metadata"]["name"]: each for each in manifests}
        there = self.pods()
        stale = [p for name, p in there.items() if name not in wanted or not _alike(p, wanted[name])]
        self._remove(stale)
        for name, manifest in wanted.items():
            if name not in there or there[name] in stale:
                try:
                    self._client.create(PODS, manifest, BENCHMARK)
                except ConflictError:  # our own call, cut short, had come through
                    continue
        began = time.monotonic()
        found = self._awaited(wanted, timeout_s)
        if altered := _altered(found, wanted):
            raise AlteredError(f"{self._client.where}: {'; '.join(altered)}. {comparison.OPT_OUT}.")
        if not _all_ready(found, wanted):
            raise Problem(self._why_not(found, wanted, time.monotonic() - began))
        return [p for p in found if p["metadata"]["name"] in wanted]

    def _awaited(self, wanted: dict[str, Object], timeout_s: float) -> list[Object]:
        """The pods once it is decided whether they are ready, one has no node for too long, or time is up."""
        since: dict[str, float] = {}
        last: list[Object] = []

        def decided(found: list[Object]) -> bool:
            nonlocal since, last
            last, now = found, time.monotonic()
            there = {p["metadata"]["name"]: p for p in found}
            since = {
                name: since.get(name, now) for name in wanted if name in there and manifests.is_unscheduled(there[name])
            }
            return _decided(found, wanted) or any(now - began >= UNPLACED_S for began in since.values())

        self._client.until(PODS, BENCHMARK, decided, timeout_s, labels=self._labels, every_s=_LOOK_S)
        return last

    def delete(self, *, keep_services: bool = False, wait: bool = True) -> None:
        """Take all of them away, and by default wait until the pods are gone. Safe to run twice."""
        self._remove(list(self.pods().values()), wait=wait)
        if not keep_services:
            names = list(self.services())
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(lambda name: self._client.delete(SERVICES, name, BENCHMARK), names))

    def _make_service(self, manifest: Object) -> None:
        try:
            self._client.create(SERVICES, manifest, BENCHMARK)
        except ConflictError:  # our own call, cut short, had come through
            return

    def _remove(self, found: Sequence[Object], *, wait: bool = True) -> None:
        uids = set()
        for each in found:
            meta = each["metadata"]
            uids.add(meta["uid"])
            with suppress(ConflictError):  # another of that name is there by now: that one is gone
                self._client.delete(PODS, meta["name"], BENCHMARK, grace_s=_GRACE_S, uid=meta["uid"])
        if not uids or not wait:
            return
        gone = self._client.until(
            PODS, BENCHMARK, lambda all_: not uids & {p["metadata"]["uid"] for p in all_}, GONE_S, labels=self._labels
        )
        if gone is None:
            names = ", ".join(each["metadata"]["name"] for each in found)
            raise Problem(
                f"{self._client.where}: pods are still there {GONE_S:.0f} s after they were deleted ({names}): "
                f"look at `kubectl -n {self._client.namespace} get pods -o wide`; a node may not answer."
            )

    def _why_not(self, found: Sequence[Object], wanted: dict[str, Object], waited_s: float) -> str:
        there = {p["metadata"]["name"]: p for p in found}
        reasons = []
        for name in wanted:
            if name not in there:
                reasons.append(f"{name} is gone, taken away by somebody else")
            elif not manifests.is_ready(there[name]):
                reasons.append(f"{name}: {manifests.why_not_ready(there[name])}")
        return (
            f"{self._client.where}: pods of the benchmark are not ready (waited {waited_s:.0f} s): "
            f"{'; '.join(reasons)}. Look at `kubectl -n {self._client.namespace} describe pods`."
        )


def _decided(found: Sequence[Object], wanted: dict[str, Object]) -> bool:
    own = [p for p in found if p["metadata"]["name"] in wanted]
    return _all_ready(found, wanted) or any(manifests.can_never_be_ready(p) for p in own)


def _all_ready(found: Sequence[Object], wanted: dict[str, Object]) -> bool:
    ready = {
        p["metadata"]["name"] for p in found if manifests.is_ready(p) and not p["metadata"].get("deletionTimestamp")
    }
    return ready >= set(wanted)


def _altered(found: Sequence[Object], wanted: dict[str, Object]) -> list[str]:
    """What somebody else made of our pods, each as a clause."""
    by_name = {p["metadata"]["name"]: p for p in found}
    return [
        f"pod {name} is not as it was asked for: {', and '.join(unlike)}"
        for name, manifest in wanted.items()
        if name in by_name and (unlike := comparison.pod_differences(by_name[name], manifest))
    ]


def _alike(found: Object, wanted: Object) -> bool:
    if found["metadata"].get("deletionTimestamp") or (found.get("status") or {}).get("phase") in {
        "Failed",
        "Succeeded",
    }:
        return False
    return not comparison.pod_differences(found, wanted)
