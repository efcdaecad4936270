"""What switching costs where the Tigera operator installed Calico, said before a run. Pure."""

from steps.catalogue.dataplanes import BY_NAME, Arm
from steps.catalogue.options import Settings
from steps.settings.schedule import planned_time


def sentence(settings: Settings) -> str | None:
    """How long the run takes there, and what its switches cost others; None: it switches nothing."""
    if not (switched := _switched(settings)):
        return None
    return (
        "The Tigera operator installed Calico here, and at each switch it replaces calico-node on every node, one "
        f"after another: that took 45 to 112 s with two nodes{_others(switched)}. So the run takes "
        f"{_time(settings)}; more with more nodes."
    )


def sentence_of_plan(settings: Settings) -> str | None:
    """The same for a plan, which knows no cluster."""
    if not (switched := _switched(settings)):
        return None
    return (
        "Where the Tigera operator installed Calico, it replaces calico-node on every node at each switch, which took "
        f"45 to 112 s with two nodes{_others(switched)}: {_time(settings)}, more with more nodes."
    )


def _switched(settings: Settings) -> set[str]:
    """The dataplanes that are switched to."""
    return {name for name in (Arm.parse(arm).name for arm in settings.dataplanes) if BY_NAME[name].is_switched}


def _others(switched: set[str]) -> str:
    """What it costs the cluster's other users, as a clause; empty: nothing that was seen."""
    if not any(BY_NAME[name].bpf for name in switched):
        return ""
    return ", and each switch to eBPF or from it broke 4 of 6 long-lived connections of other pods and nodes"


def _time(settings: Settings) -> str:
    return planned_time(settings, by_operator=True).sentence
