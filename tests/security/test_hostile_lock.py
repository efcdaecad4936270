"""What a restore takes from the ConfigMap of the lock if others may write it: only what a switch changes."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from analysis.errors import Problem
from steps.cluster.kube.api.permissions import KUBE_SYSTEM, STATE
from steps.cluster.kube.calico import restore
from steps.cluster.kube.calico.inventory import kube_proxy
from steps.cluster.kube.calico.inventory.objects import SWITCHED
from steps.cluster.kube.calico.switching.fields import DIGEST
from steps.cluster.kube.config import text
from tests.steps.kube.fake_api import direct_client
from tests.steps.kube.fake_calico import CONFIG, Calico
from tests.steps.kube.switching import CLUSTERS, held, put_back, switch

Object = dict[str, Any]
Path = tuple[str, ...]

ENDPOINT = "kubernetes-services-endpoint"
IGNORED = {"status", "resourceVersion", "generation", "managedFields", "uid", "creationTimestamp"}
NETWORK = ("spec", "calicoNetwork")
PERMITTED: dict[tuple[str, str], set[Path]] = {
    ("felixconfigurations", "default"): {("spec", name) for name in SWITCHED},
    ("installations", "default"): {
        (*NETWORK, name) for name in ("linuxDataplane", "bpfNetworkBootstrap", "kubeProxyManagement")
    },
    ("daemonsets", "kube-proxy"): {
        kube_proxy.PARKING_PATH,
        # the operator's own, when it manages kube-proxy
        (*kube_proxy.PARKING_PATH[:-1], "operator.tigera.io/disable-kube-proxy"),
    },
}


def leaves(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            if key not in IGNORED:
                yield from leaves(inner, (*path, str(key)))
    else:
        yield path, value


def contents(calico: Calico) -> dict[tuple[str, ...], Object]:
    """Every object but the lock and kube-proxy's pods, which its controller replaces."""
    found: dict[tuple[str, ...], Object] = {
        key: copy.deepcopy(each)
        for key, each in calico.store.objects.items()
        if key[3] != STATE and not (key[1] == "pods" and key[3].startswith("kube-proxy-"))
    }
    annotations = found["", "configmaps", KUBE_SYSTEM, "kube-proxy"]["metadata"].pop("annotations", {})
    assert set(annotations) <= {DIGEST.path[-1]}
    return found


def without_mode(configuration: str) -> str:
    return text.put(configuration, "KubeProxyConfiguration", "mode", "x")


def assert_only_permitted_changes(before: dict[tuple[str, ...], Object], after: dict[tuple[str, ...], Object]) -> None:
    for key in before.keys() ^ after.keys():
        assert key[3] == ENDPOINT, f"{key} was created or deleted"
        assert key in before, f"{key} was created"
        labels = before[key]["metadata"].get("labels") or {}
        assert labels.get("app.kubernetes.io/managed-by") == "dataplane-benchmark", f"{key} of others was deleted"
    for key in before.keys() & after.keys():
        old, new = dict(leaves(before[key])), dict(leaves(after[key]))
        changed = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
        if key[1:] == ("configmaps", "kube-system", "kube-proxy") and changed:
            assert changed == {("data", "config.conf")}
            assert kube_proxy.mode(str(new["data", "config.conf"])) in {"iptables", "nftables", "ipvs"}
            assert without_mode(str(new["data", "config.conf"])) == without_mode(str(old["data", "config.conf"]))
            continue
        permitted = PERMITTED.get((key[1], key[3]), set())
        unexpected = {path for path in changed if not any(path[: len(each)] == each for each in permitted)}
        assert {path[:-1] for path in permitted} >= unexpected, f"{key}: {unexpected}"


def assert_services_work(calico: Calico) -> None:
    felix, installation = calico.felix["spec"], None
    if calico.install == "operator":
        installation = calico.store.find("operator.tigera.io", "installations", "", "default")
    ebpf = (
        felix.get("bpfEnabled")
        or (installation or {}).get("spec", {}).get("calicoNetwork", {}).get("linuxDataplane") == "BPF"
    )
    assert ebpf or len(calico.kube_proxy_pods) == 2, "neither eBPF nor kube-proxy serves Services"


def lock_object(calico: Calico) -> Object:
    found = calico.store.find("", "configmaps", KUBE_SYSTEM, STATE)
    assert found is not None
    return found


def forge(calico: Calico, change: Callable[[Object], None]) -> None:
    """Change the snapshot in the lock as somebody else."""
    found = lock_object(calico)
    snapshot = json.loads(found["data"]["snapshot"])
    change(snapshot)
    found["data"]["snapshot"] = json.dumps(snapshot)


def entry(snapshot: Object, kind: str) -> Object:
    found: Object = next(each for each in snapshot["objects"] if each["ref"]["kind"] == kind)
    return found


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
        restore.restore(client, notices.append, calico.store.advance)
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
    restore.restore(client, notices.append, calico.store.advance)
    assert contents(calico) == before
    assert any(ENDPOINT in notice for notice in notices)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 5),
    st.text(max_size=5),
    st.sampled_from(
        ["BPF", "Iptables", "DSR", "Auto", "Enabled", "true", "nftables", "kube-proxy", "default", ENDPOINT]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


def paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*path, key))


@st.composite
def mutations(draw: st.DrawFn, snapshot: Object) -> Object:
    """A snapshot of which a part is replaced, deleted, repeated, or taken from another place of it."""
    mutated = copy.deepcopy(snapshot)
    every = [path for path in paths(mutated) if path]
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(every))
        holder: Any = mutated
        try:
            for key in way:
                holder = holder[key]
            holder[last]
        except (KeyError, IndexError, TypeError):
            continue
        kind = draw(st.sampled_from(["replace", "delete", "repeat", "graft"]))
        if kind == "replace":
            holder[last] = draw(VALUES)
        elif kind == "delete":
            del holder[last]
        elif kind == "repeat" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[last]))
        else:
            other: Any = snapshot
            for key in draw(st.sampled_from(every)):
                other = other[key]
            holder[last] = copy.deepcopy(other)
    return mutated


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data(), calico=CLUSTERS, dataplane=st.sampled_from(["iptables", "nftables", "ebpf", "ebpf-dsr"]))
def test_mutated_snapshot_restores_permitted_fields_or_is_refused(
    data: st.DataObject, calico: Calico, dataplane: str
) -> None:
    assume(not (dataplane == "nftables" and "3.28" in str(calico.store.objects)))
    original = contents(calico)
    switch(calico, dataplane)
    true_lock = json.loads(lock_object(calico)["data"]["snapshot"])
    mutated = data.draw(mutations(true_lock))
    lock_object(calico)["data"]["snapshot"] = json.dumps(mutated)
    before = contents(calico)
    sentence = ""
    try:
        put_back(calico, insist=True)
    except Problem as problem:
        sentence = str(problem)
    assert "\n" not in sentence
    assert held(calico) == ("kubectl" in sentence)
    assert_only_permitted_changes(before, contents(calico))
    if not held(calico):
        assert_only_permitted_changes_from_the_start(original, contents(calico))
        assert_services_work(calico)


def assert_only_permitted_changes_from_the_start(
    original: dict[tuple[str, ...], Object], after: dict[tuple[str, ...], Object]
) -> None:
    """Beyond the permitted fields a cluster is as it was before the run."""
    kept = {key: found for key, found in after.items() if key in original or key[3] != ENDPOINT}
    assert_only_permitted_changes(original, kept)
