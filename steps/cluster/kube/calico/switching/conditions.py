"""The conditions that a switch waits for: kube-proxy's rollout, Felix's mode, and the operator's report.

Nothing is awaited on a node that is not ready, or a cluster with one could not be put back.
"""

import contextlib
import operator
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from analysis.errors import Problem
from steps.cluster.kube.api import nodes, permissions
from steps.cluster.kube.api.encoding import FIELD_MANAGER
from steps.cluster.kube.api.errors import TransientError
from steps.cluster.kube.api.fields import read_field
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import (
    DAEMONSETS,
    INSTALLATIONS,
    KUBE_PROXY,
    KUBE_SYSTEM,
    NODES,
    PODS,
    TIGERA_STATUSES,
)
from steps.cluster.kube.calico.felix.log import read_felix_log
from steps.cluster.kube.calico.implementation import BPF
from steps.cluster.kube.calico.inventory import kube_proxy
from steps.cluster.kube.calico.inventory.facts import Facts
from steps.cluster.kube.calico.inventory.objects import CALICO_NODE
from steps.cluster.kube.calico.switching.actions import Condition
from steps.cluster.kube.calico.switching.fields import LINUX_DATAPLANE, PROXY_CONFIG
from steps.cluster.kube.cni import Surroundings
from steps.polling import poll

ROLLOUT_S: Final = 180.0
"""The longest wait for kube-proxy to leave, or to run on, every node."""

AVAILABLE_S: Final = 600.0
"""The longest wait for the operator, which rolls calico-node out node by node."""

REACTS_S: Final = 10.0
"""How long the operator may take to begin a rollout; until then it reports the state from before."""

OFF_EBPF_S: Final = 30.0
"""The longest wait for Felix to log that it left eBPF; after a fallback it never does."""

ON_EBPF_S: Final = 120.0
"""The longest wait for Felix to log that it runs eBPF, after the operator reports that Calico is available."""

LEAST_OFF_EBPF_S: Final = 5.0
"""The shortest wait from the end of eBPF until kube-proxy returns: in trials, 5 s worked 6 of 6 times, 0 s never."""

_STEADY_S: Final = 3.0
"""How long kube-proxy's new pods run before the next action: they delete their former mode's rules at their start."""

_BEFORE: Final = timedelta(minutes=10)
"""How far before the change a log is read, to know the mode of the previous process."""

_POLL_S: Final = 1.0


