"""What Calico's operator makes of a changed Installation, as far as a switch waits for it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Self

from analysis.errors import Problem
from steps.cluster.kube.api import permissions
from steps.cluster.kube.api.fields import read_field
from steps.cluster.kube.api.objects import Object, is_ready
from steps.cluster.kube.api.permissions import DAEMONSETS, INSTALLATIONS, KUBE_SYSTEM, PODS, TIGERA_STATUSES
from steps.cluster.kube.cni import Surroundings
from steps.cluster.kube.plugins.calico.implementation import BPF
from steps.cluster.kube.plugins.calico.inventory import kube_proxy
from steps.cluster.kube.plugins.calico.inventory.facts import Facts
from steps.cluster.kube.plugins.calico.inventory.objects import find_daemon_set
from steps.cluster.kube.plugins.calico.switching import ready_pods
from steps.cluster.kube.plugins.calico.switching.fields import LINUX_DATAPLANE
from steps.polling import poll

AVAILABLE_S: Final = 600.0
"""The longest wait for the operator while it replaces calico-node on no further node."""

NODE_S: Final = 60.0
"""The longest that it may take for each node beside that: it took 22 to 56 s, and replaces one after another."""

REACTS_S: Final = 10.0
"""How long the operator may take to begin a rollout; until then it reports the state from before."""

_POLL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class RolloutProgress:
    """How far the operator is with replacing calico-node, and since when.

    Attributes:
        began: when the wait began.
        moved_at: when it was last further than ever before.
        at: the time of the last look.
        furthest: the DaemonSet's generation, and how many nodes have its pods.
        nodes: that shall have them.
    """

    began: datetime
    moved_at: datetime
    at: datetime
    furthest: tuple[int, int] = (-1, -1)
    nodes: int = 0

    def seen(self, agent: Object | None, now: datetime) -> Self:
        """The progress after a look at calico-node's DaemonSet. One that is set back is no progress."""
        status = (agent or {}).get("status") or {}
        reached = (int(status.get("observedGeneration", 0)), int(status.get("updatedNumberScheduled", 0)))
        nodes = int(status.get("desiredNumberScheduled", 0))
        if reached <= self.furthest:
            return replace(self, at=now, nodes=nodes)
        return replace(self, at=now, nodes=nodes, moved_at=now, furthest=reached)

    @property
    def is_over(self) -> bool:
        """Whether no more is to be expected: nothing moved for too long, or all of it takes too long."""
        still_s, all_s = ((self.at - since).total_seconds() for since in (self.moved_at, self.began))
        return still_s >= AVAILABLE_S or all_s >= AVAILABLE_S + NODE_S * self.nodes


class OperatorReaction:
    """Waits for the operator of one cluster."""

    def __init__(self, around: Surroundings, facts: Facts) -> None:
        self._client = around.client
        self._facts = facts
        self._sleep = around.sleep

    def await_available(self) -> None:
        """Wait until it reports Calico as available, and calico-node is rolled out.

        Raises:
            Problem: it is not in time.
        """

        def read() -> tuple[bool, str]:
            installation = self._client.get(INSTALLATIONS, permissions.DEFAULT)
            if not self._had_time_to_react(installation):
                return False, "it has not had the time to begin"
            available, message = _is_available(installation, self._client.get(TIGERA_STATUSES, "calico"))
            if available and self._is_rolled_out():
                return True, ""
            return self._is_as_far_as_possible(installation), message

        ready, message, waited_s = self._await(read)
        if not ready:
            raise Problem(
                f"{self._client.where}: the operator does not report Calico as available after {waited_s:.0f} s "
                f"({self._away()}{message or 'without a reason'}): check `kubectl describe tigerastatus calico`."
            )

    def await_reaction(self) -> None:
        """Wait until the operator has seen the Installation.

        Raises:
            Problem: it has not in time.
        """
        if not poll(self._has_reacted, bool, pause_s=_POLL_S, timeout_s=AVAILABLE_S, sleep=self._sleep):
            raise Problem(
                f"{self._client.where}: the operator has not seen the Installation {AVAILABLE_S:.0f} s after it was "
                "changed: check `kubectl -n tigera-operator get pods`."
            )

    def await_agents(self) -> None:
        """Wait until the operator has replaced calico-node on every node, where the Installation wants it replaced.

        Raises:
            Problem: it has not in time.
        """
        replaced, _message, waited_s = self._await(lambda: (self._has_reacted() and self._is_rolled_out(), ""))
        if not replaced:
            raise Problem(
                f"{self._client.where}: the operator has not replaced {self._facts.agent} on every node after "
                f"{waited_s:.0f} s ({self._away()}eBPF is not enabled before): check `kubectl -n "
                f"{self._facts.calico_namespace} rollout status daemonset/{self._facts.agent}`."
            )

    def _await(self, read: Callable[[], tuple[bool, str]]) -> tuple[bool, str, float]:
        """Read until it is so, while nodes get their new calico-node; what was read last, and the seconds waited."""
        began = self._client.now()
        progress = RolloutProgress(began, began, began)

        def look() -> tuple[bool, str]:
            nonlocal progress
            found = read()
            progress = progress.seen(self._agent(), self._client.now())
            return found

        # polled, since two kinds are involved and a watch covers one
        ready, message = poll(look, lambda found: found[0] or progress.is_over, pause_s=_POLL_S, sleep=self._sleep)
        return ready, message, (progress.at - began).total_seconds()

    def _agent(self) -> Object | None:
        """calico-node's DaemonSet."""
        return find_daemon_set(self._client.list(DAEMONSETS), self._facts.agent, self._facts.calico_namespace)

    def _away(self) -> str:
        """The nodes that it waits for in vain, as clauses; empty: none."""
        return "".join(f"node {name} is not ready; " for name in sorted(ready_pods.away(self._client)))

    def _has_reacted(self) -> bool:
        installation = self._client.get(INSTALLATIONS, permissions.DEFAULT)
        seen = _has_seen(installation, self._client.get(TIGERA_STATUSES, "calico"))
        return seen and self._had_time_to_react(installation)

    def _had_time_to_react(self, installation: Object | None) -> bool:
        changed = kube_proxy.written_at(installation)
        return changed is None or self._client.now() >= changed + timedelta(seconds=REACTS_S)

    def _is_rolled_out(self) -> bool:
        """Whether calico-node is; the operator's report may be older than its last change."""
        agent = self._agent()
        return agent is None or kube_proxy.is_rolled_out(agent)

    def _is_as_far_as_possible(self, installation: Object | None) -> bool:
        """Whether a node is not ready, for which the operator waits, and Felix is configured as it will be then."""
        if not ready_pods.away(self._client) or self._facts.group is None:
            return False
        felix = self._client.get(permissions.FELIX_CONFIGURATIONS[self._facts.group], permissions.DEFAULT)
        wanted = read_field(installation or {}, LINUX_DATAPLANE.path) == "BPF"
        pods = self._client.list(PODS, self._facts.calico_namespace or KUBE_SYSTEM, labels=self._facts.agent_labels)
        return bool(read_field(felix or {}, ("spec", BPF))) == wanted and all(
            map(is_ready, ready_pods.present(self._client, pods))
        )


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
