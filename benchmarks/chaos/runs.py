"""Which run a point strikes: the shortest that comes to it, or a whole one of several rounds. Pure."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.chaos.points import Point
from workflows.flags.run import SubmitFlags

SCALED: Final = "scale"
"""The step that only runs have which change the cluster's scale within a visit."""

_SCALES: Final = "0,20"
"""Numbers of unused Services for such a run: few, since the step is struck and not its size."""


@dataclass(frozen=True, slots=True)
class MatrixSettings:
    """What all runs of a matrix have in common.

    Attributes:
        dataplanes: of which a run visits some, or all.
        topologies: that each visit measures, as typed; the profile's if empty.
        rounds: of every run, each with all dataplanes; 0: one round, with no visit more than the point needs.
    """

    dataplanes: tuple[str, ...]
    topologies: str = ""
    rounds: int = 0

    @property
    def visits(self) -> int:
        """In how many visits points may lie."""
        return len(self.dataplanes) * max(1, self.rounds)


def whole_run(shape: MatrixSettings) -> SubmitFlags:
    """The longest run that a point may need."""
    return _flags(shape, shape.dataplanes, services="", seed="")


def run_of(points: Sequence[Point], shape: MatrixSettings, seed: int) -> SubmitFlags:
    """The run of a point, or of several; the same for the same seed.

    A point outside of visits needs one visit, since the cluster is switched from the first on; one in a later visit
    needs those before it, which are in other dataplanes.
    """
    names = " ".join(point.name for point in points)
    own = random.Random(f"{seed} run of {names}")  # noqa: S311 - a choice, not a secret
    chosen: Sequence[str] = shape.dataplanes
    if not shape.rounds:
        chosen = own.sample(shape.dataplanes, max(point.visit or 1 for point in points))
    services = _SCALES if any(point.step == SCALED for point in points) else ""
    return _flags(shape, chosen, services=services, seed=str(own.randrange(2**32)))


def _flags(shape: MatrixSettings, dataplanes: Sequence[str], *, services: str, seed: str) -> SubmitFlags:
    return SubmitFlags(
        profile="smoke",
        dataplanes=",".join(dataplanes),
        topologies=shape.topologies,
        duration="1",
        rounds=str(max(1, shape.rounds)),
        services=services,
        seed=seed,
        label="chaos",
    )
