"""How each fault is made on a cluster, and ended whatever happens meanwhile."""

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from analysis.errors import Problem, Unsupported
from benchmarks.chaos import commands, points
from benchmarks.chaos.commands import Commands
from benchmarks.chaos.points import Fault
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK, NODES, PODS, WORKFLOWS, Resource
from workflows.deployment import argo
from workflows.deployment.user_client import DEPLOYMENTS, UserClient
from workflows.submission import status

ARGO: Final = "argo"
"""Argo's own program: what Retry deletes and sets back is decided there, and by no API server."""

_RETRY_S: Final = 120.0

_LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
_NODE_LEASES: Final = "kube-node-lease"
_LAST_WORD: Final = timedelta(seconds=5)
"""How long after its beginning a fault may take to silence a node."""


class Strikes:
    """The faults that can be made here.

    `given`: the user's commands. `call`: runs one of them on a node.
    """

    def __init__(
        self,
        client: UserClient,
        given: Mapping[str, Commands],
        *,
        sleep: Callable[[float], None] = time.sleep,
        call: Callable[[str, str], None] = commands.run,
    ) -> None:
        self._client = client
        self._given = given
        self._sleep = sleep
        self._call = call

    def left_out(self, faults: Sequence[Fault] = points.FAULTS) -> list[str]:
        """The faults that can't be made, by name and reason."""
        why = {"command": "no command is given for it", "argo": f"`{ARGO}` is not on PATH"}
        return [f"{f.name}: {why[means]}" for means in why for f in faults if f.means == means and not self._has(f)]

    def possible(self, faults: Sequence[Fault] = points.FAULTS) -> list[Fault]:
        """The faults that can be made."""
        return [fault for fault in faults if self._has(fault)]

    def strike(self, fault: Fault, workflow: Object, node: Object) -> bool | None:
        """Begin a fault and end it again; whether the cluster saw its effect, or None where it is not looked at.

        Raises:
            Problem: it could not be made or ended; the sentence says by what command.
        """
        name = workflow["metadata"]["name"]
        if fault.means == "command":
            return self._by_command(fault, self._machine(name, node))
        if fault.name == "pod-deleted":
            pod = status.pod_name(name, node)
            if self._client.get(PODS, pod, BENCHMARK) is None:
                return False  # Argo has not made it yet, or its node is gone
            self._client.delete(PODS, pod, BENCHMARK, grace_s=0)
        elif fault.name == "argo-stopped":
            self._without_controller(fault.lasts_s)
        elif fault.name == "delete":
            self._client.delete(WORKFLOWS, name, BENCHMARK)
        elif fault.name == "terminate":
            self._client.patch(WORKFLOWS, name, {"spec": {"shutdown": "Terminate"}}, BENCHMARK)
        else:
            self.stop(name)
        return None

    def stop(self, name: str) -> None:
        """Press Stop on a run."""
        self._client.patch(WORKFLOWS, name, {"spec": {"shutdown": "Stop"}}, BENCHMARK)

    def retry(self, name: str) -> None:
        """Press Retry on a run that has ended.

        Raises:
            Problem: Argo refuses it.
        """
        context = ["--context", self._client.context] if self._client.context else []
        argv = [ARGO, "retry", *context, "--namespace", self._client.namespace, name]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_RETRY_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Problem(f"`{' '.join(argv)}` can't be run: {error}.") from None
        if done.returncode:
            raise Problem(f"`{' '.join(argv)}` failed: {(done.stderr or done.stdout).strip()[-500:]}")

    @property
    def can_retry(self) -> bool:
        """Whether Argo's program is here."""
        return shutil.which(ARGO) is not None

    def _has(self, fault: Fault) -> bool:
        if fault.means == "command":
            return fault.name in self._given
        return fault.means == "api" or self.can_retry

    def _machine(self, workflow_name: str, node: Object) -> str:
        """The node of a step's pod; where it has none yet, or no more, the node of another pod, or any node."""
        own = status.pod_name(workflow_name, node)
        pods = sorted(self._client.list(PODS, BENCHMARK), key=lambda pod: bool(pod["metadata"]["name"] != own))
        placed = [str(pod["spec"]["nodeName"]) for pod in pods if (pod.get("spec") or {}).get("nodeName")]
        return (placed or [str(each["metadata"]["name"]) for each in self._client.list(NODES)])[0]

    def _by_command(self, fault: Fault, machine: str) -> bool | None:
        given, began = self._given[fault.name], self._client.now() if fault.silences else None
        try:
            self._call(given.start, machine)
            self._sleep(given.lasts_s or fault.lasts_s)
            return None if began is None else self._is_silent(machine, began)
        finally:
            self._call(given.end, machine)

    def _is_silent(self, machine: str, began: datetime) -> bool | None:
        """Whether a kubelet has renewed its node's Lease no more, as it does every ten seconds; None: it has none."""
        lease = self._client.get(_LEASES, machine, _NODE_LEASES)
        renewed = ((lease or {}).get("spec") or {}).get("renewTime")
        return None if renewed is None else datetime.fromisoformat(renewed) < began + _LAST_WORD

    def _without_controller(self, lasts_s: float) -> None:
        found = argo.controller(self._client)
        if found is None:
            raise Unsupported(f"{self._client.where}: no Deployment of Argo's controller was found.")
        name, namespace = found["metadata"]["name"], found["metadata"]["namespace"]
        replicas = found["spec"].get("replicas", 1)
        try:
            self._client.patch(DEPLOYMENTS, name, {"spec": {"replicas": 0}}, namespace)
            self._sleep(lasts_s)
        finally:
            self._client.patch(DEPLOYMENTS, name, {"spec": {"replicas": replicas}}, namespace)
