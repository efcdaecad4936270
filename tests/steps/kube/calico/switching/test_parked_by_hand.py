"""An operator that can look after kube-proxy, on clusters where something else parked it, or nothing did."""

import contextlib
from typing import Any

import pytest

from analysis.errors import Unsupported
from steps.cluster.kube.plugins.calico.inventory.kube_proxy import OPERATORS_KEY
from steps.cluster.kube.plugins.calico.switching.actions import AwaitRollout, RestartKubeProxy
from steps.cluster.kube.plugins.calico.switching.cluster_state import read_state
from steps.cluster.kube.plugins.calico.switching.switch import plan_switch
from tests.steps.kube.calico.clusters import ALL, findings
from tests.steps.kube.fakes.api import KilledError, direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.switching import held, put_back, running, switch

MANAGED: dict[str, Any] = {"kubeProxyManagement": "Enabled", "bpfNetworkBootstrap": "Enabled"}
RULES = {"iptables", "nftables"}


def in_ebpf(selector: dict[str, str] | None = None, *, mode: str = "", **network: Any) -> Calico:  # noqa: ANN401
    """A cluster of an operator's that knows kubeProxyManagement, in eBPF, with more in kube-proxy's node selector."""
    calico = Calico("operator", mode=mode)
    installation(calico)["spec"]["calicoNetwork"] |= {"linuxDataplane": "BPF", **network}
    selector_of(calico).update(selector or {})
    calico.store.advance(60)
    calico.store.advance(60)
    assert running(calico) == "ebpf"
    return calico


def installation(calico: Calico) -> dict[str, Any]:
    found = calico.store.find("operator.tigera.io", "installations", "", "default")
    assert found is not None
    return found


def selector_of(calico: Calico) -> dict[str, str]:
    found: dict[str, str] = calico.kube_proxy["spec"]["template"]["spec"]["nodeSelector"]
    return found


