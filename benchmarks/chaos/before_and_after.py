"""What a run must leave as it was: the objects that a switch changes, the lock, our objects, and the measured rows."""

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from analysis.errors import BadInput, Problem
from analysis.sql import database
from analysis.store.store import Store
from steps import documents
from steps.cluster.kube import cnis
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK, PODS, POLICIES, SERVICES, WORKFLOWS
from steps.cluster.kube.cni import Surroundings
from steps.cluster.kube.ownership import lock
from steps.cluster.kube.ownership.owner import current_owner
from steps.cluster.kube.ownership.snapshot import snapshot_objects
from steps.cluster.kube.workloads.manifests import LABEL, NAME, NAMED
from steps.collect.run_rows import run_rows
from steps.lease import PART as GUARD
from workflows.cli import uncollected
from workflows.deployment.user_client import PART, UserClient

ObjectsByName = Mapping[str, Object | None]
Trials = frozenset[tuple[int, int]]
"""Visits and trials by their numbers."""

_KINDS: Final = ((PODS, BENCHMARK), (SERVICES, BENCHMARK), *POLICIES)
_AT_WORK: Final = frozenset({"Pending", "Running"})
_NOT_ENDED: Final = "workflows.argoproj.io/completed notin (true)"


@dataclass(frozen=True, slots=True)
class Remains:
    """The cluster now. `changed`: objects that are not as before. `lock`: who holds it. `left`: objects of ours."""

    changed: tuple[str, ...]
    lock: str | None
    left: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """Whether all is as it was before the run."""
        return not self.changed and self.lock is None and not self.left


def objects(client: UserClient) -> dict[str, Object | None]:
    """Every object that a switch may change, whole but for what only the server sets; None: absent."""
    cni = cnis.choose(Surroundings(client, current_owner(client.namespace, {}), "", {}, lambda _: None, time.sleep))
    taken = cni.snapshot(cni.stand(to_switch=True))
    return {str(ref): found for ref, found in snapshot_objects(taken).items()}


def keep_objects(path: Path, found: ObjectsByName) -> None:
    """Write the objects from before the first point of a matrix, for sessions to come.

    If each took its own beginning, a point that left something changed would be the measure of those after it.
    """
    path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def kept_objects(path: Path) -> ObjectsByName | None:
    """The objects that were kept; None: none yet.

    Raises:
        BadInput: the file can't be read.
    """
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} can't be read ({error}): delete it where the cluster is as it should be.") from None
    if not isinstance(found, dict):
        raise BadInput(f"{path} holds no objects: delete it where the cluster is as it should be.")
    return cast("ObjectsByName", found)


def remains(client: UserClient, before: ObjectsByName | None) -> Remains:
    """What is not as it was. `before`: the objects then; None: they are not known, and not compared."""
    now = {} if before is None else objects(client)
    changed = sorted(name for name in {*(before or {}), *now} if (before or {}).get(name) != now.get(name))
    held = lock.find_lock(client)
    return Remains(tuple(changed), str(held.owner) if held is not None else None, tuple(_left(client)))


def runs_at_work(client: UserClient) -> list[str]:
    """The names of runs that have not ended: of a session that was broken off, or somebody else's."""
    found = client.metadata(WORKFLOWS, BENCHMARK, labels=_NOT_ENDED)
    return sorted(str(run["metadata"]["name"]) for run in found)


def _left(client: UserClient) -> list[str]:
    return [
        f"{resource.kind} {found['metadata']['name']}"
        for resource, namespace in _KINDS
        for found in client.list(resource, namespace, labels=f"{NAME}={NAMED}")
        if _is_left(found)
    ]


def _is_left(found: Object) -> bool:
    """Whether it is of a run: what a deployment made stays, the guard's pod, and the steps' pods that have ended."""
    part = found["metadata"]["labels"].get(LABEL)
    return part not in {PART, GUARD} and (part is not None or (found.get("status") or {}).get("phase") in _AT_WORK)


def measured_until_now(store: Store, run_id: str) -> Trials:
    """The trials of a run that are measured by its raw documents as they are now.

    Raises:
        Problem: they can't be read.
    """
    folder = f"{uncollected.RAW}/{run_id}"
    with tempfile.TemporaryDirectory(prefix="dataplane-benchmark-") as here:
        store.files.fetch(folder, Path(here), uncollected.MOST_BYTES)
        if not (Path(here) / documents.RUN).exists():
            return frozenset()
        rows = run_rows(Path(here), run_id)["trials"]
    return frozenset((int(str(r["visit"])), int(str(r["trial"]))) for r in rows if r["outcome"] == "measured")


def stored(store: Store, run_id: str) -> tuple[Trials, str | None]:
    """The trials that are stored as measured, after what the next command does for a run that was killed.

    With them, why the store, or something in it, can't be read; None: it can.
    """
    try:
        uncollected.collect(store, run_id)
        with database.connect(store, run_id=run_id) as con:
            found = database.query(
                con, "select visit, trial from trials where run_id = $run and outcome = 'measured'", {"run": run_id}
            ).to_pylist()
        left_out = [one for one in store.inventory(run_id=run_id).left_out if one.run_id == run_id]
    except Problem as problem:
        return frozenset(), str(problem)
    trials = frozenset((int(row["visit"]), int(row["trial"])) for row in found)
    return trials, f"{left_out[0].file} {left_out[0].reason}" if left_out else None
