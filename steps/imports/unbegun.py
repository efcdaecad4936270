"""Tests that failed before they began, so that their files do not say what they were tests of. Pure.

Such a trial counts as the others of its path where these are all of one kind. Else its kind stays unknown.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from steps.imports.content import UNKNOWN_TRAFFIC, ImportedTrial
from steps.imports.rows import ReadFile

_BEGIN: Final = "Some tests failed before they began, and their files do not say of what they were. "
_OF_OTHERS: Final = f"{_BEGIN}They count as tests of the one kind that was measured on their path."
_OF_NO_KIND: Final = f"{_BEGIN}Where their path was measured in several ways, or never, their kind stays unknown."


def with_kinds_of_others(files: Sequence[ReadFile]) -> tuple[list[ReadFile], list[str]]:
    """The files of a run with the kind of each trial as far as it is known; and what the report says of it."""
    kinds: dict[str, dict[tuple[object, ...], ImportedTrial]] = defaultdict(dict)
    for trial, path in _trials(files):
        if trial.traffic is not UNKNOWN_TRAFFIC:
            kinds[path][trial.traffic, trial.direction, trial.streams, trial.offered_bps] = trial
    only = {path: next(iter(found.values())) for path, found in kinds.items() if len(found) == 1}
    unknown = [path for trial, path in _trials(files) if trial.traffic is UNKNOWN_TRAFFIC]
    of_others = sum(path in only for path in unknown)
    return [_resolved(file, only) for file in files], [
        sentence for count, sentence in ((of_others, _OF_OTHERS), (len(unknown) - of_others, _OF_NO_KIND)) if count
    ]


def _trials(files: Iterable[ReadFile]) -> Iterable[tuple[ImportedTrial, str]]:
    return ((t, path.name) for file in files for t, path in zip(file.content.trials, file.paths, strict=True))


def _resolved(file: ReadFile, only: Mapping[str, ImportedTrial]) -> ReadFile:
    trials = tuple(
        _as(trial, only[path]) if trial.traffic is UNKNOWN_TRAFFIC and path in only else trial
        for trial, path in _trials([file])
    )
    return file if trials == file.content.trials else replace(file, content=replace(file.content, trials=trials))


def _as(trial: ImportedTrial, other: ImportedTrial) -> ImportedTrial:
    return replace(
        trial,
        traffic=other.traffic,
        direction=other.direction,
        streams=other.streams,
        offered_bps=other.offered_bps,
    )
