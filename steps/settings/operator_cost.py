"""What switching costs where the Tigera operator installed Calico, said before a run. Pure."""

from steps.catalogue.dataplanes import BY_NAME, Arm
from steps.catalogue.options import Settings
from steps.settings.schedule import planned_time


def sentence(settings: Settings) -> str | None:
    """How long the run takes there, and what its switches cost others; None: it switches nothing."""
    switched = {name for name in (Arm.parse(arm).name for arm in settings.dataplanes) if BY_NAME[name].is_switched}
    if not switched:
        return None
    others = ""
    if any(BY_NAME[name].bpf for name in switched):
        others = ", and each switch to eBPF or from it broke 4 of 6 long-lived connections of other pods and nodes"
    return (
        "The Tigera operator installed Calico here, and at each switch it replaces calico-node on every node, one "
        f"after another: that took 45 to 112 s with two nodes{others}. So the run takes "
        f"{planned_time(settings, by_operator=True).sentence}; more with more nodes."
    )
