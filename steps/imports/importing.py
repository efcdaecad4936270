"""From files of other tools to the rows of imported runs. Each bad file costs itself alone, and is named."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from analysis.errors import Problem
from steps.imports.content import Content
from steps.imports.places import ImportPlace, Places
from steps.imports.readers import formats
from steps.imports.repeats import Repeats
from steps.imports.rows import MOST_SAMPLES, MOST_TRIALS, ReadFile, RowsByTable, run_rows
from steps.imports.sides import ImportedNames
from steps.imports.sources import SourceFile
from steps.imports.unbegun import with_kinds_of_others
from steps.imports.values import slug
from steps.tools.failure import Failure

_DIGEST: Final = 6


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of an import.

    Attributes:
        runs: the rows of each run.
        faults: what could not be used, and why, each a sentence that begins with the file's name.
        left_out: how many the pattern leaves out.
    """

    runs: tuple[RowsByTable, ...]
    faults: tuple[str, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class _Read:
    """A file that was read: what is known of it before those of all are named. `paths`: the topology of each trial."""

    name: str
    digest: str
    place: ImportPlace
    content: Content
    paths: tuple[str, ...]

    def named(self, sides: ImportedNames) -> ReadFile:
        """The file with its dataplane and topologies as they are stored."""
        paths = tuple(map(sides.topology, self.paths))
        return ReadFile(self.name, self.digest, self.place, self.content, sides.dataplane(self.place.dataplane), paths)


def import_files(name: str, sources: Iterable[SourceFile], places: Places, *, label: str = "") -> Imported:
    """The runs of these files; `name`: of their environment, without `imported:`."""
    found: dict[str, list[_Read]] = defaultdict(list)
    faults: dict[str, list[str]] = defaultdict(list)
    repeats = Repeats()
    left_out = trials = samples = 0
    for source in sources:
        place = places.place(source.name)
        if place is None:
            left_out += 1
            continue
        run = _run_name(place.run)
        read, why = _read(source, place, repeats)
        faults[run] += [f"{source.name}: {reason}" for reason in why]
        if read is None:
            continue
        trials += len(read.content.trials)
        samples += sum(len(trial.samples) for trial in read.content.trials)
        if trials > MOST_TRIALS or samples > MOST_SAMPLES:
            most = f"{MOST_TRIALS:,} trials or {MOST_SAMPLES:,} samples"
            faults[run].append(f"{source.name}: it and the files after it are left out: an import has at most {most}")
            break
        found[run].append(read)
    # over all runs, so that what is called alike in two has one name
    every = [file for files in found.values() for file in files]
    dataplanes = (file.place.dataplane for file in every)
    sides = ImportedNames.of(places.mapping, dataplanes, (path for file in every for path in file.paths))
    runs = []
    for run, files in found.items():
        known, notes = with_kinds_of_others([file.named(sides) for file in files])
        runs.append(
            run_rows(name, run, known, faults[run], label=label, order=sides.order, notes=[*notes, *sides.doubts])
        )
    named = tuple(fault for each in faults.values() for fault in each)
    return Imported(tuple(runs), named, left_out)


def _read(source: SourceFile, place: ImportPlace, repeats: Repeats) -> tuple[_Read | None, Sequence[str]]:
    """A file's measurements, and why it or parts of it can't be used. `repeats`: what earlier files have."""
    try:
        data = source.read()
    except Problem as problem:
        return None, [str(problem)]
    content = formats.read(data)
    if isinstance(content, Failure):
        return None, [content.reason]
    if not place.dataplane:
        return None, ["nothing names its dataplane: give {dataplane} in the pattern, the mapping, or DATAPLANE for all"]
    digest = hashlib.sha256(data).hexdigest()
    content, twice = repeats.without_known(digest, content)
    if not content.trials:
        return None, twice
    paths = tuple(trial.topology or place.topology for trial in content.trials)
    if not all(paths):
        return None, ["nothing names its topology: give {topology} in the pattern, the mapping, or TOPOLOGY for all"]
    repeats.add(source.name, digest, content)
    return _Read(source.name, digest, place, content, paths), [*content.faults, *twice]


def _run_name(text: str) -> str:
    """A run's name as a part of its id: with a digest where letters of it had to be replaced."""
    name = slug(text)
    if name == text:
        return name
    return f"{name}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:_DIGEST]}".lstrip("-")
