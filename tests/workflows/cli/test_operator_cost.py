"""What an operator install costs is said before a run: how long it takes, and what others lose."""

import pytest

from steps.settings import operator_cost
from steps.settings.schedule import planned_time
from steps.settings.settings import choose_settings
from workflows.cli import plan, run_in_sandbox

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


@pytest.mark.parametrize(("profile", "longer"), [("quick", True), ("smoke", False)])
def test_plan_says_that_a_busy_machine_takes_longer_where_disturbed_trials_are_measured_again(
    profile: str, *, longer: bool
) -> None:
    assert any("on a busy one" in said for said in plan._planned(choose_settings(profile=profile))) == longer
    assert " on a quiet machine (profile " in run_in_sandbox.beforehand(choose_settings(profile=profile))


def test_plan_of_the_lab_says_nothing_of_an_operator() -> None:
    chosen = choose_settings(profile="smoke", environment="lab")
    assert not [said for said in plan._planned(chosen) if "operator" in said]
