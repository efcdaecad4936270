"""Carry out the actions of a switch on a cluster, each so that it may be repeated after having been cut short."""

import operator
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from analysis.errors import Problem
from steps.cluster.kube.api import permissions
from steps.cluster.kube.api.client import FIELD_MANAGER, Client
from steps.cluster.kube.api.errors import ConflictError
from steps.cluster.kube.api.fields import merge_patch, read_field
from steps.cluster.kube.api.permissions import DAEMONSETS, INSTALLATIONS, KUBE_PROXY, KUBE_SYSTEM, PODS, TIGERA_STATUSES
from steps.cluster.kube.api.retries import through_conflicts
from steps.cluster.kube.calico import actions, felix_log, kube_proxy
from steps.cluster.kube.calico.actions import Action, AwaitRollout, Create, Delete, RestartKubeProxy, Write
from steps.cluster.kube.calico.desired_state import PROXY, PROXY_CONFIG
from steps.cluster.kube.calico.facts import Facts
from steps.cluster.kube.calico.objects import CALICO_NODE
from steps.domain import Change
from steps.polling import poll

Object = dict[str, Any]
Say = Callable[[str], None]

ROLLOUT_S: Final = 180.0
"""How long kube-proxy may take to go from, or come back to, every node."""

AVAILABLE_S: Final = 600.0
"""How long the operator may take: it rolls calico-node out node by node."""

OFF_EBPF_S: Final = 30.0
"""When Felix is no longer waited for to say that it left eBPF: one that had fallen back has nothing to leave."""

LEAST_OFF_EBPF_S: Final = 5.0
"""How long kube-proxy stays away after eBPF is switched off, at least: 5 s was right 6 times of 6, 0 s never."""

_STEADY_S: Final = 3.0
"""How long kube-proxy's new pods run before the next action: they clear their former mode's rules at their start."""

_BEFORE: Final = timedelta(minutes=10)
"""How far back a log is read, to know in which mode the process before the change was."""

_POLL_S: Final = 1.0


