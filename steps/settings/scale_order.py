"""The order in which a repetition goes through the scales of a run, and how long the changes take. Pure."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Final

from steps.catalogue.environments import is_lab
from steps.catalogue.factors import Scale

_COUNT_S: Final = 4.5
"""What nodes take to follow a change on a cluster, and to be counted: 3.7 to 5.4 s below 5,000 Services, 9 s there."""

_FIRST_S: Final = 10.0
"""What counting the first scale of a visit adds to it on a cluster, with the pods of which one is answered last."""


def ordered(scales: Sequence[Scale], environment: str, random: Random, present: Scale | None) -> list[Scale]:
    """The scales of a repetition in their order.

    In the lab, where a change takes a second or two, it is random, except that the present scale is first. On a
    cluster, where 5,000 Services take more than a minute, repetitions go up and down in turn, so that each writes
    the difference between the least and the most once; which way the first one goes is random. What drifts steadily is
    opposite in two repetitions that follow each other. `present`: the scale that the cluster has, where the repetition
    before ended; None: this is the first one.
    """
    shuffled = list(scales)
    random.shuffle(shuffled)
    if is_lab(environment):
        return sorted(shuffled, key=lambda scale: scale != present)  # stable
    found = _ascending(scales)
    is_down = found.index(shuffled[0]) > found.index(shuffled[-1]) if present is None else present == found[-1]
    return found[::-1] if is_down else found


def changes_s(scales: Sequence[Scale], environment: str) -> float:
    """Seconds that the changes of the scale within a repetition take together, and their counts on the nodes."""
    if len(scales) == 1:
        return 0.0
    if is_lab(environment):
        return sum(scale.change_s(None, is_lab=True) for scale in scales)
    changes = pairwise(_ascending(scales))
    return _FIRST_S + sum(_COUNT_S + later.change_s(earlier, is_lab=False) for earlier, later in changes)


def outside_s(scales: Sequence[Scale], environment: str) -> float:
    """Seconds for the first scale before all visits and the removal of the last one after them, in the mean of runs.

    On a cluster the largest scale is made before the first visit, or removed after the last, in one of two runs each.
    """
    if len(scales) == 1:
        return 0.0
    lab = is_lab(environment)
    made_s = [scale.change_s(None, is_lab=lab) for scale in scales]
    return sum(made_s) / len(made_s) if lab else max(made_s)


def _ascending(scales: Sequence[Scale]) -> list[Scale]:
    """By the first factor, and by the next where that is equal."""
    return sorted(scales, key=lambda scale: tuple(scale.columns.values()))
