"""Putting a cluster back, with what a dead run left behind, and the proof that its dataplane works again."""

from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from analysis.errors import Problem
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ConflictError
from steps.cluster.kube.api.objects import resource_version
from steps.cluster.kube.api.permissions import CONFIGMAPS, KUBE_SYSTEM, STATE
from steps.cluster.kube.cni import Cni, Surroundings
from steps.cluster.kube.ownership import lock, takeover
from steps.cluster.kube.ownership.lock import UnreadableLockError
from steps.cluster.kube.restore_proof import RestoreProof
from steps.cluster.kube.scale import change as scale_objects
from steps.cluster.kube.servers import trial_servers
from steps.cluster.kube.workloads.workload import StillThereError
from steps.domain import Change, Visit
from steps.proof import wait
from steps.proof.wait import ProvenEvidence
from steps.settings import environment as names

TOLD: Final = "dataplane-benchmark/told-unreadable"
"""The annotation of a lock that can't be read and was reported, with the time by the API server's clock.

It is reported once: guards keep nothing, so an annotation on it says so.
"""


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """What a dead run left, and whether it was put back.

    Attributes:
        run: its workflow's name; None: the lock can't be read, so whether a run is dead is unknown.
        ending: how it ended, a clause.
        first: whether nobody had tried to put it back before.
        problem: why it was not put back or not proven, a sentence; empty: it was.
    """

    run: str | None
    ending: str
    first: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Restoration:
    """How one cluster is put back.

    Attributes:
        around: the client, who restores, and how to report and wait.
        cni: returns the cluster's network plugin, which is asked for only when there is something to put back.
        timeout_s: how long it waits for the proof; 0: not at all.
    """

    around: Surroundings
    cni: Callable[[], Cni[Any]]
    timeout_s: float

    def put_back(self, *, insist: bool) -> list[Change]:
        """Put everything back. `insist`: also what another run or user changed, unless a workflow is running.

        Raises:
            Problem: it could not be put back, or the dataplane is not proven to work again.
        """
        if not takeover.may_restore(self.around.client, self.around.owner, self.around.say, insist=insist):
            return []
        return self._restore_all()

    def put_back_left(self) -> LeftBehind | None:
        """Put back what a dead run left, for the guard; None: there is nothing, or another does.

        Raises:
            Problem: the API server gives no answer.
        """
        client = self.around.client
        try:
            held = lock.find_lock(client)
        except UnreadableLockError as problem:
            return LeftBehind(None, "", first=_note_unreadable(client, problem), problem=str(problem))
        if held is None or takeover.holder_is_alive(client, held) is not False:
            return None
        found = LeftBehind(str(held.owner.workflow), takeover.ending(client, held), first=held.restorer is None)
        if not takeover.may_restore(client, self.around.owner, self.around.say, insist=False):
            return None
        try:
            self._restore_all()
        except Problem as problem:
            return replace(found, problem=str(problem))
        return found

    def _restore_all(self) -> list[Change]:
        """The cluster, and the pods and Services that are left; the caller has checked that they may be removed."""
        # beside the restore, since a thousand Services take most of a minute to delete
        clears = scale_objects.clear, trial_servers.clear_all
        with ThreadPoolExecutor(2) as pool:
            sweeps = [pool.submit(clear, self.around.client) for clear in clears]
            futures.wait(sweeps[1:])

            def swept() -> None:
                for sweep in sweeps:
                    with self._reporting_what_ends():
                        sweep.result()  # the cluster's own state came first

            def prove() -> None:
                self._wait_for_restored()
                swept()  # before the lock is released, by which another goes on where this process is killed

            changes = self.cni().restore(prove)
            swept()
        return changes

    def _wait_for_restored(self) -> None:
        """Wait for the proof of the restored dataplane on all nodes, since restored objects may hide a broken node.

        Raises:
            Problem: it isn't proven in time; the objects are restored nevertheless.
        """
        found = self.cni().to_prove(self.cni().stand(to_switch=False)) if self.timeout_s > 0 else None
        if found is None:
            return
        client, runs, image = self.around.client, found.dataplane, self.around.variables.get(names.IMAGE)
        no_image = None if image else f"{names.IMAGE} is not set; no deployment names one"
        if (reason := found.unprovable or no_image) is not None:
            self.around.say(f"whether {runs} works again was not checked: {reason}")
            return
        held = lock.find_lock(client)
        if held is None or not lock.has_right(held, self.around.owner):
            return  # another has the cluster by now, and the lock is not this one's to give back
        proof = RestoreProof(self.around, self.cni(), found, held)
        try:
            proof.wait(self.timeout_s)
        except Problem as problem:
            raise Problem(
                f"{client.where}: the API objects are as they were before the run, but {runs} is not proven to work "
                f"again: {problem} The snapshot is kept: `{client.restore_command}` checks again, and "
                f"`{client.kubectl} -n {KUBE_SYSTEM} delete configmap {STATE}` gives up."
            ) from None
        finally:
            held = lock.find_lock(client)
            if held is not None and lock.has_right(held, self.around.owner):  # else the pods are another's
                with self._reporting_what_ends():
                    trial_servers.clear_all(client)

    @contextmanager
    def _reporting_what_ends(self) -> Iterator[None]:
        """Only report pods that were deleted and do not end, which may be for ever where a node's kubelet is stuck.

        They carry no traffic of the cluster's own, and the next run waits for them before it begins.
        """
        try:
            yield
        except StillThereError as problem:
            self.around.say(str(problem))

    def prove(self, dataplane: str, measured: tuple[str, ...], timeout_s: float) -> ProvenEvidence:
        """Wait for the proof of a dataplane on these nodes.

        Raises:
            UnprovenError: it isn't proven in time, or can't be.
        """
        cni, visit = self.cni(), Visit(visit=1, round=1, dataplane=dataplane, trials=())
        return wait.wait_for_proof(
            lambda: cni.observe(cni.stand(to_switch=False), measured, visit, "before", whole=True),
            lambda signs: wait.judge(signs, dataplane, measured),
            timeout_s,
            self.around.say,
        )


def _note_unreadable(client: Client, problem: UnreadableLockError) -> bool:
    """Annotate the lock as reported; False: it is annotated already, or has changed meanwhile.

    Raises:
        Problem: it can't be annotated, and is not reported: a report every minute would be worse.
    """
    try:
        found = client.get(CONFIGMAPS, STATE, KUBE_SYSTEM)
        if found is None or TOLD in (found["metadata"].get("annotations") or {}):
            return False
        annotations = {TOLD: client.now().isoformat()}
        patch = {"metadata": {"resourceVersion": resource_version(found), "annotations": annotations}}
        client.patch(CONFIGMAPS, STATE, patch, KUBE_SYSTEM)
    except ConflictError:
        return False
    except Problem as refused:
        raise Problem(f"{problem} Nobody was notified of it, since that could not be noted: {refused}") from None
    return True
