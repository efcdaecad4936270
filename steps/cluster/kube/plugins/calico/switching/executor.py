"""Execute the actions of a switch; each may be repeated after an interruption."""

import contextlib
from dataclasses import replace

from analysis.errors import Problem
from steps.cluster.kube.api.errors import ConflictError
from steps.cluster.kube.api.fields import merge_patch, read_field
from steps.cluster.kube.api.permissions import KUBE_SYSTEM, PODS
from steps.cluster.kube.api.retries import through_conflicts
from steps.cluster.kube.cni import Surroundings
from steps.cluster.kube.ownership import lock
from steps.cluster.kube.ownership.lock import HeldLock
from steps.cluster.kube.plugins.calico.inventory import kube_proxy
from steps.cluster.kube.plugins.calico.inventory.facts import Facts
from steps.cluster.kube.plugins.calico.switching import actions
from steps.cluster.kube.plugins.calico.switching.actions import Action, Create, Delete, RestartKubeProxy, Write
from steps.cluster.kube.plugins.calico.switching.conditions import Conditions
from steps.cluster.kube.plugins.calico.switching.fields import PROXY
from steps.domain import Change
from steps.lease import RENEWAL_S


class ActionExecutor:
    """Executes actions, each with a sentence to the caller, and each only while the lock gives the right to it.

    `held`: the lock when the actions were planned.
    """

    def __init__(self, around: Surroundings, facts: Facts, held: HeldLock) -> None:
        self._client = around.client
        self._around = around
        self._waited_s = 0.0
        self._held = held
        self._facts = facts
        self._conditions = Conditions(replace(around, sleep=self._wait), facts)

    def carry_out(self, plan: list[Action]) -> list[Change]:
        """Execute a plan and return its changes; waiting is none.

        Raises:
            Unsupported: another changes the cluster by now; what was done is its to put back.
            Problem: an action failed; those before it are done.
        """
        changes = []
        for action in plan:
            self._around.say(actions.describe_action(action))
            if self._do(action):
                command = actions.kubectl_command(action, self._facts)
                changes.append(Change(what=actions.describe_action(action), command=command))
        return changes

    def _wait(self, seconds: float) -> None:
        """Wait, as for the operator to get to the last node; now and then show that this is at work."""
        self._around.sleep(seconds)
        self._waited_s += seconds
        if self._waited_s >= RENEWAL_S:
            self._waited_s = 0.0
            self._require_right()

    def _require_right(self) -> None:
        lock.require_right(self._client, self._held, self._around.owner)

    def _do(self, action: Action) -> bool:
        if isinstance(action, Write):
            return self._write(action)
        if isinstance(action, Create):
            return self._create(action)
        if isinstance(action, Delete):
            self._require_right()
            return self._client.delete(action.ref.resource, action.ref.name, action.ref.namespace)
        if isinstance(action, RestartKubeProxy):
            return self._restart_kube_proxy()
        self._conditions.wait(action.condition)
        return False

    def _write(self, action: Write) -> bool:
        ref = action.ref
        if ref == PROXY:
            self._conditions.pass_second_of(self._conditions.configured_at())

        def once() -> bool:
            self._require_right()
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
        return through_conflicts(once, self._around.sleep)

    def _create(self, action: Create) -> bool:
        metadata = action.body.get("metadata", {})
        kept = {key: metadata[key] for key in ("name", "labels", "annotations") if metadata.get(key)}
        body = {**action.body, "metadata": kept}
        self._require_right()
        with contextlib.suppress(ConflictError):  # an earlier, interrupted call created it
            self._client.create(action.ref.resource, body, action.ref.namespace)
        return True

    def _restart_kube_proxy(self) -> bool:
        since = self._conditions.configured_at()
        if since is None:
            return False
        self._conditions.pass_second_of(since)
        self._require_right()
        pods = self._client.list(PODS, KUBE_SYSTEM, labels=self._facts.kube_proxy_labels)
        old = kube_proxy.stale_pods(pods, since)
        for pod in old:
            self._client.delete(PODS, pod["metadata"]["name"], KUBE_SYSTEM, uid=pod["metadata"]["uid"])
        return bool(old)
