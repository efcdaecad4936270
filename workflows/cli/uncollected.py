"""Runs that were killed before their rows were collected: found by their raw documents, named, and collected.

In a folder the engine of a run holds a lock for its life, so that a run is known to have ended. In a bucket nobody
knows, so its runs are named, and collected when asked for by name.
"""

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from analysis.console.commands import report_command
from analysis.errors import BadInput, Problem
from analysis.store.integrity.unnamed import LOST
from analysis.store.left_out import LeftOut
from analysis.store.store import Store, is_run_id
from steps import documents as raw
from steps.collect import run_rows as collecting
from workflows.local.execution import liveness
from workflows.local.execution.liveness import State

RAW: Final = "raw"
_UID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True, slots=True)
class CollectedRun:
    """A run whose rows were just made from its raw documents.

    Attributes:
        run_id: the run.
        outcomes: of its trials, such as `12 measured, 4 not-run`.
        why: why it had no rows, as a clause.
    """

    run_id: str
    outcomes: str
    why: str

    @property
    def sentence(self) -> str:
        """What was found and done."""
        return f"Run {self.run_id} {self.why}; its rows are now made from its raw documents: {self.outcomes}."


def collect_all(store: Store, say: Callable[[str], None]) -> list[CollectedRun]:
    """Collect each run that is known to have ended in a visit and has no rows; say what is there of all others.

    Args:
        store: where they are.
        say: called with a sentence for each run that has no rows.

    Raises:
        Unsupported: the store can't be read.
    """
    collected = []
    try:
        there = store.files.folders(RAW)
    except Problem as problem:
        store.files.folders("")  # where nothing can be read that is one fault, and not one of the raw documents
        say(f"Whether a killed run left anything can't be seen: {problem}")
        return []
    # One that is left out because a file of it is damaged has its own sentence, and is collected again only by name.
    # One whose row alone is missing may have been killed while it was stored, so it is collected like any other.
    left_out = _left_out(store) if there else {}
    damaged = {run for run, one in left_out.items() if one.reason != LOST}
    for run_id in _without_rows(store, (run for run in there if run not in damaged)):
        with _state(store, run_id) as state:
            if state == "running":
                say(f"Run {run_id} is still at work; its report comes at its end.")
            elif state == "unknown":
                say(
                    f"Run {run_id} has raw documents and no rows: it may still be at work. If it has ended, "
                    f"`{report_command(store.url, run_id)}` collects it."
                )
            else:
                try:
                    collected.append(_collect(store, run_id, _why(left_out.get(run_id))))
                    say(collected[-1].sentence)
                except Problem as problem:
                    say(f"Run {run_id} was killed before its rows were collected, and they can't be: {problem}")
    return collected


def collect(store: Store, run_id: str) -> CollectedRun | None:
    """Collect a run that was asked for by name, if it has raw documents and no rows that count; None where it has them.

    Raises:
        Problem: it is still at work, or its documents don't say what it was.
        Unsupported: the store can't be read or written.
    """
    if run_id in _stored(store, run_id) or store.files.last_put(f"{RAW}/{run_id}") is None:
        return None
    left_out = _left_out(store, run_id).get(run_id)
    with _state(store, run_id) as state:
        if state == "running":
            raise Problem(f"Run {run_id} is still at work: its report comes at its end.")
        return _collect(store, run_id, _why(left_out))


def run_named(store: Store, text: str) -> str:
    """The id of the run that a person means: the id itself, or the workflow's name where one run alone has it.

    Raises:
        BadInput: it can name no run, or several have this name.
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
    """The run that the workflow of this uid put documents of a visit into, and whether the store has its rows."""
    stored = next((run for run in _stored(store) if run.endswith(uid)), None)
    if stored is not None:
        return stored, True
    mine = [run for run in store.files.folders(RAW) if run.endswith(uid)]
    return next(iter(_without_rows(store, mine)), None), False


def _stored(store: Store, run_id: str | None = None) -> set[str]:
    """The runs that have rows. Of the one that is named, if any, every file is compared with its digest."""
    return {run for runs in store.inventory(run_id=run_id).runs.values() for run in runs["run_id"].to_pylist()}


def _left_out(store: Store, run_id: str | None = None) -> dict[str, LeftOut]:
    """The runs that are there and don't count, by name; looked at as in `_stored`."""
    return {one.run_id: one for one in store.inventory(run_id=run_id).left_out if one.run_id is not None}


def _why(left_out: LeftOut | None) -> str:
    """Why a run that has ended has no rows, as a clause."""
    if left_out is None:
        return "was killed before its rows were collected"
    if left_out.reason == LOST:
        return "has no row in runs/ (it was killed while it was stored, or its file there was deleted)"
    return f"was left out, since {left_out.file} {left_out.reason}"


def _without_rows(store: Store, folders: Iterable[str]) -> list[str]:
    """The runs of these folders that came to a visit, by their documents, and that the store has no rows of."""
    there = [run for run in folders if is_run_id(run)]
    known = _stored(store) if there else set()
    return [run for run in there if run not in known and _came_to_a_visit(store, run)]


def _came_to_a_visit(store: Store, run_id: str) -> bool:
    folder = f"{RAW}/{run_id}"
    return any(file.name == raw.RUN for file in store.files.list(folder)) and any(
        name.startswith("visit-") for name in store.files.folders(folder)
    )


@contextlib.contextmanager
def _state(store: Store, run_id: str) -> Iterator[State]:
    if not store.files.local:
        yield "unknown"
        return
    with liveness.run_state(Path(store.files.path(f"{RAW}/{run_id}"))) as state:
        yield state


def _collect(store: Store, run_id: str, why: str) -> CollectedRun:
    folder = f"{RAW}/{run_id}"
    ended_at = store.files.last_put(folder)
    with tempfile.TemporaryDirectory(prefix="dataplane-benchmark-") as here:
        documents = Path(here)
        store.files.fetch(folder, documents)
        if not (documents / raw.RUN).exists():
            raise Problem(f"{store.location(folder)}/{raw.RUN} is missing, so nothing says what this run was")
        rows = collecting.run_rows(documents, run_id, collected_at=ended_at)
    store.write(run_id, rows)
    outcomes = [str(row["outcome"]) for row in rows["trials"]]
    counted = [f"{outcomes.count(outcome)} {outcome}" for outcome in sorted(set(outcomes))]
    return CollectedRun(run_id, ", ".join(counted) or "no trials", why)
