"""What a restore takes from the ConfigMap of the lock if others may write it: only what a switch changes."""

from collections.abc import Callable

import pytest

from analysis.errors import Problem
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.api.permissions import KUBE_SYSTEM
from steps.cluster.kube.plugins.calico import restore
from tests.security.locks.forged_locks import (
    ENDPOINT,
    Object,
    assert_services_work,
    contents,
    entry,
    forge,
    lock_object,
)
from tests.steps.kube.fakes.api import direct_client
from tests.steps.kube.fakes.calico import CONFIG, Calico
from tests.steps.kube.switching import around, held, put_back, quiet, switch


def named(plural: str, kind: str, name: str, body: Object, group: str = "", version: str = "v1") -> Object:
    ref = {"group": group, "version": version, "plural": plural, "kind": kind, "name": name, "namespace": KUBE_SYSTEM}
    return {"ref": ref, "object": {"metadata": {"name": name, "namespace": KUBE_SYSTEM}, **body}}


PRIVILEGED = {
    "spec": {
        "serviceAccountName": "argo",
        "hostPID": True,
        "containers": [{"name": "c", "image": "x", "securityContext": {"privileged": True}}],
    }
}


def add(*entries: Object) -> Callable[[Object], None]:
    return lambda snapshot: snapshot["objects"].extend(entries)


def set_config(old: str, new: str) -> Callable[[Object], None]:
    def change(snapshot: Object) -> None:
        data = next(
            e for e in snapshot["objects"] if e["ref"]["name"] == "kube-proxy" and e["ref"]["kind"] == "ConfigMap"
        )
        data["object"]["data"]["config.conf"] = data["object"]["data"]["config.conf"].replace(old, new)

    return change


def set_key(key: str) -> Callable[[Object], None]:
    def change(snapshot: Object) -> None:
        snapshot["kube_proxy_config_key"] = key
        config = next(e for e in snapshot["objects"] if e["ref"]["name"] == "kube-proxy" and "data" in e["object"])
        config["object"]["data"][key] = "kind: KubeProxyConfiguration\nmetricsBindAddress: 0.0.0.0\n"

    return change


def set_felix(**values: object) -> Callable[[Object], None]:
    return lambda snapshot: entry(snapshot, "FelixConfiguration")["object"]["spec"].update(values)


def set_ref(kind: str, **values: object) -> Callable[[Object], None]:
    return lambda snapshot: entry(snapshot, kind)["ref"].update(values)


def drop(kind: str) -> Callable[[Object], None]:
    return lambda snapshot: snapshot["objects"].remove(entry(snapshot, kind))