class Conditions:
    """Waits for the conditions of one cluster."""

    def __init__(self, around: Surroundings, facts: Facts) -> None:
        self._client = around.client
        self._facts = facts
        self._labels = facts.kube_proxy_labels
        self._sleep = around.sleep

    def wait(self, condition: Condition) -> None:
        """Wait for a condition.

        Raises:
            Problem: it is not met in time.
        """
        {
            "kube-proxy parked": self._await_parking,
            "kube-proxy rolled out": self._await_rollout,
            "Installation seen": self._await_reaction,
            "calico-node rolled out": self._await_agents,
            "Felix on eBPF": self._await_ebpf,
            "Felix off eBPF": self._await_end_of_ebpf,
            "Calico available": self._await_operator,
        }[condition]()

    def pass_second_of(self, since: datetime | None) -> None:
        """Wait for the next second: timestamps are whole seconds, and new pods must be younger than the change."""
        self._poll(lambda: since is None or self._client.now() > since)

    def configured_at(self) -> datetime | None:
        """When this program last changed kube-proxy's configuration, by the server's clock; None: never."""
        found = self._client.get(PROXY_CONFIG.resource, PROXY_CONFIG.name, PROXY_CONFIG.namespace)
        return kube_proxy.written_at(found, FIELD_MANAGER)

    def _await_parking(self) -> None:
        parked = self._client.until(
            DAEMONSETS, None, lambda found: any(kube_proxy.runs_nowhere(d) for d in _proxies(found)), ROLLOUT_S
        )
        gone = parked and self._client.until(
            PODS, KUBE_SYSTEM, lambda pods: not self._present(pods), ROLLOUT_S, labels=self._labels
        )
        if gone is None:
            raise Problem(
                f"{self._client.where}: kube-proxy still runs {ROLLOUT_S:.0f} s after it was parked: check "
                f"`kubectl -n {KUBE_SYSTEM} get pods -l {self._labels} -o wide`."
            )

    def _await_rollout(self) -> None:
        since = self.configured_at()
        rolled = self._client.until(
            DAEMONSETS,
            None,
            lambda found: any(kube_proxy.is_rolled_out(d, len(self._away())) for d in _proxies(found)),
            ROLLOUT_S,
        )
        fresh = rolled and self._client.until(
            PODS, KUBE_SYSTEM, lambda pods: _all_fresh(self._present(pods), since), ROLLOUT_S, labels=self._labels
        )
        if fresh is None:
            raise Problem(
                f"{self._client.where}: kube-proxy does not run on every node after {ROLLOUT_S:.0f} s: check "
                f"`kubectl -n {KUBE_SYSTEM} describe pods -l {self._labels}`."
            )
        started = max((datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) for pod in fresh), default=None)
        if started is not None:
            self._poll(lambda: self._client.now() >= started + timedelta(seconds=_STEADY_S))

    def _away(self) -> frozenset[str]:
        """The nodes that are not ready: a restore can't wait for them."""
        return nodes.not_ready(self._client.list(NODES))

    def _present(self, pods: list[Object]) -> list[Object]:
        """The pods that are not on such a node."""
        away = self._away()
        return [pod for pod in pods if (pod.get("spec") or {}).get("nodeName") not in away]

    def _await_ebpf(self) -> None:
        """Wait until Felix runs eBPF on every ready node, or its log does not tell.

        Raises:
            Problem: it runs without on one.
        """
        changed = self._calico_changed_at()
        if changed is None:
            return  # nothing was switched, so that no process is about to be replaced

        end = self._client.now() + timedelta(seconds=ON_EBPF_S)

        def others() -> dict[str, bool | None]:
            found = {node: _runs_ebpf(log) for node, log in self._felix_logs(changed).items()}
            return {node: runs for node, runs in found.items() if not runs}

        left = poll(others, lambda found: not found or self._client.now() >= end, pause_s=_POLL_S, sleep=self._sleep)
        if late := sorted(node for node, runs in left.items() if runs is False):
            raise Problem(
                f"{self._client.where}: Felix does not run eBPF on {', '.join(late)} {ON_EBPF_S:.0f} s after the "
                f"operator has rolled it out: check `kubectl -n {self._facts.calico_namespace} logs -l "
                f"{self._facts.agent_labels} -c {CALICO_NODE} --prefix`."
            )

    def _await_end_of_ebpf(self) -> None:
        # an aggregated API records no times
        changed = self._calico_changed_at() or self._client.now()

        def has_left() -> bool:
            now = self._client.now()
            if now >= changed + timedelta(seconds=OFF_EBPF_S):
                return True
            left = all(_has_left_ebpf(log) for log in self._felix_logs(changed).values())
            return left and now >= changed + timedelta(seconds=LEAST_OFF_EBPF_S)

        self._poll(has_left)

    def _calico_changed_at(self) -> datetime | None:
        """When this program last changed the object by which eBPF is switched; None: never, or it is not recorded."""
        facts = self._facts
        by_operator = facts.install == "operator" or facts.group is None
        resource = INSTALLATIONS if by_operator else permissions.felix_configurations(str(facts.group))
        return kube_proxy.written_at(self._client.get(resource, permissions.DEFAULT), FIELD_MANAGER)

    def _felix_logs(self, changed: datetime) -> dict[str, bytes]:
        """Felix's log on each ready node from some time before the change, by node."""
        namespace = self._facts.calico_namespace or KUBE_SYSTEM
        found = {}
        for pod in self._present(self._client.list(PODS, namespace, labels=self._facts.agent_labels)):
            name, node = pod["metadata"]["name"], str((pod.get("spec") or {}).get("nodeName"))
            found[node] = b""
            with contextlib.suppress(TransientError):  # the node may have failed a moment ago
                found[node] = self._client.log(name, namespace, container=CALICO_NODE, since=changed - _BEFORE)
        return found

    def _await_operator(self) -> None:
        def read() -> tuple[bool, str]:
            installation = self._client.get(INSTALLATIONS, permissions.DEFAULT)
            if not self._had_time_to_react(installation):
                return False, "it has not had the time to begin"
            available, message = _is_available(installation, self._client.get(TIGERA_STATUSES, "calico"))
            if available and self._is_rolled_out():
                return True, ""
            return self._is_as_far_as_possible(installation), message

        # polled, since two kinds are involved and a watch covers one
        is_available = operator.itemgetter(0)
        ready, message = poll(read, is_available, pause_s=_POLL_S, timeout_s=AVAILABLE_S, sleep=self._sleep)
        if not ready:
            away = "".join(f"node {name} is not ready; " for name in sorted(self._away()))
            raise Problem(
                f"{self._client.where}: the operator does not report Calico as available after {AVAILABLE_S:.0f} s "
                f"({away}{message or 'without a reason'}): check `kubectl describe tigerastatus calico`."
            )

    def _await_reaction(self) -> None:
        """Wait until the operator has seen the Installation.

        Raises:
            Problem: it has not in time.
        """
        if not poll(self._has_reacted, bool, pause_s=_POLL_S, timeout_s=AVAILABLE_S, sleep=self._sleep):
            raise Problem(
                f"{self._client.where}: the operator has not seen the Installation {AVAILABLE_S:.0f} s after it was "
                "changed: check `kubectl -n tigera-operator get pods`."
            )

    def _await_agents(self) -> None:
        """Wait until the operator has replaced calico-node on every node, where the Installation wants it replaced.

        Raises:
            Problem: it has not in time.
        """

        def replaced() -> bool:
            return self._has_reacted() and self._is_rolled_out()

        if not poll(replaced, bool, pause_s=_POLL_S, timeout_s=AVAILABLE_S, sleep=self._sleep):
            away = "".join(f"node {name} is not ready; " for name in sorted(self._away()))
            raise Problem(
                f"{self._client.where}: the operator has not replaced {self._facts.agent} on every node after "
                f"{AVAILABLE_S:.0f} s ({away}eBPF is not enabled before): check `kubectl -n "
                f"{self._facts.calico_namespace} rollout status daemonset/{self._facts.agent}`."
            )

    def _has_reacted(self) -> bool:
        installation = self._client.get(INSTALLATIONS, permissions.DEFAULT)
        seen = _has_seen(installation, self._client.get(TIGERA_STATUSES, "calico"))
        return seen and self._had_time_to_react(installation)

    def _had_time_to_react(self, installation: Object | None) -> bool:
        changed = kube_proxy.written_at(installation, FIELD_MANAGER)
        return changed is None or self._client.now() >= changed + timedelta(seconds=REACTS_S)

    def _is_rolled_out(self) -> bool:
        """Whether calico-node is; the operator's report may be older than its last change."""
        where = (self._facts.calico_namespace, self._facts.agent)
        found = (
            d for d in self._client.list(DAEMONSETS) if (d["metadata"]["namespace"], d["metadata"]["name"]) == where
        )
        return all(kube_proxy.is_rolled_out(each) for each in found)

    def _is_as_far_as_possible(self, installation: Object | None) -> bool:
        """Whether a node is not ready, for which the operator waits, and Felix is configured as it will be then."""
        if not self._away() or self._facts.group is None:
            return False
        felix = self._client.get(permissions.felix_configurations(self._facts.group), permissions.DEFAULT)
        wanted = read_field(installation or {}, LINUX_DATAPLANE.path) == "BPF"
        pods = self._client.list(PODS, self._facts.calico_namespace or KUBE_SYSTEM, labels=self._facts.agent_labels)
        return bool(read_field(felix or {}, ("spec", BPF))) == wanted and all(map(_is_ready, self._present(pods)))

    def _poll(self, is_so: Callable[[], bool]) -> None:
        """Poll a condition on the server's clock, which also limits the wait."""
        poll(is_so, bool, pause_s=_POLL_S, sleep=self._sleep)


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


