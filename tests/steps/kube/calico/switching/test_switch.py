"""Switching a whole cluster between its dataplanes."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from analysis.errors import Problem, Unsupported
from steps.cluster.kube.api.client import MERGE
from steps.cluster.kube.api.permissions import CALICO_GROUPS, CRD_GROUP, V3_GROUP
from steps.cluster.kube.ownership import lock, notes
from steps.cluster.kube.ownership.owner import LockOwner
from steps.cluster.kube.plugins.calico import restore
from steps.cluster.kube.plugins.calico.inventory import kube_proxy
from steps.cluster.kube.plugins.calico.switching.cluster_state import read_state
from steps.cluster.kube.plugins.calico.switching.snapshot import take_snapshot
from steps.cluster.kube.plugins.calico.switching.switch import configure, switch_commands
from tests.steps.kube.fakes.api import NAMESPACE, direct_client
from tests.steps.kube.fakes.calico import CONFIG, Calico
from tests.steps.kube.switching import DATAPLANES, ME, around, held, put_back, running, switch, unprepared


@pytest.mark.parametrize("dataplane", ["nftables", "ebpf", "ebpf-dsr"])
@pytest.mark.parametrize(
    "make",
    [
        Calico,
        lambda: Calico(group=V3_GROUP),
        lambda: Calico("operator"),
        lambda: Calico("operator", bootstraps=False),
        lambda: Calico(version="v3.30.2", felix={"nftablesMode": "Disabled"}),
    ],
    ids=["manifest", "manifest v3", "operator", "old operator", "manifest 3.30"],
)
def test_switch_and_restore_every_dataplane(make: Any, dataplane: str) -> None:  # noqa: ANN401
    calico = make()
    before = calico.settings()
    switch(calico, dataplane)
    assert running(calico) == dataplane
    assert (len(calico.kube_proxy_pods) == 0) == dataplane.startswith("ebpf"), "kube-proxy is parked beside eBPF"
    assert (kube_proxy.mode(calico.kube_proxy_config) == "nftables") == (dataplane == "nftables")
    switch(calico, "iptables")
    assert running(calico) == "iptables"
    assert len(calico.kube_proxy_pods) == 2
    put_back(calico)
    assert calico.settings() == before


@pytest.mark.parametrize(
    ("dataplane", "felix", "watches"),
    [
        ("iptables", {}, False),
        ("nftables", {}, True),
        ("nftables", {"nftablesMode": "Enabled"}, False),
    ],
    ids=["iptables", "nftables, and Felix follows kube-proxy's mode", "nftables, set in FelixConfiguration"],
)
def test_return_of_kube_proxy_is_a_change_only_where_felix_may_restart_for_it(
    dataplane: str,
    felix: dict[str, str],
    watches: bool,  # noqa: FBT001
) -> None:
    calico = Calico(felix=felix, mode=dataplane)
    switch(calico, "ebpf")
    calico.store.advance(30)
    switch(calico, dataplane)
    standing = read_state(direct_client(calico.store)[0], to_switch=False)
    found = standing.inventory
    felix_at = kube_proxy.written_at(found.felix_default)
    proxy_at = kube_proxy.written_at(found.kube_proxy)
    assert felix_at is not None
    assert proxy_at is not None
    assert felix_at < proxy_at, "kube-proxy returns once Felix has left eBPF"
    assert standing.changed_at == (proxy_at if watches else felix_at)


def test_second_configure_changes_nothing() -> None:
    for dataplane in DATAPLANES:
        calico = Calico()
        switch(calico, dataplane)
        before = calico.settings()
        assert switch(calico, dataplane) == []
        assert calico.settings() == before


def test_run_takes_the_lock_without_changes_and_a_user_does_not() -> None:
    calico = Calico()
    before = calico.settings()
    assert switch(calico, "iptables", LockOwner(None, None, "ada@desk")) == []
    assert calico.settings() == before
    assert switch(calico, "iptables") == []
    assert held(calico)
    with pytest.raises(Unsupported, match="is held by workflow bench/run-1 since"):
        switch(calico, "ebpf", LockOwner("run-2", NAMESPACE, None))
    assert put_back(calico) == []
    assert calico.settings() == before


def test_kube_proxy_order_relative_to_felix() -> None:
    calico = Calico()
    there = [change.what for change in switch(calico, "ebpf")]
    assert [_short(what) for what in there] == ["kubernetes-services-endpoint", "non-calico true", "bpfEnabled true"]
    began = calico.store.now()
    back = [change.what for change in switch(calico, "iptables")]
    assert [_short(what) for what in back] == ["bpfEnabled false", "non-calico absent"]
    assert (calico.store.now() - began).total_seconds() >= 5, "kube-proxy came back too early"


def test_wait_for_silent_felix_times_out() -> None:
    calico = Calico()
    switch(calico, "ebpf")
    calico.store.logs.clear()
    calico._felix_saw = (False, None, "Auto")  # a node that fell back neither restarts nor prints
    began = calico.store.now()
    switch(calico, "iptables")
    assert 30 <= (calico.store.now() - began).total_seconds() < 60
    assert len(calico.kube_proxy_pods) == 2


def test_kube_proxy_cleans_up_nftables_before_ebpf() -> None:
    calico = Calico()
    switch(calico, "nftables")
    changes = [change.what for change in switch(calico, "ebpf")]
    assert "kube-proxy's pods restarted" in changes
    assert changes.index("kube-proxy's pods restarted") < next(i for i, w in enumerate(changes) if "non-calico" in w)


def test_kube_proxy_mode_change_restarts_its_pods() -> None:
    calico = Calico()
    old = {pod["metadata"]["uid"] for pod in calico.kube_proxy_pods}
    switch(calico, "nftables")
    assert calico.kube_proxy_config == CONFIG.replace('mode: ""', "mode: nftables")
    assert not old & {pod["metadata"]["uid"] for pod in calico.kube_proxy_pods}


def test_existing_kubernetes_endpoint_config_map_stays() -> None:
    calico = Calico()
    data = {"KUBERNETES_SERVICE_HOST": "lb.example", "KUBERNETES_SERVICE_PORT": "443"}
    name = {"namespace": "kube-system", "name": "kubernetes-services-endpoint"}
    calico.store.put("", "configmaps", {"metadata": name, "data": data})
    before = calico.settings()
    switch(calico, "ebpf")
    assert before["configmaps kube-system/kubernetes-services-endpoint"] == data
    put_back(calico)
    assert calico.settings() == before


def test_as_is_dataplane_is_that_of_the_snapshot() -> None:
    calico = Calico()
    switch(calico, "ebpf")
    switch(calico, "as-is")
    assert running(calico) == "iptables"


def test_impossible_dataplane_is_not_retried() -> None:
    calico = Calico()
    switch(calico, "iptables")
    client, _transport = direct_client(calico.store)
    taken = lock.find_lock(client)
    assert taken is not None
    notes.add_note(client, taken, unfit={"ebpf": "the kernel of node-b is too old"})
    again = lock.find_lock(client)
    assert again is not None
    notes.add_note(client, again, unfit={"ebpf-dsr": "likewise"}, ebpf=True)
    for name in ("ebpf", "ebpf-dsr"):
        with pytest.raises(Unsupported, match=f"{name} was found unavailable earlier in this run: "):
            switch(calico, name)
    assert running(calico) == "iptables"
    assert switch(calico, "nftables")
    put_back(calico)
    assert switch(calico, "ebpf"), "the next run may try"


def test_dry_run_prints_patches_and_changes_nothing() -> None:
    calico = Calico()
    client, transport = direct_client(calico.store)
    before = calico.settings()
    lines = switch_commands(client, "ebpf-dsr")
    assert calico.settings() == before
    assert transport.writes == 0
    assert lines == [
        (
            "kubectl -n kube-system create configmap kubernetes-services-endpoint "
            "--from-literal=KUBERNETES_SERVICE_HOST=10.250.0.1 --from-literal=KUBERNETES_SERVICE_PORT=6443"
        ),
        (
            "kubectl -n kube-system patch daemonsets kube-proxy --type merge "
            """-p '{"spec":{"template":{"spec":{"nodeSelector":{"non-calico":"true"}}}}}'"""
        ),
        "kubectl -n kube-system wait --for=delete pods -l k8s-app=kube-proxy --timeout=120s",
        (
            "kubectl patch felixconfigurations.crd.projectcalico.org default --type merge "
            """-p '{"spec":{"bpfEnabled":true,"bpfExternalServiceMode":"DSR"}}'"""
        ),
    ]
    assert restore.restore_commands(client) == []


def test_concurrent_spec_change_is_not_overwritten() -> None:
    calico = Calico()
    client, transport = direct_client(calico.store)
    theirs = CONFIG + "oomScoreAdj: -998\n"

    def meddle(path: str) -> None:
        if "configmaps/kube-proxy" in path and calico.kube_proxy_config == CONFIG:
            body = {"data": {"config.conf": theirs}}
            target = "/api/v1/namespaces/kube-system/configmaps/kube-proxy?fieldManager=somebody"
            calico.store.handle("PATCH", target, json.dumps(body).encode(), MERGE)

    transport.meddle = meddle
    with pytest.raises(
        Problem, match="ConfigMap kube-system/kube-proxy was changed by another client during the switch"
    ):
        configure(around(calico, client), "nftables", unprepared)
    assert calico.kube_proxy_config == theirs
    configure(around(calico, client), "nftables", unprepared)
    assert calico.kube_proxy_config == theirs.replace('mode: ""', "mode: nftables")


def test_concurrent_status_update_is_no_conflict() -> None:
    calico = Calico()
    client, transport = direct_client(calico.store)
    notes = iter(range(3))

    def meddle(path: str) -> None:
        if "daemonsets/kube-proxy" in path and (note := next(notes, None)) is not None:
            body = {"status": {"observedNote": note}}
            target = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy?fieldManager=keeper"
            calico.store.handle("PATCH", target, json.dumps(body).encode(), MERGE)

    transport.meddle = meddle
    configure(around(calico, client), "ebpf", unprepared)
    assert running(calico) == "ebpf"
    assert next(notes, None) is None, "the patch met a conflict three times"


def test_restarted_pods_are_a_second_younger_than_their_configuration() -> None:
    calico = Calico(mode="nftables", felix={"bpfEnabled": True})
    calico.kube_proxy["spec"]["template"]["spec"]["nodeSelector"]["non-calico"] = "true"
    calico.store.advance(0)
    calico.felix["spec"]["bpfEnabled"] = False
    calico.store.advance(0)
    calico.store.shift += timedelta(minutes=5)  # Felix let go of eBPF long ago, so that nothing is waited for
    switch(calico, "iptables")
    assert switch(calico, "iptables") == []
    config = calico.store.find("", "configmaps", "kube-system", "kube-proxy")
    written = kube_proxy.written_at(config)
    assert written is not None
    assert all(datetime.fromisoformat(p["metadata"]["creationTimestamp"]) > written for p in calico.kube_proxy_pods)


def test_concurrent_lock_names_its_holder() -> None:
    calico = Calico()
    client, _transport = direct_client(calico.store)
    now = client.now()
    taken = take_snapshot(client, read_state(client, to_switch=True), "")
    lock.take_lock(client, ME, taken, now)
    assert lock.take_lock(client, ME, {**taken, "dataplane": "ebpf"}, now).snapshot == taken, "the first snapshot stays"
    with pytest.raises(Unsupported, match="prod is held by workflow bench/run-1"):
        lock.take_lock(client, LockOwner("run-2", NAMESPACE, None), taken, now)


def _short(what: str) -> str:
    return "kubernetes-services-endpoint" if what.endswith("created") else what.rpartition(": ")[2].split(", ")[0]


def test_both_calico_api_groups() -> None:
    assert set(CALICO_GROUPS) == {CRD_GROUP, V3_GROUP}
