"""The conditions that a switch waits for: kube-proxy's rollout, Felix's mode, and what the operator does.

Nothing is awaited on a node that is not ready, or a cluster with one could not be put back.
"""

import contextlib
import operator
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from analysis.errors import Problem
from steps.cluster.kube.api import permissions
from steps.cluster.kube.api.errors import TransientError
from steps.cluster.kube.api.objects import Object, is_ready
from steps.cluster.kube.api.permissions import DAEMONSETS, INSTALLATIONS, KUBE_PROXY, KUBE_SYSTEM, PODS
from steps.cluster.kube.cni import Surroundings
from steps.cluster.kube.plugins.calico.felix.log import read_felix_log
from steps.cluster.kube.plugins.calico.inventory import kube_proxy
from steps.cluster.kube.plugins.calico.inventory.facts import Facts
from steps.cluster.kube.plugins.calico.inventory.objects import CALICO_NODE, find_daemon_set
from steps.cluster.kube.plugins.calico.switching import ready_pods
from steps.cluster.kube.plugins.calico.switching.actions import AwaitedCondition
from steps.cluster.kube.plugins.calico.switching.fields import PROXY_CONFIG
from steps.cluster.kube.plugins.calico.switching.operator_reaction import OperatorReaction
from steps.polling import poll

ROLLOUT_S: Final = 180.0
"""The longest wait for kube-proxy to leave, or to run on, every node."""

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
        self._operator = OperatorReaction(around, facts)

    def wait(self, condition: AwaitedCondition) -> None:
        """Wait for a condition.

        Raises:
            Problem: it is not met in time.
        """
        {
            "kube-proxy parked": self._await_parking,
            "kube-proxy rolled out": self._await_rollout,
            "Installation seen": self._operator.await_reaction,
            "calico-node rolled out": self._operator.await_agents,
            "Felix on eBPF": self._await_ebpf,
            "Felix off eBPF": self._await_end_of_ebpf,
            "Calico available": self._operator.await_available,
        }[condition]()

    def pass_second_of(self, since: datetime | None) -> None:
        """Wait for the next second: timestamps are whole seconds, and new pods must be younger than the change."""
        self._poll(lambda: since is None or self._client.now() > since)

    def configured_at(self) -> datetime | None:
        """When this program last changed kube-proxy's configuration, by the server's clock; None: never."""
        found = self._client.get(PROXY_CONFIG.resource, PROXY_CONFIG.name, PROXY_CONFIG.namespace)
        return kube_proxy.written_at(found)

    def _await_parking(self) -> None:
        if self._await_proxy(kube_proxy.runs_nowhere, operator.not_) is None:
            raise Problem(
                f"{self._client.where}: kube-proxy still runs {ROLLOUT_S:.0f} s after it was parked: check "
                f"`kubectl -n {KUBE_SYSTEM} get pods -l {self._labels} -o wide`."
            )

    def _await_rollout(self) -> None:
        since = self.configured_at()
        fresh = self._await_proxy(
            lambda proxy: kube_proxy.is_rolled_out(proxy, len(ready_pods.away(self._client))),
            lambda pods: _all_fresh(pods, since),
        )
        if fresh is None:
            raise Problem(
                f"{self._client.where}: kube-proxy does not run on every node after {ROLLOUT_S:.0f} s: check "
                f"`kubectl -n {KUBE_SYSTEM} describe pods -l {self._labels}`."
            )
        started = max((datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) for pod in fresh), default=None)
        if started is not None:
            self._poll(lambda: self._client.now() >= started + timedelta(seconds=_STEADY_S))

    def _await_proxy(
        self, is_so: Callable[[Object], bool], are_so: Callable[[list[Object]], bool]
    ) -> list[Object] | None:
        """Wait for a condition of kube-proxy's DaemonSet, then for one of its pods; None: one is not met in time."""

        def holds(found: list[Object]) -> bool:
            proxy = find_daemon_set(found, KUBE_PROXY, KUBE_SYSTEM)
            return proxy is not None and is_so(proxy)

        def hold(pods: list[Object]) -> bool:
            return are_so(ready_pods.present(self._client, pods))

        rolled = self._client.until(DAEMONSETS, None, holds, ROLLOUT_S)
        return rolled and self._client.until(PODS, KUBE_SYSTEM, hold, ROLLOUT_S, labels=self._labels)

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
        resource = INSTALLATIONS if by_operator else permissions.FELIX_CONFIGURATIONS[str(facts.group)]
        return kube_proxy.written_at(self._client.get(resource, permissions.DEFAULT))

    def _felix_logs(self, changed: datetime) -> dict[str, bytes]:
        """Felix's log on each ready node from some time before the change, by node."""
        namespace = self._facts.calico_namespace or KUBE_SYSTEM
        found = {}
        pods = self._client.list(PODS, namespace, labels=self._facts.agent_labels)
        for pod in ready_pods.present(self._client, pods):
            name, node = pod["metadata"]["name"], str((pod.get("spec") or {}).get("nodeName"))
            found[node] = b""
            with contextlib.suppress(TransientError):  # the node may have failed a moment ago
                found[node] = self._client.log(name, namespace, container=CALICO_NODE, since=changed - _BEFORE)
        return found

    def _poll(self, is_so: Callable[[], bool]) -> None:
        """Poll a condition on the server's clock, which also limits the wait."""
        poll(is_so, bool, pause_s=_POLL_S, sleep=self._sleep)


def _all_fresh(pods: list[Object], since: datetime | None) -> bool:
    running = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    return bool(running) and not kube_proxy.stale_pods(running, since) and all(is_ready(pod) for pod in running)


def _has_left_ebpf(log: bytes) -> bool:
    """Whether the last Felix process in this log is not in eBPF mode and has written its dataplane."""
    process = read_felix_log(log).current
    return process is not None and process.stays and process.in_bpf is False and process.updated_at is not None


def _runs_ebpf(log: bytes) -> bool | None:
    """Whether the last Felix process in this log runs eBPF and has written its dataplane, or never will; None: unknown.

    The proof finds a process that fell back.
    """
    process = read_felix_log(log).current
    if process is None:
        return None
    if not process.stays:
        return False
    if process.fallback is not None or (process.in_bpf and process.updated_at is not None):
        return True
    return None if process.in_bpf is None else False
