"""Runs that were killed before their rows were collected: found by their raw documents, and collected.

In a folder an active run holds a lock, so that a run without one is known to have ended. A bucket has no locks: its
runs are only named, and collected when they are requested by name.
"""

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from analysis.console.commands import report_command
from analysis.errors import BadInput, Problem, Unsupported
from analysis.store.index.left_out import LeftOut
from analysis.store.index.names import is_run_id
from analysis.store.integrity.unnamed import LOST
from analysis.store.store import Store
from steps import documents
from steps.collect.run_rows import run_rows
from workflows.local.execution import liveness
from workflows.local.execution.liveness import Liveness

RAW: Final = "raw"
MOST_BYTES: Final = 4 * 2**30
"""Of a run's raw documents; the largest run that is permitted has less."""
_UID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True, slots=True)
class CollectedRun:
    """A run whose rows were just made from its raw documents; the sentence says why, and what came of its trials."""

    run_id: str
    sentence: str


def collect_all(store: Store, notify: Callable[[str], None]) -> list[CollectedRun]:
    """Collect each run that has begun a visit, is known to have ended, and has no rows.

    `notify`: called with a sentence for each run that has no rows.

    Raises:
        Unsupported: the store can't be read.
    """
    collected = []
    try:
        there = store.files.folders(RAW)
    except Problem as problem:
        store.files.folders("")  # raises if the store can't be read at all
        notify(f"Whether there are uncollected runs is unknown: {problem}")
        return []
    # A run that is left out because a file is damaged has its own sentence, and is collected again only by name. A run
    # of which only the row is missing may have been killed while it was stored, so it is collected like any other.
    left_out = _left_out(store) if there else {}
    damaged = {run for run, one in left_out.items() if one.reason != LOST}
    for run_id in _without_rows(store, (run for run in there if run not in damaged)):
        with _state(store, run_id) as state:
            if state == "running":
                notify(f"Run {run_id} is still active; its report is written at its end.")
            elif state == "unknown":
                notify(
                    f"Run {run_id} has raw documents and no rows: it may still be active. If it has ended, "
                    f"`{report_command(store.url, run_id)}` collects it."
                )
            else:
                try:
                    collected.append(_collect(store, run_id, _why(left_out.get(run_id))))
                    notify(collected[-1].sentence)
                except Problem as problem:
                    notify(f"Run {run_id} was killed before its rows were collected, and they can't be: {problem}")
    return collected


def collect(store: Store, run_id: str) -> CollectedRun | None:
    """Collect a run that was requested by name, if it has raw documents and no valid rows; else returns None.

    Raises:
        Problem: its documents are damaged.
        Unsupported: it is still active, or the store can't be read or written.
    """
    if run_id in _stored(store, run_id) or store.files.last_put(f"{RAW}/{run_id}") is None:
        return None
    left_out = _left_out(store, run_id).get(run_id)
    with _state(store, run_id) as state:
        if state == "running":
            raise Unsupported(f"Run {run_id} is still active: its report is written at its end.")
        return _collect(store, run_id, _why(left_out))


def run_named(store: Store, text: str) -> str:
    """The id of the run that a text names: by its id, or by its workflow's name if only one run has that.

    Raises:
        BadInput: it can't name a run, or several runs have this name.
    """
    if not is_run_id(text):
        raise BadInput(f"{text!r} can't name a run: `make query QUESTION=runs` lists those that are stored.")
    known = _stored(store) | set(store.files.folders(RAW))
    if text in known:
        return text
    found = sorted(run for run in known if re.fullmatch(re.escape(text) + "-" + _UID, run))
    if len(found) > 1:
        raise BadInput(f"{len(found)} runs have the name {text}: give the id of one, {', '.join(found)}.")
    return found[0] if found else text


def run_of_workflow(store: Store, uid: str) -> tuple[str | None, bool]:
    """The run of the workflow with this uid, if it has begun a visit, and whether the store has its rows."""
    stored = next((run for run in _stored(store) if run.endswith(uid)), None)
    if stored is not None:
        return stored, True
    mine = [run for run in store.files.folders(RAW) if run.endswith(uid)]
    return next(iter(_without_rows(store, mine)), None), False


def _stored(store: Store, run_id: str | None = None) -> set[str]:
    """The runs that have rows. Every file of the named run, if any, is compared with its digest."""
    return {run for runs in store.inventory(run_id=run_id).runs.values() for run in runs["run_id"].to_pylist()}


def _left_out(store: Store, run_id: str | None = None) -> dict[str, LeftOut]:
    """The runs that are left out, by name; read as in `_stored`."""
    return {one.run_id: one for one in store.inventory(run_id=run_id).left_out if one.run_id is not None}


def _why(left_out: LeftOut | None) -> str:
    """Why a run that has ended has no valid rows, as a clause."""
    if left_out is None:
        return "was killed before its rows were collected"
    if left_out.reason == LOST:
        return "has no row in runs/ (it was killed while it was stored, or its file there was deleted)"
    return f"was left out, since {left_out.file} {left_out.reason}"


def _without_rows(store: Store, folders: Iterable[str]) -> list[str]:
    """The runs of these folders that have begun a visit and have no rows."""
    there = [run for run in folders if is_run_id(run)]
    known = _stored(store) if there else set()
    return [run for run in there if run not in known and _has_begun_a_visit(store, run)]


def _has_begun_a_visit(store: Store, run_id: str) -> bool:
    folder = f"{RAW}/{run_id}"
    return any(file.name == documents.RUN for file in store.files.list(folder)) and any(
        name.startswith("visit-") for name in store.files.folders(folder)
    )


def _state(store: Store, run_id: str) -> contextlib.AbstractContextManager[Liveness]:
    if (folder := store.files.folder) is None:
        return contextlib.nullcontext[Liveness]("unknown")
    return liveness.run_state(folder, f"{RAW}/{run_id}")


def _collect(store: Store, run_id: str, why: str) -> CollectedRun:
    folder = f"{RAW}/{run_id}"
    ended_at = store.files.last_put(folder)
    with tempfile.TemporaryDirectory(prefix="dataplane-benchmark-") as here:
        store.files.fetch(folder, Path(here), MOST_BYTES)
        if not (Path(here) / documents.RUN).exists():
            raise Unsupported(f"{store.location(folder)}/{documents.RUN} is missing, which has the run's settings")
        rows = run_rows(Path(here), run_id, collected_at=ended_at)
    store.write(run_id, rows)
    outcomes = [str(row["outcome"]) for row in rows["trials"]]
    counted = [f"{outcomes.count(outcome)} {outcome}" for outcome in sorted(set(outcomes))]
    return CollectedRun(
        run_id,
        f"Run {run_id} {why}; its rows are now made from its raw documents: {', '.join(counted) or 'no trials'}.",
    )