class ActionExecutor:
    """Carries actions out. `say` is called with what is being waited for; `sleep` passes time."""

    def __init__(self, client: Client, facts: Facts, say: Say, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._facts = facts
        self._say = say
        self._sleep = sleep

    def carry_out(self, plan: list[Action]) -> list[Change]:
        """Do one after another, and say what each was. Waiting is no change.

        Raises:
            Problem: one can't be done; those before it are done.
        """
        changes = []
        for action in plan:
            self._say(actions.describe_action(action))
            if self._do(action):
                changes.append(
                    Change(what=actions.describe_action(action), command=actions.command(action, self._facts))
                )
        return changes

    def _do(self, action: Action) -> bool:
        if isinstance(action, Write):
            return self._write(action)
        if isinstance(action, Create):
            return self._create(action)
        if isinstance(action, Delete):
            return self._client.delete(action.ref.resource, action.ref.name, action.ref.namespace)
        if isinstance(action, RestartKubeProxy):
            return self._restart_kube_proxy()
        self._await(action)
        return False

    def _write(self, action: Write) -> bool:
        ref = action.ref
        if ref == PROXY:
            self._outlast(self._configured_at())

        def once() -> bool:
            found = self._client.get(ref.resource, ref.name, ref.namespace)
            if found is None:
                raise Problem(f"{self._client.where}: {ref} is gone, though it was there a moment ago: run it again.")
            held = {path: read_field(found, path) for path in action.values}
            if held == dict(action.values):
                return False
            if any(held[path] not in {action.before[path], value} for path, value in action.values.items()):
                raise Problem(
                    f"{self._client.where}: {ref} was changed by somebody else while it was being switched: "
                    "see to it that nobody does, and run it again."
                )
            patch = merge_patch(action.values)
            patch["metadata"] = {"resourceVersion": found["metadata"]["resourceVersion"]}
            self._client.patch(ref.resource, ref.name, patch, ref.namespace)
            return True

        # a concurrent status update is not a conflict: read again, and see
        return through_conflicts(once, self._sleep)

    def _create(self, action: Create) -> bool:
        metadata = action.body.get("metadata", {})
        kept = {key: metadata[key] for key in ("name", "labels", "annotations") if metadata.get(key)}
        body = {**action.body, "metadata": kept}
        try:
            self._client.create(action.ref.resource, body, action.ref.namespace)
        except ConflictError:  # our own call, cut short, had come through
            return True
        return True

    def _restart_kube_proxy(self) -> bool:
        since = self._configured_at()
        if since is None:
            return False
        self._outlast(since)
        old = kube_proxy.stale_pods(self._kube_proxy_pods(), since)
        for pod in old:
            self._client.delete(PODS, pod["metadata"]["name"], KUBE_SYSTEM, uid=pod["metadata"]["uid"])
        return bool(old)

    def _await(self, action: AwaitRollout) -> None:
        {
            "kube-proxy parked": self._parked,
            "kube-proxy rolled out": self._rolled_out,
            "Felix off eBPF": self._off_ebpf,
            "Calico available": self._available,
        }[action.condition]()

    def _parked(self) -> None:
        still = self._client.until(
            DAEMONSETS, None, lambda found: any(kube_proxy.stands_still(d) for d in _proxies(found)), ROLLOUT_S
        )
        gone = still and self._client.until(PODS, KUBE_SYSTEM, lambda pods: not pods, ROLLOUT_S, labels=self._labels())
        if gone is None:
            raise Problem(
                f"{self._client.where}: kube-proxy still runs {ROLLOUT_S:.0f} s after it was parked: look at "
                f"`kubectl -n {KUBE_SYSTEM} get pods -l {self._labels()} -o wide`."
            )

    def _rolled_out(self) -> None:
        since = self._configured_at()
        rolled = self._client.until(
            DAEMONSETS, None, lambda found: any(kube_proxy.is_rolled_out(d) for d in _proxies(found)), ROLLOUT_S
        )
        fresh = rolled and self._client.until(
            PODS, KUBE_SYSTEM, lambda pods: _all_fresh(pods, since), ROLLOUT_S, labels=self._labels()
        )
        if fresh is None:
            raise Problem(
                f"{self._client.where}: kube-proxy is not back on every node after {ROLLOUT_S:.0f} s: look at "
                f"`kubectl -n {KUBE_SYSTEM} describe pods -l {self._labels()}`."
            )
        started = max((datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) for pod in fresh), default=None)
        if started is not None:
            self._poll(lambda: self._client.now() >= started + timedelta(seconds=_STEADY_S))

    def _off_ebpf(self) -> None:
        resource = self._switching_resource()
        noted = kube_proxy.written_at(self._client.get(resource, permissions.DEFAULT), FIELD_MANAGER)
        # an aggregated API notes no times: then it is as if it were switched off now
        changed = noted or self._client.now()
        namespace = self._facts.calico_namespace or KUBE_SYSTEM

        def has_left() -> bool:
            now = self._client.now()
            if now >= changed + timedelta(seconds=OFF_EBPF_S):
                return True
            logs = [
                self._client.log(pod["metadata"]["name"], namespace, container=CALICO_NODE, since=changed - _BEFORE)
                for pod in self._client.list(PODS, namespace, labels=self._facts.agent_labels)
            ]
            return now >= changed + timedelta(seconds=LEAST_OFF_EBPF_S) and all(_has_left_ebpf(log) for log in logs)

        self._poll(has_left)

    def _available(self) -> None:
        def look() -> tuple[bool, str]:
            installation = self._client.get(INSTALLATIONS, permissions.DEFAULT)
            return _is_available(installation, self._client.get(TIGERA_STATUSES, "calico"))

        # polled: what is wanted is said by two kinds, and a watch is of one
        is_available = operator.itemgetter(0)
        ready, message = poll(look, is_available, pause_s=_POLL_S, timeout_s=AVAILABLE_S, sleep=self._sleep)
        if ready:
            return
        raise Problem(
            f"{self._client.where}: the operator does not report Calico as available after {AVAILABLE_S:.0f} s "
            f"({message or 'it gives no reason'}): look at `kubectl describe tigerastatus calico`."
        )

    def _outlast(self, since: datetime | None) -> None:
        """Wait for the next second: a pod made in the second of a change could not be told from an old one."""
        self._poll(lambda: since is None or self._client.now() > since)

    def _poll(self, is_so: Callable[[], bool]) -> None:
        """Until it is so by the server's clock, which nothing watches, and which sets the end, too."""
        poll(is_so, bool, pause_s=_POLL_S, sleep=self._sleep)

    def _switching_resource(self) -> permissions.Resource:
        if self._facts.install == "operator" or self._facts.group is None:
            return INSTALLATIONS
        return permissions.felix_configurations(self._facts.group)

    def _configured_at(self) -> datetime | None:
        found = self._client.get(PROXY_CONFIG.resource, PROXY_CONFIG.name, PROXY_CONFIG.namespace)
        return kube_proxy.written_at(found, FIELD_MANAGER)

    def _kube_proxy_pods(self) -> list[Object]:
        return self._client.list(PODS, KUBE_SYSTEM, labels=self._labels())

    def _labels(self) -> str:
        return kube_proxy.selector(self._facts.kube_proxy) if self._facts.kube_proxy else f"k8s-app={KUBE_PROXY}"


def _proxies(found: list[Object]) -> list[Object]:
    return [d for d in found if (d["metadata"]["namespace"], d["metadata"]["name"]) == (KUBE_SYSTEM, KUBE_PROXY)]


def _all_fresh(pods: list[Object], since: datetime | None) -> bool:
    running = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    return bool(running) and not kube_proxy.stale_pods(running, since) and all(_is_ready(pod) for pod in running)


def _has_left_ebpf(log: bytes) -> bool:
    """Whether the last Felix in this log is not in eBPF mode and has written its dataplane."""
    process = felix_log.read_felix_log(log).current
    if process is None or process.gone or process.restart_due:
        return False
    return process.in_bpf is False and process.updated_at is not None


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _is_available(installation: Object | None, status: Object | None) -> tuple[bool, str]:
    wanted = ((installation or {}).get("metadata") or {}).get("generation", 0)
    conditions = {c.get("type"): c for c in ((status or {}).get("status") or {}).get("conditions") or []}
    available = conditions.get("Available", {})
    current = available.get("observedGeneration", wanted) >= wanted
    busy = conditions.get("Progressing", {}).get("status") == "True"
    message = conditions.get("Degraded", {}).get("message") or available.get("message") or ""
    return available.get("status") == "True" and current and not busy, str(message)
