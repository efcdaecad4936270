"""Execute the actions of a switch; each may be repeated after an interruption."""

import contextlib
import operator
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from analysis.errors import Problem
from steps.cluster.kube.api import permissions
from steps.cluster.kube.api.client import FIELD_MANAGER
from steps.cluster.kube.api.errors import ConflictError
from steps.cluster.kube.api.fields import merge_patch, read_field
from steps.cluster.kube.api.permissions import DAEMONSETS, INSTALLATIONS, KUBE_PROXY, KUBE_SYSTEM, PODS, TIGERA_STATUSES
from steps.cluster.kube.api.retries import through_conflicts
from steps.cluster.kube.calico.felix.log import read_felix_log
from steps.cluster.kube.calico.inventory import kube_proxy
from steps.cluster.kube.calico.inventory.facts import Facts
from steps.cluster.kube.calico.inventory.objects import CALICO_NODE
from steps.cluster.kube.calico.switching import actions
from steps.cluster.kube.calico.switching.actions import Action, Create, Delete, RestartKubeProxy, Write
from steps.cluster.kube.calico.switching.fields import PROXY, PROXY_CONFIG
from steps.cluster.kube.cni import Surroundings
from steps.domain import Change
from steps.polling import poll

Object = dict[str, Any]

ROLLOUT_S: Final = 180.0
"""The longest wait for kube-proxy to leave, or to run on, every node."""

AVAILABLE_S: Final = 600.0
"""The longest wait for the operator, which rolls calico-node out node by node."""

OFF_EBPF_S: Final = 30.0
"""The longest wait for Felix to log that it left eBPF; after a fallback it never does."""

LEAST_OFF_EBPF_S: Final = 5.0
"""The shortest wait from the end of eBPF until kube-proxy returns: in trials, 5 s worked 6 of 6 times, 0 s never."""

_STEADY_S: Final = 3.0
"""How long kube-proxy's new pods run before the next action: they delete their former mode's rules at their start."""

_BEFORE: Final = timedelta(minutes=10)
"""How far before the change a log is read, to know the mode of the previous process."""

_POLL_S: Final = 1.0


