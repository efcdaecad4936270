"""The operator replaces calico-node on one node after another, and is waited for while it gets further."""

from datetime import UTC, datetime, timedelta

import pytest

from analysis.errors import Problem
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.ownership import takeover
from steps.cluster.kube.plugins.calico.switching.operator_reaction import AVAILABLE_S, NODE_S, RolloutProgress
from tests.steps.kube.calico.clusters import add_node
from tests.steps.kube.fakes.api import direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.guard.guarding import guarding, terminated
from tests.steps.kube.switching import held, put_back, quiet, running, switch
from tests.steps.kube.test_adapter import RUN, kube, put_workflow, settings, visit

BEGAN = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)


def large(nodes: int, rollout_s: float, *, bootstraps: bool) -> Calico:
    calico = Calico("operator", bootstraps=bootstraps, rollout_s=rollout_s)
    for number in range(nodes - 2):
        add_node(calico, f"node-{number + 2:02d}")
    calico.store.advance(60)
    return calico


@pytest.mark.parametrize("bootstraps", [True, False])
def test_thirty_nodes_are_switched_and_put_back(*, bootstraps: bool) -> None:
    calico = large(30, 750.0, bootstraps=bootstraps)
    before, began = calico.settings(), calico.store.now()
    switch(calico, "ebpf")
    assert running(calico) == "ebpf"
    assert (calico.store.now() - began).total_seconds() > AVAILABLE_S
    assert put_back(calico)
    assert calico.settings() == before
    assert not held(calico)


@pytest.mark.parametrize("bootstraps", [True, False])
def test_rollout_without_progress_ends_the_wait(*, bootstraps: bool) -> None:
    calico = large(2, 10_000.0, bootstraps=bootstraps)
    began = calico.store.now()
    with pytest.raises(Problem, match=r"the operator .* after 6\d\d s"):
        switch(calico, "ebpf")
    assert (calico.store.now() - began).total_seconds() < AVAILABLE_S + 60


def seen(*looks: tuple[float, int]) -> RolloutProgress:
    """The progress after looks, each with its second and the number of nodes that have the new pod."""
    progress = RolloutProgress(BEGAN, BEGAN, BEGAN)
    for at_s, updated in looks:
        status = {"observedGeneration": 2, "updatedNumberScheduled": updated, "desiredNumberScheduled": 5}
        progress = progress.seen({"status": status}, BEGAN + timedelta(seconds=at_s))
    return progress


def test_wait_goes_on_with_each_node_and_is_bounded_by_their_number() -> None:
    assert not seen((0, 0), (599, 0)).is_over
    assert seen((0, 0), (600, 0)).is_over
    assert not seen((0, 0), (599, 1), (899, 1)).is_over
    longest_s = AVAILABLE_S + 5 * NODE_S
    assert not seen((0, 0), (500, 1), (longest_s - 1, 2)).is_over
    assert seen((0, 0), (500, 1), (longest_s, 2)).is_over


def test_pods_that_come_and_go_are_no_progress() -> None:
    assert seen((0, 1), (300, 0), (600, 1)).is_over


def test_long_restore_by_a_person_is_not_taken_over() -> None:
    """Longer than a person who gives no sign may take, with a guard that looks every minute."""
    calico = large(30, 750.0, bootstraps=True)
    put_workflow(calico)
    before = calico.settings()
    run = kube(calico, RUN)
    run.snapshot()
    run.configure(visit("ebpf"), settings())
    terminated(calico)
    began = calico.store.now()
    guards: list[str] = []

    def wait(seconds: float) -> None:
        calico.store.advance(seconds)
        guarding(calico, notices=guards).restore_left()

    client, _transport = direct_client(calico.store)
    person = KubernetesCluster("prod", client=client, variables={}, say=quiet, sleep=wait, gate_s=0)
    assert person.restore_for_user()
    assert calico.settings() == before
    assert (calico.store.now() - began).total_seconds() > takeover.PERSONS_RESTORE_S
    assert {each.partition(" since ")[0] for each in guards} == {f"prod is being put back by {person._owner}"}
