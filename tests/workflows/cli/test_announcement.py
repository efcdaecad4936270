"""What a run says before it starts."""

from steps.settings.settings import choose_settings
from workflows.cli.run_in_sandbox import beforehand


def test_amounts_are_in_the_singular_where_there_is_one() -> None:
    one = choose_settings(profile="smoke", dataplanes="lab-ebpf", topologies="pod-to-pod", options="rounds=1")
    assert beforehand(one).startswith("1 dataplane x 1 round x 1 trial at most: ")
    several = choose_settings(profile="smoke", dataplanes="lab-ebpf,lab-iptables", options="rounds=2")
    assert beforehand(several).startswith("2 dataplanes x 2 rounds x 3 trials at most: ")
