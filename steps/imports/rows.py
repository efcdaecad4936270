"""The rows of an imported run. Pure.

What files do not say stays null: proof, evidence, the order of trials, and the round of a visit that nobody named.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic_core import to_json

from analysis.domain import IMPORTED, OKABE_ITO
from steps.catalogue import dataplanes, topologies
from steps.imports.content import Content, ImportedTrial, Traffic
from steps.imports.places import ImportPlace, natural
from steps.imports.sides import ImportedName
from steps.imports.unknown import unknown_sentences

Row = dict[str, object]
RowsByTable = dict[str, list[Row]]

MOST_TRIALS: Final = 20_000
MOST_SAMPLES: Final = 5_000_000
MOST_FAULTS: Final = 200
_MOST_VALUES: Final = 8
_DIGEST: Final = 12
_NUMBER: Final = re.compile("[1-9][0-9]{0,8}")
_LAST: Final = datetime.max.replace(tzinfo=UTC)
"""Sorts a trial without a time behind those with one."""


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file whose measurements were read. `digest`: of its bytes; `paths`: the topology of each of its trials."""

    name: str
    digest: str
    place: ImportPlace
    content: Content
    dataplane: ImportedName
    paths: tuple[ImportedName, ...]


@dataclass(frozen=True, slots=True)
class _Trial:
    file: ReadFile
    topology: ImportedName
    measured: ImportedTrial


@dataclass(frozen=True, slots=True)
class _Visit:
    dataplane: ImportedName
    name: str
    trials: tuple[_Trial, ...]


def environment_of(name: str) -> str:
    """The environment of imported runs of this name."""
    return f"{IMPORTED}:{name}"


def run_rows(
    name: str,
    run: str,
    files: Sequence[ReadFile],
    faults: Sequence[str],
    *,
    label: str,
    order: Sequence[str],
    notes: Sequence[str] = (),
) -> RowsByTable:
    """The rows of a run.

    Args:
        name: of its environment, without `imported:`.
        run: its own; empty: it is the only one.
        files: what was read, in their order.
        faults: why other files, or parts of these, could not be used, as sentences.
        label: of the run.
        order: the names of dataplanes that stand first, the baseline before all others.
        notes: more that is unknown, as sentences.
    """
    run_id = f"{IMPORTED}_{name}_{run or 'all'}"
    sides = _sides(files, order)
    visits = _visits(files, sides)
    rounds = _rounds(visits)
    ordered = sorted(visits, key=lambda visit: (rounds.get(visit.name, 10**9), list(sides).index(visit.dataplane.name)))
    tables: RowsByTable = {"runs": [], "visits": [], "trials": [], "samples": []}
    for number, visit in enumerate(ordered, 1):
        tables["visits"].append({"run_id": run_id, **_visit_row(number, visit, rounds.get(visit.name))})
        for row, samples in _trial_rows(number, visit, len(tables["trials"])):
            tables["trials"].append({"run_id": run_id, **row})
            tables["samples"] += [{"run_id": run_id, "trial": row["trial"], **sample} for sample in samples]
    facts: Row = {
        "tools": sorted({file.content.tool for file in files}),
        "files": len(files),
        "faults": _shortened(faults),
        "unknown": [*unknown_sentences(tables, {file.content.tool for file in files}), *notes],
        "digests": " ".join(sorted(file.digest[:_DIGEST] for file in files)),
    }
    tables["runs"].append({"run_id": run_id, **_run_row(name, files, tables, sides, facts, label)})
    facts["rows"] = hashlib.sha256(to_json(tables)).hexdigest()
    return tables


def _shortened(faults: Sequence[str]) -> list[str]:
    more = len(faults) - MOST_FAULTS
    return [*faults[:MOST_FAULTS], *([f"{more} more"] if more > 0 else [])]


def digests_of(facts: Mapping[str, object]) -> frozenset[str]:
    """The digests of the files that an imported run has, from what it recorded."""
    return frozenset(str(facts.get("digests", "")).split())


def _sides(files: Iterable[ReadFile], order: Sequence[str]) -> dict[str, ImportedName]:
    """The dataplanes by name: those of `order`, those of the catalogue in its order, then the others."""
    found = {file.dataplane.name: file.dataplane for file in files}
    catalogue = list(dataplanes.BY_NAME)
    first = [*order, *(name for name in catalogue if name not in order)]
    names = sorted(found, key=lambda name: (first.index(name) if name in first else len(first), natural(name)))
    return {name: found[name] for name in names}


def _visits(files: Iterable[ReadFile], sides: Mapping[str, ImportedName]) -> list[_Visit]:
    found: dict[tuple[str, str], list[_Trial]] = defaultdict(list)
    for file in files:
        for measured, topology in zip(file.content.trials, file.paths, strict=True):
            found[file.dataplane.name, file.place.visit].append(_Trial(file, topology, measured))
    return [_Visit(sides[name], visit, tuple(trials)) for (name, visit), trials in found.items()]


def _rounds(visits: Iterable[_Visit]) -> dict[str, int]:
    """The round of each visit that has a name: its number where all are numbers, else the place of its name."""
    names = sorted({visit.name for visit in visits if visit.name}, key=natural)
    numbers = {int(name) for name in names if _NUMBER.fullmatch(name)}
    if len(numbers) == len(names):
        return {name: int(name) for name in names}
    return {name: place for place, name in enumerate(names, 1)}


