"""What switching costs where the Tigera operator installed Calico, said before a run. Pure."""

from typing import Final

from steps.catalogue.dataplanes import BY_NAME, Arm
from steps.catalogue.options import Settings
from steps.settings.schedule import planned_time

_FOR_NODES: Final = "22 to 56 s more at each switch for each further node"


def sentence(settings: Settings) -> str | None:
    """How long the run takes there, and what its switches cost others; None: it switches nothing."""
    if (cost := _cost(settings)) is None:
        return None
    return (
        "The Tigera operator installed Calico here, and at each switch it replaces calico-node on every node, one "
        f"after another: that {cost}. So the run takes {_time(settings)}; {_FOR_NODES}."
    )


def sentence_of_plan(settings: Settings) -> str | None:
    """The same for a plan, which knows no cluster."""
    if (cost := _cost(settings)) is None:
        return None
    return (
        "Where the Tigera operator installed Calico, it replaces calico-node on every node at each switch, which "
        f"{cost}: {_time(settings)}, {_FOR_NODES}."
    )


def _cost(settings: Settings) -> str | None:
    """What a switch was seen to cost there, the cluster's other users too, as a clause; None: nothing is switched."""
    switched = {name for name in (Arm.parse(arm).name for arm in settings.dataplanes) if BY_NAME[name].is_switched}
    if not switched:
        return None
    others = ""
    if any(BY_NAME[name].bpf for name in switched):
        others = ", and each switch to eBPF or from it broke 4 of 6 long-lived connections of other pods and nodes"
    return f"took 45 to 112 s with two nodes{others}"


def _time(settings: Settings) -> str:
    return planned_time(settings, by_operator=True).sentence
