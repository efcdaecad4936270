"""The order in which the measuring steps of a visit take turns, and for how long each may have one. Pure.

    reference  trial 1  trial 2  reference  scale  trial 3  trial 4  reference

Each trial has a reference of the host network beside it in time, which it shares with its neighbour; in the lab, whose
trials are as short as a reference, more trials share one.
"""

from itertools import pairwise
from typing import Final

from steps.catalogue.environments import is_lab
from steps.domain import Trial, Visit
from steps.tools.iperf3 import iperf3

HOST_NETWORK: Final = "host-network"
"""The measuring step of the references."""

SCALE: Final = "scale"
"""The step that changes the scale, and measures what takes changes of the cluster."""

SETTLE: Final = "settle"
CLEAR: Final = "clear"
"""The steps that take part without measuring: the proof before the first trial, and the one after the last."""

TRIALS_BETWEEN: Final = 2
LAB_TRIALS_BETWEEN: Final = 5
"""Between two references at most. A reference takes a second, like a trial in the lab."""

PATIENCE_S: Final = 300.0
LAB_PATIENCE_S: Final = 30.0
"""How long the steps of a visit wait for those that have not started, longer than a proof may take, and the longest
turn in addition; and for the first word of the turns, while the dataplane is not proven."""

_LEASE_S: Final = 60.0
"""Beyond the sending itself: a quiet machine, a busy server, counters that do not answer, a program that is killed."""

_ATTEMPTS: Final = 3

_LAB_SCALE_S: Final = 300.0
_SCALE_S: Final = 1800.0
"""From no Service to the largest scale, and counted: a cluster's controllers write some 20 Services a second."""


def steps(visit: Visit) -> tuple[str, ...]:
    """The measuring steps of a visit: those of the loop over its placements."""
    return (HOST_NETWORK, *dict.fromkeys(trial.topology for trial in visit.trials if not trial.program.by_scale))


def step_of(trial: Trial) -> str:
    """The measuring step of a trial, and the folder of its document."""
    return SCALE if trial.program.by_scale else trial.topology


def changed_positions(visit: Visit) -> frozenset[int]:
    """The positions of the trials before which the step changes the scale.

    That of the first trial is prepared, so that the step changes it only if it is to churn.
    """
    first = {trial.position for trial in visit.trials[:1] if trial.scale.churn_per_s}
    others = {later.position for earlier, later in pairwise(visit.trials) if later.scale != earlier.scale}
    return frozenset(first | others)


def has_scale_step(visit: Visit) -> bool:
    """Whether the visit needs the step that changes the scale."""
    return bool(changed_positions(visit)) or any(trial.program.by_scale for trial in visit.trials)


def all_steps(visit: Visit) -> tuple[str, ...]:
    """All that take part in the visit's turns."""
    return (SETTLE, *steps(visit), *((SCALE,) if has_scale_step(visit) else ()), CLEAR)


def scale_number(position: int) -> int:
    """The number of the turn of the change of the scale before the trial at this position, and its reference."""
    return 3 * position - 2


def reference_number(position: int) -> int:
    """The number of the turn of the reference before the trial at this position."""
    return 3 * position - 1


def trial_number(position: int) -> int:
    """The number of the turn of the trial at this position of its visit."""
    return 3 * position


def reference_positions(trials: int, environment: str) -> tuple[int, ...]:
    """The positions of the trials that have a reference before them, and one more for the reference after the last."""
    most = LAB_TRIALS_BETWEEN if is_lab(environment) else TRIALS_BETWEEN
    groups = max(1, -(-trials // most))
    return tuple(1 + trials * group // groups for group in range(groups + 1))


def lease_s(lasts_s: float) -> float:
    """The longest turn of a measurement of so many seconds, disturbed attempts included."""
    return _ATTEMPTS * lasts_s + _LEASE_S


def scale_lease_s(environment: str) -> float:
    """The longest turn of a change of the scale, with the count that proves it."""
    return _LAB_SCALE_S if is_lab(environment) else _SCALE_S


def patience_s(visit: Visit, omit_s: int, environment: str) -> float:
    """How long steps that have not started are waited for: longer than any turn, so that none is interrupted."""
    longest = max((lease_s(trial.program.lasts_s(trial.duration_s, omit_s)) for trial in visit.trials), default=0.0)
    change_s = scale_lease_s(environment) if has_scale_step(visit) else 0.0
    return unproven_s(environment) + max(longest, change_s)


def unproven_s(environment: str) -> float:
    """How long the server of turns may be silent before the first turn: a switch may keep the network down so long."""
    return LAB_PATIENCE_S if is_lab(environment) else PATIENCE_S


def longest_s(visit: Visit, omit_s: int, idle_s: float, environment: str) -> float:
    """More than all turns of a visit take together, with the wait for steps that do not start."""
    trials = sum(lease_s(trial.program.lasts_s(trial.duration_s, omit_s)) for trial in visit.trials)
    references = len(reference_positions(len(visit.trials), environment)) * lease_s(iperf3.CANARY_S)
    own = sum(trial.program.by_scale for trial in visit.trials)
    changes = (len(changed_positions(visit)) + own) * scale_lease_s(environment)
    return patience_s(visit, omit_s, environment) + trials + references + changes + idle_s
