"""The proof after a restore: by probes on every ready node that can run them, and on the measured ones in any case."""

from collections.abc import Sequence
from typing import Any

from analysis.errors import Problem
from steps.cluster.kube.cni import Cni, CniState, Surroundings, ToProve
from steps.cluster.kube.ownership import lock
from steps.cluster.kube.ownership.lock import HeldLock
from steps.cluster.kube.workloads.workload import NodesError
from steps.domain import Sign, Visit
from steps.proof import wait
from steps.proof.wait import ProvenEvidence


class RestoreProof:
    """Waits for the proof of one restored dataplane.

    The measured nodes ran the run's pods, so they run probes too. Any other node may have no room for them, or no image
    for its architecture, or be removed meanwhile. If the lock were kept for such a node, no run could begin any more.

    `held`: the lock, whose nodes the run measured. One that is not ready is left out, like any other node.
    """

    def __init__(self, around: Surroundings, cni: Cni[Any], found: ToProve, held: HeldLock) -> None:
        measured = held.snapshot["nodes"]
        self._around = around
        self._held = held
        self._cni = cni
        self._dataplane = found.dataplane
        self._needed = tuple(node for node in measured if node in found.nodes)
        self._probed = (*self._needed, *(node for node in found.nodes if node not in self._needed))
        self._unprobed: dict[str, str] = {}

    def wait(self, timeout_s: float) -> ProvenEvidence:
        """Wait for it.

        Raises:
            Problem: it isn't proven in time, or can't be.
        """
        # before the time for the proof begins: a node that can't pull the image is only known after minutes
        self._place(self._cni.stand(to_switch=False))
        return wait.wait_for_proof(
            self._look, lambda signs: wait.judge(signs, self._dataplane, self._probed), timeout_s, self._around.say
        )

    def _look(self) -> Sequence[Sign]:
        self._require_right()
        standing = self._cni.stand(to_switch=False)
        self._leave_out(standing)
        try:
            return self._observe(standing)
        except NodesError:  # a node may have lost its room for a probe meanwhile
            self._place(standing)
        return self._observe(standing)

    def _require_right(self) -> None:
        """Start no pods, and restart no agents, beside a run that has the cluster by now."""
        lock.require_right(self._around.client, self._held, self._around.owner)

    def _observe(self, standing: CniState) -> list[Sign]:
        visit = Visit(visit=1, round=1, dataplane=self._dataplane, trials=())
        return self._cni.observe(standing, self._probed, visit, "before", whole=True, unprobed=tuple(self._unprobed))

    def _place(self, standing: CniState) -> None:
        """Start the probes, and leave out the nodes that can't run them.

        Raises:
            Problem: a measured node can't, or no node can.
        """
        self._require_right()
        self._leave_out(standing)
        for node, why in self._cni.place_probes(standing, self._probed, self._needed).items():
            self._do_without(node, why)

    def _leave_out(self, standing: CniState) -> None:
        """Leave out what is no longer a node, as where an autoscaler removes some, or was ready when this began."""
        ready = {node.name: node.ready for node in standing.nodes}
        for node in self._probed:
            if node not in ready or not (ready[node] or node in self._needed):
                self._do_without(node, "it is no longer ready" if node in ready else "it is no longer in the cluster")
        self._needed = tuple(node for node in self._needed if node in ready)
        if not self._probed:
            raise Problem(f"{self._around.client.where}: no node is ready: check `kubectl get nodes`.")

    def _do_without(self, node: str, why: str) -> None:
        self._probed = tuple(each for each in self._probed if each != node)
        self._unprobed[node] = why
        self._around.say(
            f"node {node}: no probe runs there ({why}); whether {self._dataplane} works again there is judged by its "
            "agents alone"
        )
