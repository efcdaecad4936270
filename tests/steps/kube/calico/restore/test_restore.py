"""Restoring a whole cluster to its state from before a run."""

import re
from typing import Any

import pytest

from analysis.errors import Problem, Unsupported
from steps.cluster.kube.ownership import lock
from steps.cluster.kube.ownership.owner import LockOwner
from steps.cluster.kube.plugins.calico import restore
from tests.steps.kube.fakes.api import NAMESPACE, direct_client
from tests.steps.kube.fakes.calico import CONFIG, Calico
from tests.steps.kube.switching import around, held, lock_data, put_back, running, switch


def test_dsr_patch_and_restore() -> None:
    calico = Calico()
    switch(calico, "ebpf")
    (there,) = switch(calico, "ebpf-dsr")
    assert there.command == (
        "kubectl patch felixconfigurations.crd.projectcalico.org default --type merge "
        """-p '{"spec":{"bpfExternalServiceMode":"DSR"}}'"""
    )
    (back,) = switch(calico, "ebpf")
    assert '"bpfExternalServiceMode":"Tunnel"' in back.command


def test_restore_keeps_concurrent_changes() -> None:
    calico = Calico()
    switch(calico, "nftables")
    found = calico.store.find("", "configmaps", "kube-system", "kube-proxy")
    assert found is not None
    found["data"]["config.conf"] += "oomScoreAdj: -998\n"
    calico.felix["spec"]["logSeverityScreen"] = "Debug"
    put_back(calico)
    assert calico.kube_proxy_config == CONFIG + "oomScoreAdj: -998\n"
    assert calico.felix["spec"]["logSeverityScreen"] == "Debug"


def test_restore_of_a_cluster_that_ran_ebpf() -> None:
    calico = Calico(felix={"bpfEnabled": True})
    calico.kube_proxy["spec"]["template"]["spec"]["nodeSelector"]["non-calico"] = "true"
    calico.store.advance(0)
    before = calico.settings()
    switch(calico, "iptables")
    assert running(calico) == "iptables"
    assert len(calico.kube_proxy_pods) == 2
    put_back(calico)
    assert calico.settings() == before
    assert calico.kube_proxy_pods == []


def test_restore_is_idempotent_and_needs_a_snapshot() -> None:
    calico = Calico()
    assert put_back(calico) == []
    switch(calico, "ebpf")
    assert put_back(calico)
    before = calico.settings()
    assert put_back(calico) == []
    assert calico.settings() == before


def test_restore_tolerates_a_missing_calico_node() -> None:
    for calico in (Calico(), Calico("operator")):
        before = calico.settings()
        switch(calico, "ebpf")
        calico.store.take("apps", "daemonsets", calico.namespace, "calico-node")
        assert put_back(calico)
        before.pop(f"daemonsets {calico.namespace}/calico-node")
        assert calico.settings() == before
        assert not held(calico)


@pytest.mark.parametrize(
    ("dataplane", "harm", "words"),
    [
        (
            "nftables",
            lambda c: c.store.take("", "configmaps", "kube-system", "kube-proxy"),
            "ConfigMap kube-system/kube-proxy is missing",
        ),
        (
            "ebpf",
            lambda c: c.store.take(c.group, "felixconfigurations", "", "default"),
            "FelixConfiguration default is missing, which a switch changed",
        ),
    ],
)
def test_restore_with_unreadable_objects_keeps_the_snapshot(dataplane: str, harm: Any, words: str) -> None:  # noqa: ANN401
    calico = Calico()
    switch(calico, dataplane)
    calico._control = nothing  # type: ignore[method-assign]
    calico.store.after = nothing
    harm(calico)
    before = calico.settings()
    with pytest.raises(Problem, match=re.escape(words)) as caught:
        put_back(calico)
    assert "the snapshot is kept" in str(caught.value)
    assert "delete configmap dataplane-benchmark" in str(caught.value)
    assert calico.settings() == before
    assert held(calico)


def nothing() -> None:
    """Keep no controller."""


def test_restore_reports_what_it_cannot_restore() -> None:
    calico = Calico()
    switch(calico, "ebpf")
    client, _transport = direct_client(calico.store)
    notices: list[str] = []
    restore.restore(around(calico, client, say=notices.append))
    assert any("unprivileged_bpf_disabled" in sentence for sentence in notices)


@pytest.mark.parametrize(
    ("visits", "first", "reported"),
    [
        (("ebpf", "iptables"), {}, True),
        (("ebpf-dsr", "nftables"), {}, True),
        (("nftables", "iptables"), {}, False),
        (("iptables", "ebpf"), {"bpfEnabled": True}, False),
    ],
)
def test_ebpf_leftovers_are_reported_after_restore(
    visits: tuple[str, ...], first: dict[str, Any], *, reported: bool
) -> None:
    calico = Calico(felix=first)
    for dataplane in visits:
        switch(calico, dataplane)
    client, _transport = direct_client(calico.store)
    found = restore.plan_restore(client)
    assert found is not None
    assert (restore.KERNEL in found.left) is reported


def test_restore_undone_by_another_controller_keeps_the_snapshot() -> None:
    calico = Calico()
    switch(calico, "ebpf")
    keeper = calico.store.after

    def fight() -> None:
        keeper()
        calico.felix["spec"]["bpfEnabled"] = True

    calico.store.after = fight
    with pytest.raises(Problem, match="bpfEnabled changed again after the restore"):
        put_back(calico)
    client, _transport = direct_client(calico.store)
    assert lock.find_lock(client) is not None


def test_expired_lock_is_restored_by_the_next_run() -> None:
    calico = Calico()
    before = calico.settings()
    switch(calico, "ebpf")
    workflow = {"metadata": {"namespace": NAMESPACE, "name": "run-1"}, "status": {"phase": "Running"}}
    calico.store.put("argoproj.io", "workflows", workflow)
    other = LockOwner("run-2", NAMESPACE, None)
    with pytest.raises(Unsupported, match="is held by workflow bench/run-1 since"):
        switch(calico, "ebpf-dsr", other)
    assert put_back(calico, other) == []
    with pytest.raises(Unsupported, match=r"which is running.*`kubectl --context prod -n bench delete workflow run-1`"):
        put_back(calico, LockOwner(None, None, "ada@desk"), insist=True)
    assert running(calico) == "ebpf"
    found = calico.store.find("argoproj.io", "workflows", NAMESPACE, "run-1")
    assert found is not None
    found["status"]["phase"] = "Failed"
    assert put_back(calico, other)
    assert calico.settings() == before


def test_manual_configuration_is_restored_manually() -> None:
    calico = Calico()
    before = calico.settings()
    switch(calico, "ebpf", LockOwner(None, None, "ada@desk"))
    assert put_back(calico) == []
    assert running(calico) == "ebpf"
    assert put_back(calico, LockOwner(None, None, "bob@desk"), insist=True)
    assert calico.settings() == before


def test_unproven_restore_keeps_the_lock() -> None:
    calico = Calico()
    before = calico.settings()
    switch(calico, "ebpf")

    def fail() -> None:
        raise Problem("a node has no rules")

    with pytest.raises(Problem, match="no rules"):
        put_back(calico, prove=fail)
    assert calico.settings() == {**before, **lock_data(calico)}
    proved: list[bool] = []
    assert put_back(calico, prove=lambda: proved.append(held(calico))) == []
    assert proved == [True]
    assert not held(calico)
