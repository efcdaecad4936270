"""The runs that a text names: one by name or place in time, or all of a label. Selection is pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import duckdb

from analysis import formatting
from analysis.errors import BadInput
from analysis.stats import run
from analysis.stats.run import StoredRun
from analysis.stats.verdicts.run_judgement import continued_runs

GRAMMAR: Final = (
    "a run's name or its beginning, latest, latest~1, ENVIRONMENT:latest, label=WORD or ENVIRONMENT:label=WORD; "
    "several with commas between"
)

_LATEST: Final = re.compile(r"(?:(?P<environment>.+):)?latest(?:~(?P<back>\d{1,6}))?", re.DOTALL)
_LABELLED: Final = re.compile(r"(?:(?P<environment>.+):)?label=(?P<label>.+)", re.DOTALL)
_SHOWN: Final = 4
_LONGEST: Final = 300


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run of the store, as far as it can be named by."""

    run_id: str
    environment: str
    began_at: datetime | None
    label: str


@dataclass(frozen=True, slots=True)
class RunGroup:
    """One side of a comparison of runs: the text that named them, and these, the earliest first.

    `pieces`: of each run the ids of itself and of those whose rounds it continues.
    """

    asked: str
    runs: tuple[StoredRun, ...]
    pieces: tuple[tuple[str, ...], ...]

    @property
    def environment(self) -> str:
        """Where all of them were measured."""
        return self.runs[0].environment

    @property
    def run_ids(self) -> tuple[str, ...]:
        """All runs whose rows count, those that are continued included."""
        return tuple(piece for pieces in self.pieces for piece in pieces)

    @property
    def name(self) -> str:
        """What the side is called: the run's id, or the text that named several."""
        return self.runs[0].run_id if len(self.runs) == 1 else self.asked


def list_runs(con: duckdb.DuckDBPyConnection) -> list[ListedRun]:
    """The runs of a store, the latest first."""
    rows = run.query_rows(
        con,
        """select run_id, coalesce(environment, '') as environment, started_at as began_at,
                  coalesce(parameters ->> '$.label', '') as label
           from runs order by started_at desc nulls last, run_id desc""",
    )
    return [ListedRun(**row) for row in rows]


def select(text: str, listed: Sequence[ListedRun]) -> tuple[str, ...]:
    """The ids of the runs that a text names as `GRAMMAR` says, the earliest first; `listed`: all, the latest first.

    Raises:
        BadInput: it names no run, or cannot say which one.
    """
    text = text.strip()
    if not listed:
        raise BadInput("the store has no run yet: measure one with `make run`")
    if not text or len(text) > _LONGEST:
        raise BadInput(f"name the runs to compare: {GRAMMAR}")
    whole = _LABELLED.fullmatch(text)
    parts = [text] if whole and any(one.label == whole["label"] for one in listed) else text.split(",")
    found = {run_id for part in parts for run_id in _select_part(part.strip(), listed)}
    return tuple(one.run_id for one in reversed(listed) if one.run_id in found)


def _select_part(text: str, listed: Sequence[ListedRun]) -> list[str]:
    by_name = [one.run_id for one in listed if one.run_id == text]
    if by_name:
        return by_name
    if latest := _LATEST.fullmatch(text):
        return [_latest(text, latest["environment"], int(latest["back"] or 0), listed)]
    if labelled := _LABELLED.fullmatch(text):
        return _labelled(labelled["label"], labelled["environment"], listed)
    begun = [one.run_id for one in listed if text and one.run_id.startswith(text)]
    if len(begun) > 1:
        raise BadInput(
            f"{len(begun)} runs begin with {text!r}: {_some(begun)}; give more letters of one, or label={text} if that "
            "is a label"
        )
    if not begun:
        known = _some([one.run_id for one in listed])
        raise BadInput(f"no run is called {text[:80]!r}; a side is {GRAMMAR}; the latest are {known}")
    return begun


def _latest(text: str, environment: str | None, back: int, listed: Sequence[ListedRun]) -> str:
    own = _of(environment, listed)
    if back >= len(own):
        where = f" of {environment}" if environment else ""
        raise BadInput(f"{text} goes back further than the {formatting.count(len(own), 'run')}{where} in the store")
    return own[back].run_id


def _labelled(label: str, environment: str | None, listed: Sequence[ListedRun]) -> list[str]:
    own = [one for one in _of(environment, listed) if one.label == label]
    places = sorted({one.environment for one in own})
    if not own:
        known = [*dict.fromkeys(one.label for one in listed if one.label)]
        hint = f"the labels are {_some(known)}" if known else "no run has one"
        raise BadInput(f"no run has the label {label[:80]!r}; {hint}")
    if len(places) > 1:
        raise BadInput(
            f"runs with the label {label!r} are of {formatting.listing(places)}: write {places[0]}:label={label} for "
            "those of one"
        )
    return [one.run_id for one in own]


def _of(environment: str | None, listed: Sequence[ListedRun]) -> list[ListedRun]:
    own = [one for one in listed if environment in {None, one.environment}]
    if not own:
        known = [*dict.fromkeys(one.environment for one in listed)]
        raise BadInput(f"no run is of the environment {str(environment)[:80]!r}; there are {_some(known)}")
    return own


def _some(names: Sequence[str]) -> str:
    shown = [name or "(unnamed)" for name in names[:_SHOWN]]
    more = len(names) - _SHOWN
    return ", ".join([*shown, f"{more} more"] if more > 0 else shown)


def load_group(con: duckdb.DuckDBPyConnection, asked: str, run_ids: Sequence[str]) -> RunGroup:
    """Read the runs of a side, which must be of one environment; a run that another one continues is a part of that.

    Raises:
        BadInput: they are of several environments.
        Unsupported: the store has left one out.
    """
    loaded = [run.load_run(con, run_id) for run_id in run_ids]
    pieces = {one.run_id: (one.run_id, *continued_runs(con, one.parameters)) for one in loaded}
    continued = {piece for own in pieces.values() for piece in own[1:]}
    whole = [one for one in loaded if one.run_id not in continued]
    places = sorted({one.environment for one in whole})
    if len(places) > 1:
        raise BadInput(
            f"the runs of {asked!r} are of {formatting.listing(places)}: figures of two environments are never mixed; "
            "name runs of one"
        )
    return RunGroup(asked, tuple(whole), tuple(pieces[one.run_id] for one in whole))
