"""The state of the lab, for verbs that each run in a process of their own. Written last: half a lab has no state."""

from pathlib import Path
from typing import Final

from analysis.store.storage import atomic
from steps.catalogue.factors import Scale
from steps.catalogue.options import Settings
from steps.cluster.lab.evidence.installed import Installed
from steps.domain import Visit
from steps.strict_model import StrictModel

FILE: Final = Path("/run/lab/state.json")


class LabState(StrictModel):
    """The visit that the lab was built for, without its trials, the options that it was built with, and its scale.

    `scale`: None while it changes, or where a change failed. `bare_kernel_bytes`: what the kernel held before the
    dataplane was installed; None: not read, or unknown. `installed`: what each node then had; None: not read.
    """

    visit: Visit
    offloads: bool
    scale: Scale | None
    bare_kernel_bytes: int | None = None
    installed: Installed | None = None


def first_scale(visit: Visit, settings: Settings) -> Scale:
    """The scale with which a visit begins."""
    return visit.trials[0].scale if visit.trials else settings.scales[0]


def wanted_state(visit: Visit, settings: Settings) -> LabState:
    """The state that a visit needs to begin with."""
    without_trials = visit.model_copy(update={"trials": ()})
    return LabState(visit=without_trials, offloads=settings.offloads, scale=first_scale(visit, settings))


def is_built_for(visit: Visit, settings: Settings) -> bool:
    """Whether the lab is what this visit needs to begin with."""
    known = read_state()
    found = {"bare_kernel_bytes": None, "installed": None}
    return known is not None and known.model_copy(update=found) == wanted_state(visit, settings)


def read_state() -> LabState | None:
    """The state of the lab; None if there is none, or only half of one."""
    try:
        return LabState.model_validate_json(FILE.read_bytes())
    except (OSError, ValueError):
        return None


def write_state(state: LabState) -> None:
    """Record that the lab is complete."""
    atomic.write(FILE, state.model_dump_json().encode())


def clear_state() -> None:
    """Record that the lab is not, or no longer, complete."""
    FILE.unlink(missing_ok=True)