REFUSED: dict[str, tuple[Callable[[Object], None], str]] = {
    "privileged Pod as the endpoint's object": (
        add(named("pods", "Pod", ENDPOINT, PRIVILEGED)),
        f"Pod kube-system/{ENDPOINT}",
    ),
    "privileged Pod": (add(named("pods", "Pod", "x", PRIVILEGED)), "Pod kube-system/x"),
    "aws-auth as fields of Felix": (
        add(named("configmaps", "ConfigMap", "aws-auth", {"spec": {"bpfEnabled": True}})),
        "ConfigMap kube-system/aws-auth",
    ),
    "endpoint of another namespace": (
        add(
            {
                **named("configmaps", "ConfigMap", ENDPOINT, {"data": {}}),
                "ref": {
                    "group": "",
                    "version": "v1",
                    "plural": "configmaps",
                    "kind": "ConfigMap",
                    "name": ENDPOINT,
                    "namespace": "default",
                },
            }
        ),
        f"ConfigMap default/{ENDPOINT}",
    ),
    "FelixConfiguration of one node": (set_ref("FelixConfiguration", name="node.node-a"), "node.node-a"),
    "FelixConfiguration in the other group": (
        set_ref("FelixConfiguration", group="projectcalico.org", version="v3"),
        "FelixConfiguration default",
    ),
    "kind and path that differ": (set_ref("FelixConfiguration", plural="pods", group=""), "FelixConfiguration default"),
    "Installation of an operator that is not here": (
        add(named("installations", "Installation", "default", {"spec": {}}, "operator.tigera.io")),
        "Installation",
    ),
    "DaemonSet of another name": (set_ref("DaemonSet", name="coredns"), "DaemonSet kube-system/coredns"),
    "another key of kube-proxy's ConfigMap": (set_key("evil.conf"), "ConfigMap kube-system/kube-proxy"),
    "mode with another field": (
        set_config('mode: ""', 'mode: "iptables\\nmetricsBindAddress: 0.0.0.0"'),
        "ConfigMap kube-system/kube-proxy",
    ),
    "mode that is none": (set_config('mode: ""', "mode: off"), "ConfigMap kube-system/kube-proxy"),
    "kube-proxy's configuration without its kind": (
        set_config("kind: Kube", "kind: Cube"),
        "ConfigMap kube-system/kube-proxy",
    ),
    "object in place of a flag": (set_felix(bpfEnabled={"a": 1}), "FelixConfiguration default spec.bpfEnabled"),
    "text in place of a flag": (set_felix(bpfEnabled="yes"), "FelixConfiguration default spec.bpfEnabled"),
    "unknown mode of Services": (
        set_felix(bpfExternalServiceMode="x; reboot"),
        "FelixConfiguration default spec.bpfExternalServiceMode",
    ),
    "list as mode of nftables": (set_felix(nftablesMode=["Auto"]), "FelixConfiguration default spec.nftablesMode"),
    "no DaemonSet of a parked kube-proxy": (drop("DaemonSet"), "DaemonSet kube-system/kube-proxy"),
    "no FelixConfiguration": (drop("FelixConfiguration"), "FelixConfiguration default"),
    "no objects": (lambda snapshot: snapshot["objects"].clear(), "FelixConfiguration default"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_hostile_snapshot_is_refused_by_a_sentence_and_changes_nothing(case: str) -> None:
    change, named_object = REFUSED[case]
    calico = Calico()
    switch(calico, "nftables" if "mode" in case or "kube-proxy's" in case else "ebpf")
    forge(calico, change)
    before = contents(calico)
    with pytest.raises(Problem) as caught:
        put_back(calico, insist=True)
    sentence = str(caught.value)
    assert named_object in sentence
    assert "kubectl -n kube-system" in sentence
    assert "\n" not in sentence
    assert len(sentence) < 2000
    assert contents(calico) == before
    assert held(calico), "the lock is kept for whoever looks into it"


@pytest.mark.parametrize("case", REFUSED)
def test_retreat_and_configure_refuse_a_hostile_snapshot(case: str) -> None:
    change, _named = REFUSED[case]
    calico = Calico()
    switch(calico, "nftables" if "mode" in case or "kube-proxy's" in case else "ebpf")
    forge(calico, change)
    before = contents(calico)
    for dataplane in ("as-is", "iptables"):
        with pytest.raises(Problem, match="kubectl"):
            switch(calico, dataplane)
    assert contents(calico) == before


@pytest.mark.parametrize("case", ["privileged Pod", "aws-auth as fields of Felix"])
def test_hostile_snapshot_is_refused_to_users_too(case: str) -> None:
    change, named_object = REFUSED[case]
    calico = Calico()
    switch(calico, "ebpf")
    forge(calico, change)
    before = contents(calico)
    client, _transport = direct_client(calico.store)
    user = KubernetesCluster("prod", client=client, variables={}, say=quiet, sleep=calico.store.advance, gate_s=0)
    for call in (user.restore_for_user, lambda: user.commands(None)):
        with pytest.raises(Problem, match=named_object):
            call()
    assert contents(calico) == before


def test_kube_proxy_is_never_parked_without_ebpf() -> None:
    for dataplane in ("iptables", "nftables", "ebpf"):
        calico = Calico()
        switch(calico, dataplane)
        forge(
            calico,
            lambda snapshot: entry(snapshot, "DaemonSet")["object"]["spec"]["template"]["spec"].update(
                nodeSelector={"non-calico": "true"}
            ),
        )
        notices: list[str] = []
        client, _transport = direct_client(calico.store)
        restore.restore(around(calico, client, say=notices.append))
        assert_services_work(calico)
        assert any("DaemonSet kube-system/kube-proxy" in notice and "kubectl" in notice for notice in notices)


def test_fields_beyond_the_mode_are_never_taken_from_the_snapshot() -> None:
    calico = Calico()
    switch(calico, "nftables")
    forge(calico, set_config("clusterCIDR:", "metricsBindAddress: 0.0.0.0\nclusterCIDR:"))
    put_back(calico)
    assert calico.kube_proxy_config == CONFIG


@pytest.mark.parametrize("broken", [": : [", "", "kind: Other\n", None])
def test_unreadable_configuration_is_only_replaced_by_the_true_original(broken: str | None) -> None:
    calico = Calico()
    before = calico.settings()
    switch(calico, "nftables")
    data = calico.store.objects["", "configmaps", KUBE_SYSTEM, "kube-proxy"]["data"]
    del data["config.conf"]
    if broken is not None:
        data["config.conf"] = broken
    true_lock = lock_object(calico)["data"]["snapshot"]
    forge(calico, set_config("clusterCIDR:", "metricsBindAddress: 0.0.0.0\nclusterCIDR:"))
    found = contents(calico)
    with pytest.raises(Problem, match="ConfigMap kube-system/kube-proxy") as caught:
        put_back(calico)
    assert "kubectl -n kube-system edit configmap kube-proxy" in str(caught.value)
    assert contents(calico) == found
    lock_object(calico)["data"]["snapshot"] = true_lock
    put_back(calico)
    assert calico.settings() == before


def test_digest_of_the_original_configuration_is_there_only_while_it_is_changed() -> None:
    calico = Calico()

    def annotations() -> int:
        return len(
            calico.store.objects["", "configmaps", KUBE_SYSTEM, "kube-proxy"]["metadata"].get("annotations") or {}
        )

    for dataplane, expected in (("nftables", 1), ("iptables", 0), ("nftables", 1), ("ebpf", 0), ("nftables", 1)):
        switch(calico, dataplane)
        assert annotations() == expected
    put_back(calico)
    assert annotations() == 0


def test_endpoint_is_never_created_from_the_snapshot() -> None:
    calico = Calico()
    switch(calico, "iptables")

    def change(snapshot: Object) -> None:
        found = next(each for each in snapshot["objects"] if each["ref"]["name"] == ENDPOINT)
        found["object"] = {"metadata": {"name": ENDPOINT}, "data": {"KUBERNETES_SERVICE_HOST": "evil.example"}}

    forge(calico, change)
    before = contents(calico)
    notices: list[str] = []
    client, _transport = direct_client(calico.store)
    restore.restore(around(calico, client, say=notices.append))
    assert contents(calico) == before
    assert any(ENDPOINT in notice for notice in notices)
