"""What settings must not add up to, though each of them is within its bounds. Pure."""

from typing import Final

from steps.catalogue import tools, topologies
from steps.catalogue.arms import arm_fault
from steps.catalogue.environments import is_lab
from steps.catalogue.option_fields import nearest, shown_option
from steps.catalogue.options import Settings
from steps.domain import MOST_TRIALS

LONGEST_S: Final = 24 * 3600
"""A run that would send for longer than this is taken for a typing error."""

MOST_VISITS: Final = 250
"""Of a run on a cluster with at most six measuring steps: Argo stores all nodes of a workflow in one object of at most
1 MiB."""

_MOST_STEPS: Final = 2750
_OTHER_STEPS: Final = 5
"""What a visit takes there beside its measuring steps, in such steps."""


def most_visits(settings: Settings) -> int:
    """How many visits a workflow can store: fewer, the more measuring steps each of them has."""
    measuring = 1 + len({cell.topology for cell in settings.cells})
    return min(MOST_VISITS, _MOST_STEPS // (_OTHER_STEPS + measuring))


def catalogue_faults(settings: Settings) -> list[str]:
    """The dataplanes and topologies that are not in the catalogues, or not for this environment, each a sentence."""
    arms = (arm_fault(arm, settings.environment) for arm in settings.dataplanes)
    unknown = {cell.topology for cell in settings.cells} - topologies.BY_NAME.keys()
    return [
        *filter(None, arms),
        *place_faults(settings),
        *(f"unknown topology {shown_option(name)}: {nearest(name, topologies.BY_NAME)}" for name in sorted(unknown)),
    ]


def place_faults(settings: Settings) -> list[str]:
    """The tools that do not measure in this environment, each a sentence."""
    lab = is_lab(settings.environment)
    elsewhere = dict.fromkeys(c.variant.name for c in settings.cells if not tools.measures_in(c.program, lab=lab))
    return [
        f"protocol {name} is measured {'on a cluster' if lab else 'in the lab'} only: leave it out"
        for name in elsewhere
    ]


def amount_faults(settings: Settings) -> list[str]:
    """Why these settings can't be measured, or would be too much, each a sentence."""
    block, streams = settings.block_size_bytes or 0, settings.streams
    faults = [
        f"block_size must be at most {most} B where {variant.title} is measured, got {block} B"
        for variant in dict.fromkeys(cell.variant for cell in settings.cells)
        if (most := variant.most_block_bytes) is not None and block > most
    ]
    if settings.offered_bps is not None and settings.offered_bps < streams:
        faults.append(f"rate must be at least 1 bit/s for each of the {streams} streams")
    visits = settings.rounds * len(settings.dataplanes)
    trials = visits * len(settings.cells) * settings.repetitions * len(settings.scales)
    sending_s = trials * (settings.duration_s + settings.omit_s)
    hours = (sending_s if settings.budget_s is None else min(sending_s, settings.budget_s)) / 3600
    remedy = "lower rounds, repetitions or duration, or choose fewer dataplanes, topologies and scales"
    if hours > LONGEST_S / 3600:
        faults.append(f"this would send for {hours:.0f} h, and {LONGEST_S / 3600:.0f} h is the most: {remedy}")
    elif trials > MOST_TRIALS:
        faults.append(f"this would be {trials} trials, and {MOST_TRIALS} is the most: {remedy}")
    if visits > (most := most_visits(settings)) and not is_lab(settings.environment):
        faults.append(
            f"this would be {visits} visits, and {most} is the most that a workflow can store: lower rounds, or choose "
            "fewer dataplanes or topologies"
        )
    return faults