def _runs_ebpf(log: bytes) -> bool | None:
    """Whether the last Felix process in this log runs eBPF and has written its dataplane, or never will; None: unknown.

    The proof finds a process that fell back.
    """
    process = read_felix_log(log).current
    if process is None:
        return None
    if process.gone or process.restart_due:
        return False
    if process.fallback is not None or (process.in_bpf and process.updated_at is not None):
        return True
    return None if process.in_bpf is None else False


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _has_seen(installation: Object | None, status: Object | None) -> bool:
    """Whether the operator reports on the present Installation; one that does not say is believed."""
    wanted = ((installation or {}).get("metadata") or {}).get("generation", 0)
    return bool(_conditions(status).get("Available", {}).get("observedGeneration", wanted) >= wanted)


def _conditions(status: Object | None) -> dict[str, Object]:
    return {str(c.get("type")): c for c in ((status or {}).get("status") or {}).get("conditions") or []}


def _is_available(installation: Object | None, status: Object | None) -> tuple[bool, str]:
    conditions = _conditions(status)
    available = conditions.get("Available", {})
    busy = conditions.get("Progressing", {}).get("status") == "True"
    message = conditions.get("Degraded", {}).get("message") or available.get("message") or ""
    is_available = available.get("status") == "True" and _has_seen(installation, status) and not busy
    return is_available, str(message)
