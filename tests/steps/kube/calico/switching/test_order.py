"""From every dataplane to every other, by every kind of install: what is written when, and what it waits for."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import combinations, permutations

import pytest

from steps.cluster.kube.api.permissions import CALICO_GROUPS, FELIX_CONFIGURATIONS
from steps.cluster.kube.plugins.calico.switching.actions import AwaitRollout, Write
from steps.cluster.kube.plugins.calico.switching.cluster_state import read_state
from steps.cluster.kube.plugins.calico.switching.fields import INSTALLATION, LINUX_DATAPLANE
from steps.cluster.kube.plugins.calico.switching.switch import plan_switch
from tests.steps.kube.fakes.api import KilledError, direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.fakes.requests import stamp
from tests.steps.kube.switching import put_back, running, switch

SWITCHED = ("iptables", "nftables", "ebpf", "ebpf-dsr")
INSTALLS: dict[str, Callable[[], Calico]] = {
    "manifest": Calico,
    "operator": lambda: Calico("operator", rollout_s=40.0),
    "old operator": lambda: Calico("operator", bootstraps=False, rollout_s=40.0),
}
BPF_PATH = ("spec", "bpfEnabled")
FELIX = {FELIX_CONFIGURATIONS[group] for group in CALICO_GROUPS}


@pytest.mark.parametrize("install", INSTALLS)
@pytest.mark.parametrize(("there", "back"), list(combinations(SWITCHED, 2)))
def test_every_pair_of_dataplanes_both_ways(install: str, there: str, back: str) -> None:
    calico = INSTALLS[install]()
    before = calico.settings()
    for dataplane in (there, back, there, back):
        switch(calico, dataplane)
        assert running(calico) == dataplane
        assert bool(calico.felix["spec"].get("bpfEnabled")) == dataplane.startswith("ebpf"), "the operator has done it"
        assert (len(calico.kube_proxy_pods) == 0) == dataplane.startswith("ebpf")
    put_back(calico)
    assert calico.settings() == before
    assert calico.disturbed == [], "Felix restarted for another setting while the operator rolled it out"
    assert calico.collided == set(), "the operator enabled eBPF before it had replaced calico-node everywhere"


@pytest.mark.parametrize("install", INSTALLS)
@pytest.mark.parametrize("dataplane", SWITCHED)
def test_restore_from_every_dataplane_disturbs_no_rollout(install: str, dataplane: str) -> None:
    calico = INSTALLS[install]()
    before = calico.settings()
    switch(calico, dataplane)
    put_back(calico)
    assert running(calico) == "iptables"
    assert calico.settings() == before
    assert calico.disturbed == [], "Felix restarted for another setting while the operator rolled it out"


@pytest.mark.parametrize("bootstraps", [True, False])
@pytest.mark.parametrize(("there", "back"), [pair for pair in permutations(SWITCHED, 2) if "ebpf-dsr" in pair])
def test_felix_configuration_follows_the_installation(there: str, back: str, *, bootstraps: bool) -> None:
    calico = Calico("operator", bootstraps=bootstraps)
    switch(calico, there)
    client, _transport = direct_client(calico.store)
    plan = plan_switch(read_state(client, to_switch=True), back, None)
    felix = [i for i, a in enumerate(plan) if isinstance(a, Write) and a.ref.resource in FELIX and not _enables(a)]
    rolled = [i for i, a in enumerate(plan) if isinstance(a, Write) and a.ref == INSTALLATION and _rolls(a)]
    runs = AwaitRollout("Felix on eBPF" if back.startswith("ebpf") else "Felix off eBPF")
    assert len(felix) == 1, plan
    for index in felix:
        waits = plan[:index][-2:]
        assert waits == [AwaitRollout("Calico available"), runs]
        assert all(first < index for first in rolled)


@pytest.mark.parametrize("there", ["iptables", "nftables"])
@pytest.mark.parametrize("back", ["ebpf", "ebpf-dsr"])
def test_operator_enables_ebpf_after_every_calico_node_was_replaced(there: str, back: str) -> None:
    calico = Calico("operator", rollout_s=40.0)
    switch(calico, there)
    client, _transport = direct_client(calico.store)
    plan = plan_switch(read_state(client, to_switch=True), back, None)
    enabling = [(i, a.values) for i, a in enumerate(plan) if isinstance(a, Write) and _enables(a)]
    (rolled,) = (i for i, a in enumerate(plan) if isinstance(a, Write) and a.ref == INSTALLATION and _rolls(a))
    assert enabling == [(rolled - 1, {BPF_PATH: None}), (rolled + 2, {BPF_PATH: False})]
    assert plan[rolled + 1] == AwaitRollout("calico-node rolled out")


def test_pods_made_in_the_second_of_the_change_do_not_stand_for_those_of_a_late_operator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calico = Calico("operator", rollout_s=40.0)
    assert calico.operator is not None
    begins, act = calico.store.now() + timedelta(seconds=4), calico.operator.act
    for pod in calico.agents:
        pod["metadata"]["creationTimestamp"] = stamp(calico.store.now())
    monkeypatch.setattr(calico.operator, "act", lambda: act() if calico.store.now() >= begins else None)
    switch(calico, "ebpf")
    assert running(calico) == "ebpf"
    assert [what for what, _value in calico.operator.wrote if what == "pod"] == ["pod", "pod"]
    assert calico.collided == set()


def test_pod_that_is_replaced_in_the_second_of_the_change_is_a_new_one() -> None:
    calico = Calico("operator", rollout_s=40.0)
    began = calico.store.now().replace(microsecond=0)
    switch(calico, "ebpf")
    first, second = (datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) for pod in calico.agents)
    assert first - began <= timedelta(seconds=1)
    assert second - first >= timedelta(seconds=15)
    assert running(calico) == "ebpf"


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("then", ["ebpf-dsr", "iptables", "restore"])
def test_operator_goes_on_after_every_interruption_of_a_switch_to_ebpf(then: str, *, late: bool) -> None:
    for write in range(50):
        calico = Calico("operator", rollout_s=40.0)
        before = calico.settings()
        try:
            switch(calico, "ebpf", kill_at=write, late=late)
        except KilledError:
            pass
        else:
            assert write > 3, "the lock, bpfEnabled, the Installation, and bpfEnabled again"
            return
        if then != "restore":
            switch(calico, then)
            assert running(calico) == then
        put_back(calico)
        assert running(calico) == "iptables", f"killed at write {write}"
        assert calico.settings() == before
        assert calico.felix["spec"]["bpfEnabled"] is False, "the operator goes on looking after it"
        assert calico.collided == set(), "the operator enabled eBPF before it had replaced calico-node everywhere"
    pytest.fail("the switch makes more writes than were tried")


def _enables(action: Write) -> bool:
    return BPF_PATH in action.values


def _rolls(action: Write) -> bool:
    return LINUX_DATAPLANE.path in action.values
