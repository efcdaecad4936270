"""What an operator install costs is said before a run: how long it takes, and what others lose."""

import pytest

from steps.settings import operator_cost
from steps.settings.schedule import planned_time
from steps.settings.settings import choose_settings
from workflows.cli import plan

LOST = "each switch to eBPF or from it broke 4 of 6 long-lived connections of other pods and nodes"
ROLLS = "replaces calico-node on every node"


@pytest.mark.parametrize(
    ("dataplanes", "rolls", "breaks"),
    [
        ("iptables,ebpf", True, True),
        ("ebpf-dsr,ebpf-dsr+twin", True, True),
        ("iptables,nftables", True, False),
        ("as-is", False, False),
    ],
)
def test_plan_and_preflight_say_what_an_operator_install_costs(dataplanes: str, *, rolls: bool, breaks: bool) -> None:
    chosen = choose_settings(profile="smoke", dataplanes=dataplanes, environment="prod")
    (of_plan,) = [said for said in plan._planned(chosen) if "operator" in said] or [""]
    for said in (of_plan, operator_cost.sentence(chosen) or ""):
        assert (ROLLS in said) == rolls
        assert (LOST in said) == breaks
        assert (planned_time(chosen, by_operator=True).sentence in said) == rolls


def test_plan_of_the_lab_says_nothing_of_an_operator() -> None:
    chosen = choose_settings(profile="smoke", environment="lab")
    assert not [said for said in plan._planned(chosen) if "operator" in said]