class ActionExecutor:
    """Executes actions, each with a sentence to the caller."""

    def __init__(self, around: Surroundings, facts: Facts) -> None:
        self._client = around.client
        self._facts = facts
        self._labels = facts.kube_proxy_labels
        self._say = around.say
        self._sleep = around.sleep

    def carry_out(self, plan: list[Action]) -> list[Change]:
        """Execute a plan and return its changes; waiting is none.

        Raises:
            Problem: an action failed; those before it are done.
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
        {
            "kube-proxy parked": self._await_parking,
            "kube-proxy rolled out": self._await_rollout,
            "Felix off eBPF": self._await_end_of_ebpf,
            "Calico available": self._await_operator,
        }[action.condition]()
        return False

    def _write(self, action: Write) -> bool:
        ref = action.ref
        if ref == PROXY:
            self._pass_second_of(self._configured_at())

        def once() -> bool:
            found = self._client.get(ref.resource, ref.name, ref.namespace)
            if found is None:
                raise Problem(f"{self._client.where}: {ref} was deleted during the switch: run it again.")
            values = {path: read_field(found, path) for path in action.values}
            if values == dict(action.values):
                return False
            if any(values[path] not in {action.before[path], value} for path, value in action.values.items()):
                raise Problem(
                    f"{self._client.where}: {ref} was changed by another client during the switch: stop that "
                    "client, and run it again."
                )
            patch = merge_patch(action.values)
            patch.setdefault("metadata", {})["resourceVersion"] = found["metadata"]["resourceVersion"]
            self._client.patch(ref.resource, ref.name, patch, ref.namespace)
            return True

        # a concurrent status update is no conflict: read the object again
        return through_conflicts(once, self._sleep)

    def _create(self, action: Create) -> bool:
        metadata = action.body.get("metadata", {})
        kept = {key: metadata[key] for key in ("name", "labels", "annotations") if metadata.get(key)}
        body = {**action.body, "metadata": kept}
        with contextlib.suppress(ConflictError):  # an earlier, interrupted call created it
            self._client.create(action.ref.resource, body, action.ref.namespace)
        return True

    def _restart_kube_proxy(self) -> bool:
        since = self._configured_at()
        if since is None:
            return False
        self._pass_second_of(since)
        old = kube_proxy.stale_pods(self._client.list(PODS, KUBE_SYSTEM, labels=self._labels), since)
        for pod in old:
            self._client.delete(PODS, pod["metadata"]["name"], KUBE_SYSTEM, uid=pod["metadata"]["uid"])
        return bool(old)

    def _await_parking(self) -> None:
        parked = self._client.until(
            DAEMONSETS, None, lambda found: any(kube_proxy.runs_nowhere(d) for d in _proxies(found)), ROLLOUT_S
        )
        gone = parked and self._client.until(PODS, KUBE_SYSTEM, lambda pods: not pods, ROLLOUT_S, labels=self._labels)
        if gone is None:
            raise Problem(
                f"{self._client.where}: kube-proxy still runs {ROLLOUT_S:.0f} s after it was parked: check "
                f"`kubectl -n {KUBE_SYSTEM} get pods -l {self._labels} -o wide`."
            )

    def _await_rollout(self) -> None:
        since = self._configured_at()
        rolled = self._client.until(
            DAEMONSETS, None, lambda found: any(kube_proxy.is_rolled_out(d) for d in _proxies(found)), ROLLOUT_S
        )
        fresh = rolled and self._client.until(
            PODS, KUBE_SYSTEM, lambda pods: _all_fresh(pods, since), ROLLOUT_S, labels=self._labels
        )
        if fresh is None:
            raise Problem(
                f"{self._client.where}: kube-proxy does not run on every node after {ROLLOUT_S:.0f} s: check "
                f"`kubectl -n {KUBE_SYSTEM} describe pods -l {self._labels}`."
            )
        started = max((datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) for pod in fresh), default=None)
        if started is not None:
            self._poll(lambda: self._client.now() >= started + timedelta(seconds=_STEADY_S))

    def _await_end_of_ebpf(self) -> None:
        facts = self._facts
        by_operator = facts.install == "operator" or facts.group is None
        resource = INSTALLATIONS if by_operator else permissions.felix_configurations(str(facts.group))
        written = kube_proxy.written_at(self._client.get(resource, permissions.DEFAULT), FIELD_MANAGER)
        # an aggregated API records no times
        changed = written or self._client.now()
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

    def _await_operator(self) -> None:
        def read() -> tuple[bool, str]:
            installation = self._client.get(INSTALLATIONS, permissions.DEFAULT)
            return _is_available(installation, self._client.get(TIGERA_STATUSES, "calico"))

        # polled, since two kinds are involved and a watch covers one
        is_available = operator.itemgetter(0)
        ready, message = poll(read, is_available, pause_s=_POLL_S, timeout_s=AVAILABLE_S, sleep=self._sleep)
        if not ready:
            raise Problem(
                f"{self._client.where}: the operator does not report Calico as available after {AVAILABLE_S:.0f} s "
                f"({message or 'without a reason'}): check `kubectl describe tigerastatus calico`."
            )

    def _pass_second_of(self, since: datetime | None) -> None:
        """Wait for the next second: timestamps are whole seconds, and new pods must be younger than the change."""
        self._poll(lambda: since is None or self._client.now() > since)

    def _poll(self, is_so: Callable[[], bool]) -> None:
        """Poll a condition on the server's clock, which also limits the wait."""
        poll(is_so, bool, pause_s=_POLL_S, sleep=self._sleep)

    def _configured_at(self) -> datetime | None:
        found = self._client.get(PROXY_CONFIG.resource, PROXY_CONFIG.name, PROXY_CONFIG.namespace)
        return kube_proxy.written_at(found, FIELD_MANAGER)


def _proxies(found: list[Object]) -> list[Object]:
    return [d for d in found if (d["metadata"]["namespace"], d["metadata"]["name"]) == (KUBE_SYSTEM, KUBE_PROXY)]


def _all_fresh(pods: list[Object], since: datetime | None) -> bool:
    running = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    return bool(running) and not kube_proxy.stale_pods(running, since) and all(_is_ready(pod) for pod in running)


def _has_left_ebpf(log: bytes) -> bool:
    """Whether the last Felix process in this log is not in eBPF mode and has written its dataplane."""
    process = read_felix_log(log).current
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