def parked_by_hand(*, address: bool) -> Calico:
    """As Calico documents it without kubeProxyManagement."""
    calico = in_ebpf({"non-calico": "true"})
    if address:
        name = {"namespace": "tigera-operator", "name": "kubernetes-services-endpoint"}
        data = {"KUBERNETES_SERVICE_HOST": "10.250.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
        calico.store.put("", "configmaps", {"metadata": name, "data": data})
    assert calico.kube_proxy_pods == []
    return calico


@pytest.mark.parametrize("address", [True, False])
@pytest.mark.parametrize("first", ["iptables", "nftables", "ebpf", "ebpf-dsr", "as-is"])
def test_kube_proxy_parked_by_hand_runs_without_ebpf_and_is_parked_again(first: str, *, address: bool) -> None:
    calico = parked_by_hand(address=address)
    before = calico.settings()
    assert not [found for found in findings(calico, ALL) if found.severity == "skip"]
    for dataplane in (first, "ebpf-dsr", "nftables", "ebpf", "iptables"):
        switch(calico, dataplane)
        assert running(calico) == dataplane or dataplane == "as-is"
        assert (len(calico.kube_proxy_pods) == 2) == (dataplane in RULES), "without eBPF it serves Services"
        assert not MANAGED.keys() & installation(calico)["spec"]["calicoNetwork"].keys(), "the operator leaves it alone"
    put_back(calico)
    assert calico.settings() == before
    assert calico.kube_proxy_pods == []


@pytest.mark.parametrize("kill", range(6))
def test_switch_of_a_cluster_parked_by_hand_is_repeated_after_a_kill(kill: int) -> None:
    calico = parked_by_hand(address=False)
    before = calico.settings()
    for dataplane in ("iptables", "ebpf-dsr"):
        with contextlib.suppress(KilledError):
            switch(calico, dataplane, kill_at=kill, late=True)
        switch(calico, dataplane)
        assert running(calico) == dataplane
        assert (len(calico.kube_proxy_pods) == 2) == (dataplane in RULES)
    with contextlib.suppress(KilledError):
        put_back(calico, kill_at=kill, late=True)
    put_back(calico)
    assert calico.settings() == before


@pytest.mark.parametrize("network", [{}, MANAGED])
@pytest.mark.parametrize("selector", [{"off": "true"}, {"off": "true", "non-calico": "true"}])
def test_dataplanes_without_ebpf_are_refused_where_kube_proxy_would_stay_off(
    selector: dict[str, str], network: dict[str, Any]
) -> None:
    refused_by_their_kube_proxy(in_ebpf(selector, **network))


def test_operator_removes_no_selector_but_its_own() -> None:
    refused_by_their_kube_proxy(in_ebpf({"non-calico": "true"}, **MANAGED))


def refused_by_their_kube_proxy(calico: Calico) -> None:
    """Only the dataplanes without eBPF are refused, before anything is written."""
    before = calico.settings()
    skipped = [found for found in findings(calico, ALL) if found.severity == "skip"]
    assert {found.subject for found in skipped} == RULES
    assert all("keeps kube-proxy off every node" in found.reason for found in skipped)
    for dataplane in sorted(RULES):
        with pytest.raises(Unsupported, match="keeps kube-proxy off every node"):
            switch(calico, dataplane)
    assert calico.settings() == before
    assert not held(calico)


@pytest.mark.parametrize("mode", ["nftables", ""])
@pytest.mark.parametrize("dataplane", ["ebpf", "ebpf-dsr"])
def test_kube_proxy_that_the_operator_parked_is_not_waited_for(mode: str, dataplane: str) -> None:
    calico = in_ebpf(mode=mode, **MANAGED)
    before = calico.settings()
    client, _transport = direct_client(calico.store)
    plan = plan_switch(read_state(client, to_switch=True), dataplane, None)
    assert not {RestartKubeProxy(), AwaitRollout("kube-proxy rolled out")} & set(filter(is_plain, plan))
    switch(calico, dataplane)
    assert running(calico) == dataplane
    put_back(calico)
    assert calico.settings() == before


def is_plain(action: object) -> bool:
    return isinstance(action, RestartKubeProxy | AwaitRollout)


@pytest.mark.parametrize("dataplane", sorted(RULES))
def test_operator_brings_back_what_it_parked(dataplane: str) -> None:
    calico = in_ebpf(mode="nftables", **MANAGED)
    before = calico.settings()
    switch(calico, dataplane)
    assert running(calico) == dataplane
    assert len(calico.kube_proxy_pods) == 2
    put_back(calico)
    assert calico.settings() == before
    assert OPERATORS_KEY in selector_of(calico)


def test_kube_proxy_beside_ebpf_stays() -> None:
    calico = in_ebpf()
    before = calico.settings()
    for dataplane in ("ebpf-dsr", "iptables", "ebpf"):
        switch(calico, dataplane)
        assert running(calico) == dataplane
        assert len(calico.kube_proxy_pods) == 2
    put_back(calico)
    assert calico.settings() == before


def test_bootstrap_beside_a_kube_proxy_parked_by_hand_is_refused() -> None:
    calico = in_ebpf({"non-calico": "true"}, bpfNetworkBootstrap="Enabled")
    skipped = [found for found in findings(calico, ALL) if found.severity == "skip"]
    assert {found.subject for found in skipped} == set(ALL.split(","))
    assert all("kubeProxyManagement" in str(found.remedy) for found in skipped)
    before = calico.settings()
    for dataplane in ALL.split(","):
        with pytest.raises(Unsupported, match="half by hand"):
            switch(calico, dataplane)
    assert calico.settings() == before


@pytest.mark.parametrize("address", [True, False])
def test_cluster_without_kube_proxy_is_switched_or_refused_before_the_run(*, address: bool) -> None:
    """The preflight and the switch say the same of an operator that finds the API server by itself."""
    calico = in_ebpf(bpfNetworkBootstrap="Enabled")
    if address:
        name = {"namespace": "tigera-operator", "name": "kubernetes-services-endpoint"}
        calico.store.put("", "configmaps", {"metadata": name, "data": {"KUBERNETES_SERVICE_HOST": "10.250.0.1"}})
    calico.store.take("apps", "daemonsets", "kube-system", "kube-proxy")
    skipped = {found.subject for found in findings(calico, "ebpf,ebpf-dsr") if found.severity == "skip"}
    client, _ = direct_client(calico.store)
    state = read_state(client, to_switch=True)
    for dataplane in ("ebpf", "ebpf-dsr"):
        if dataplane in skipped:
            with pytest.raises(Unsupported, match="half by hand"):
                plan_switch(state, dataplane, None)
        else:
            plan_switch(state, dataplane, None)
    assert skipped >= {"ebpf", "ebpf-dsr"} if address else not skipped & {"ebpf", "ebpf-dsr"}