def _visit_row(number: int, visit: _Visit, round_: int | None) -> Row:
    files = {trial.file.name: trial.file for trial in visit.trials}
    idle = [node for file in files.values() for node in file.content.idle]
    return {
        "visit": number,
        "round": round_,
        "dataplane_requested": visit.dataplane.name,
        "started_at": min(filter(None, map(_began, visit.trials)), default=None),
        "idle_nodes": idle or None,
    }


def _began(trial: _Trial) -> datetime | None:
    return trial.measured.started_at or trial.file.content.at


def _trial_rows(visit: int, found: _Visit, before: int) -> Iterable[tuple[Row, Sequence[Mapping[str, object]]]]:
    """The trials of a visit with their samples, in the order of their times where those of all that ran are known."""
    untimed = [trial.measured for trial in found.trials if trial.measured.started_at is None]
    in_order = all(measured.error is not None for measured in untimed)
    trials = sorted(found.trials, key=lambda one: one.measured.started_at or _LAST) if in_order else found.trials
    counted: Counter[tuple[str | None, ...]] = Counter()
    for position, trial in enumerate(trials, 1):
        measured, traffic = trial.measured, trial.measured.traffic
        cell = (trial.topology.name, traffic.tool, traffic.transport or None, measured.direction)
        counted[cell] += 1
        single = len(trial.file.content.trials) == 1
        yield (
            {
                **measured.columns,
                "visit": visit,
                "trial": before + position,
                "position": None if untimed else position,
                **dict(zip(("topology", "tool", "transport", "direction"), cell, strict=True)),
                "streams": measured.streams,
                "offered_bps": measured.offered_bps,
                "repetition": trial.file.place.repetition if single and trial.file.place.repetition else counted[cell],
                "started_at": measured.started_at,
                "duration_s": measured.duration_s,
                "outcome": "failed" if measured.error is not None else "measured",
                "error": measured.error,
                "nodes": list(measured.nodes) or None,
                "flags": sorted(set(measured.flags)),
                "imported_from": trial.file.name,
            },
            measured.samples if measured.error is None else (),
        )


def _run_row(
    name: str, files: Sequence[ReadFile], tables: RowsByTable, sides: Mapping[str, ImportedName], facts: Row, label: str
) -> Row:
    trials = [measured for file in files for measured in file.content.trials]
    began = [t.started_at for t in trials if t.started_at is not None]
    began += [file.content.at for file in files if file.content.at is not None]
    ended = [t.started_at + timedelta(seconds=t.duration_s) for t in trials if t.started_at and t.duration_s]
    paths = {path.name: path for file in files for path in file.paths}
    return {
        "started_at": min(began, default=None),
        "finished_at": max([*began, *ended], default=None),
        "environment": environment_of(name),
        "trigger": IMPORTED,
        "parameters": {
            "environment": environment_of(name),
            "label": label,
            "dataplanes": _shown(sides),
            "tools": _tools(trials),
            "topologies": _topologies(paths),
            "cells": _cells(tables["trials"]),
            IMPORTED: facts,
        },
        "provenance": _provenance(files),
    }


def _shown(sides: Mapping[str, ImportedName]) -> list[Row]:
    """The dataplanes with a colour each: their own, else one that no other has."""
    taken = {side.colour for side in sides.values()}
    free = [colour for colour in OKABE_ITO if colour not in taken]
    shown: list[Row] = []
    for side in sides.values():
        known = dataplanes.BY_NAME.get(side.name)
        colour = side.colour or (free.pop(0) if free else OKABE_ITO[len(shown) % len(OKABE_ITO)])
        bpf = {} if known is None else {"bpf": known.bpf}
        shown.append({"name": side.name, "title": side.title, "colour": colour, **bpf})
    return shown


def _tools(trials: Iterable[ImportedTrial]) -> list[Row]:
    found: dict[tuple[str, str], Traffic] = {}
    for trial in trials:
        found.setdefault((trial.traffic.tool, trial.traffic.transport), trial.traffic)
    return [
        {
            "name": traffic.name,
            "title": traffic.title,
            "tool": traffic.tool,
            "transport": traffic.transport,
            "figures": list(traffic.figures),
        }
        for _, traffic in sorted(found.items())
    ]


def _topologies(paths: Mapping[str, ImportedName]) -> list[Row]:
    return [
        {"name": side.name, "title": side.title, "host_network": bool(side.host_network)}
        for side in sorted(paths.values(), key=lambda side: _path_order(side.name))
    ]


def _path_order(name: str) -> tuple[int, tuple[object, ...]]:
    known = list(topologies.BY_NAME)
    return (known.index(name) if name in known else len(known), natural(name))


def _cells(trials: Iterable[Row]) -> list[Row]:
    columns = ("topology", "tool", "transport", "direction")
    found = {tuple(str(row[column]) for column in columns) for row in trials if row["transport"] is not None}
    ordered = sorted(found, key=lambda cell: (_path_order(cell[0]), cell[1:]))
    return [dict(zip(columns, cell, strict=True)) for cell in ordered]


def _provenance(files: Iterable[ReadFile]) -> Row:
    """What the files say of machines and versions: one value, or the different ones."""
    found: dict[str, dict[str, None]] = {}
    for file in files:
        for name, value in file.content.provenance.items():
            found.setdefault(name, {})[value] = None
    shown: Row = {}
    for name, values in found.items():
        listed = sorted(values, key=natural)
        more = f" and {len(listed) - _MOST_VALUES} others" if len(listed) > _MOST_VALUES else ""
        shown[name] = f"{', '.join(listed[:_MOST_VALUES])}{more}"
    return shown
