"""From every dataplane to every other, by every kind of install: what is written when, and what it waits for."""

from collections.abc import Callable
from itertools import combinations, permutations

import pytest

from steps.cluster.kube.api.permissions import CALICO_GROUPS, felix_configurations
from steps.cluster.kube.calico.switching.actions import AwaitRollout, Write
from steps.cluster.kube.calico.switching.cluster_state import read_state
from steps.cluster.kube.calico.switching.fields import INSTALLATION, LINUX_DATAPLANE
from steps.cluster.kube.calico.switching.switch import plan_switch
from tests.steps.kube.fake_api import direct_client
from tests.steps.kube.fake_calico import Calico
from tests.steps.kube.switching import put_back, running, switch

SWITCHED = ("iptables", "nftables", "ebpf", "ebpf-dsr")
INSTALLS: dict[str, Callable[[], Calico]] = {
    "manifest": Calico,
    "operator": lambda: Calico("operator", rollout_s=40.0),
    "old operator": lambda: Calico("operator", bootstraps=False, rollout_s=40.0),
}
FELIX = {felix_configurations(group) for group in CALICO_GROUPS}


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
    felix = [index for index, action in enumerate(plan) if isinstance(action, Write) and action.ref.resource in FELIX]
    rolled = [i for i, a in enumerate(plan) if isinstance(a, Write) and a.ref == INSTALLATION and _rolls(a)]
    runs = AwaitRollout("Felix on eBPF" if back.startswith("ebpf") else "Felix off eBPF")
    assert len(felix) == 1, plan
    for index in felix:
        waits = plan[:index][-2:]
        assert waits == [AwaitRollout("Calico available"), runs]
        assert all(first < index for first in rolled)


def _rolls(action: Write) -> bool:
    return LINUX_DATAPLANE.path in action.values
