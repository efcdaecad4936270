"""kube-proxy's mode by its command line, ConfigMap and static pods."""

import json
from typing import Any

import pytest

from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.config import proxy
from steps.cluster.kube.plugins.calico.inventory import kube_proxy
from steps.cluster.kube.plugins.calico.inventory.facts import Facts
from steps.cluster.kube.plugins.calico.switching.cluster_state import read_state
from steps.domain import Visit
from steps.settings.settings import choose_settings
from tests.steps.kube.calico.clusters import findings
from tests.steps.kube.fakes.api import direct_client
from tests.steps.kube.fakes.calico import CONFIG, Calico
from tests.steps.kube.switching import held, put_back, switch
from tests.steps.kube.test_adapter import RUN, put_workflow

Object = dict[str, Any]
EVERY = {"iptables", "nftables", "ebpf", "ebpf-dsr"}
IPVS = CONFIG.replace('mode: ""', "mode: ipvs")


def config_map(calico: Calico, name: str, data: Object) -> None:
    calico.store.put("", "configmaps", {"metadata": {"namespace": "kube-system", "name": name}, "data": data})


def pod(calico: Calico) -> Object:
    found: Object = calico.kube_proxy["spec"]["template"]["spec"]
    return found


def container(calico: Calico) -> Object:
    found: Object = pod(calico)["containers"][0]
    return found


def eks(calico: Calico) -> None:
    container(calico)["command"] = ["kube-proxy", "--v=2", "--config=/var/lib/kube-proxy-config/config"]
    container(calico)["volumeMounts"] = [
        {"mountPath": "/var/lib/kube-proxy/", "name": "kubeconfig"},
        {"mountPath": "/var/lib/kube-proxy-config/", "name": "config"},
    ]
    pod(calico)["volumes"] = [
        {"name": "kubeconfig", "configMap": {"name": "kube-proxy"}},
        {"name": "config", "configMap": {"name": "kube-proxy-config"}},
    ]
    config_map(calico, "kube-proxy", {"kubeconfig": "kind: Config\n"})
    config_map(calico, "kube-proxy-config", {"config": IPVS})


def eks_by_name_alone(calico: Calico) -> None:
    calico.store.take("", "configmaps", "kube-system", "kube-proxy")
    config_map(calico, "kube-proxy-config", {"config": IPVS})


def own_text(text: str) -> Any:  # noqa: ANN401
    return lambda calico: config_map(calico, "kube-proxy", {"config.conf": text})


def flags(*words: str) -> Any:  # noqa: ANN401
    def change(calico: Calico) -> None:
        container(calico)["command"] = list(words)

    return change


def renamed_key(calico: Calico) -> None:
    pod(calico)["volumes"][0]["configMap"]["items"] = [{"key": "odd", "path": "config.conf"}]
    config_map(calico, "kube-proxy", {"config.conf": CONFIG, "odd": IPVS})


def sub_path(calico: Calico) -> None:
    mount = {"mountPath": "/etc/proxy.yaml", "subPath": "config.conf", "name": "kube-proxy"}
    container(calico)["volumeMounts"] = [mount]
    container(calico)["command"] = ["kube-proxy", "--config", "/etc/proxy.yaml"]
    own_text(IPVS)(calico)


def mount_within_a_mount(calico: Calico) -> None:
    mounts = [{"mountPath": "/var/lib", "name": "host"}, *container(calico)["volumeMounts"]]
    container(calico)["volumeMounts"] = mounts
    pod(calico)["volumes"].append({"name": "host", "configMap": {"name": "elsewhere"}})
    own_text(IPVS)(calico)


def projected(calico: Calico) -> None:
    sources = [{"configMap": {"name": "mine", "items": [{"key": "a", "path": "config.conf"}]}}]
    pod(calico)["volumes"] = [{"name": "kube-proxy", "projected": {"sources": sources}}]
    config_map(calico, "mine", {"a": json.dumps({"kind": "KubeProxyConfiguration", "mode": "ipvs"})})


def no_daemon_set(calico: Calico) -> None:
    spec = {"nodeName": "node-a", "containers": [{"name": "kube-proxy", "args": ["--proxy-mode=ipvs"]}]}
    calico.store.after = lambda: None
    calico.store.take("apps", "daemonsets", "kube-system", "kube-proxy")
    for found in calico.kube_proxy_pods:
        found["spec"] = spec


def embedded(name: str, arguments: list[str]) -> Any:  # noqa: ANN401
    """As k3s and RKE2 have it: no DaemonSet, no pod, and the arguments in an annotation of each node."""

    def change(calico: Calico) -> None:
        calico.store.after = lambda: None
        calico.store.take("apps", "daemonsets", "kube-system", "kube-proxy")
        calico.store.take("", "configmaps", "kube-system", "kube-proxy")
        for found in list(calico.kube_proxy_pods):
            calico.store.take("", "pods", "kube-system", found["metadata"]["name"])
        for found in calico.store.all("", "nodes"):
            found["metadata"].setdefault("annotations", {})[name] = json.dumps(arguments)

    return change


@pytest.mark.parametrize(
    ("change", "source"),
    [
        (embedded("k3s.io/node-args", ["server", "--kube-proxy-arg", "proxy-mode=ipvs"]), "k3s.io/node-args"),
        (embedded("k3s.io/node-args", ["agent", "--kube-proxy-arg=proxy-mode=ipvs"]), "k3s.io/node-args"),
        (embedded("rke2.io/node-args", ["server", "--kube-proxy-arg", "--proxy-mode=ipvs"]), "rke2.io/node-args"),
        (eks, "ConfigMap kube-system/kube-proxy-config, key config"),
        (eks_by_name_alone, "ConfigMap kube-system/kube-proxy-config, key config"),
        (own_text(f"kind: Other\n---\n{IPVS}"), "ConfigMap kube-system/kube-proxy, key config.conf"),
        (own_text('{"kind": "KubeProxyConfiguration", "mode": "ipvs"}'), "ConfigMap kube-system/kube-proxy"),
        (own_text(CONFIG.replace('mode: ""', "mode:\tipvs")), "ConfigMap kube-system/kube-proxy"),
        (flags("/usr/local/bin/kube-proxy", "--proxy-mode=ipvs"), "its command line"),
        (flags("kube-proxy", "--proxy-mode", "ipvs", "--v=2"), "its command line"),
        (flags("/bin/sh", "-c", "exec kube-proxy --proxy-mode=ipvs 2>&1 # ours"), "its command line"),
        (renamed_key, "key odd"),
        (sub_path, "ConfigMap kube-system/kube-proxy, key config.conf"),
        (mount_within_a_mount, "ConfigMap kube-system/kube-proxy, key config.conf"),
        (projected, "ConfigMap kube-system/mine, key a"),
        (no_daemon_set, "its command line"),
    ],
)
def test_ipvs_mode_is_found_in_every_source(change: Any, source: str) -> None:  # noqa: ANN401
    calico = Calico()
    change(calico)
    found = [each for each in findings(calico) if each.severity == "skip" and "IPVS" in each.reason]
    assert {each.subject for each in found} == EVERY
    assert all(source in each.reason for each in found)
    assert not [each for each in findings(calico, "as-is") if each.severity != "warn"], "it is measured as it is"


def facts(calico: Calico) -> Facts:
    client, _transport = direct_client(calico.store)
    return read_state(client, to_switch=True).facts


@pytest.mark.parametrize(
    ("change", "mode"),
    [
        (lambda _c: None, "iptables"),
        (flags("kube-proxy", "--v=2"), "iptables"),
        (flags("kube-proxy", "--proxy-mode=nftables"), "nftables"),
        # with a configuration file, kube-proxy ignores the flag
        (flags("kube-proxy", "--proxy-mode=ipvs", "--config=/var/lib/kube-proxy/config.conf"), "iptables"),
        (flags("kube-proxy", "--config=/etc/host/config.conf"), None),
        (flags(), "iptables"),
        (own_text("kind: Other\nmode: ipvs\n"), None),
        (own_text(f"{CONFIG}---\n{IPVS}"), "iptables"),
        (own_text(CONFIG + "conntrack2:\n  mode: ipvs\n"), "iptables"),
    ],
)
def test_kube_proxy_mode_precedence(change: Any, mode: str | None) -> None:  # noqa: ANN401
    calico = Calico()
    change(calico)
    assert facts(calico).kube_proxy_mode == mode


@pytest.mark.parametrize(
    "change", [flags("kube-proxy", "--proxy-mode=iptables"), flags("kube-proxy", "--config=/etc/host/config.conf"), eks]
)
def test_unused_kube_proxy_config_map_is_ignored(change: Any) -> None:  # noqa: ANN401
    calico = Calico()
    change(calico)
    if change is eks:
        config_map(calico, "kube-proxy-config", {"config": CONFIG})
    before = calico.settings()
    skipped = {each.subject: each.reason for each in findings(calico) if each.severity == "skip"}
    assert set(skipped) == {"nftables"}
    assert "not from ConfigMap kube-system/kube-proxy" in skipped["nftables"]
    switch(calico, "ebpf")
    changed = {name for name, held in calico.settings().items() if before.get(name) != held}
    assert not [name for name in changed if name.startswith("configmaps kube-system/kube-proxy")]
    put_back(calico)
    assert calico.settings() == before


def test_unknown_kube_proxy_mode_is_a_warning() -> None:
    calico = Calico()
    flags("kube-proxy", "--config=/etc/host/config.conf")(calico)
    (found,) = findings(calico, "ebpf")
    assert found.severity == "warn"
    assert "kube-proxy's mode was not found in file /etc/host/config.conf" in found.reason


def test_disabled_kube_proxy_allows_ebpf() -> None:
    calico = Calico(mode="ipvs", felix={"bpfEnabled": True})
    calico.kube_proxy["spec"]["template"]["spec"]["nodeSelector"]["non-calico"] = "true"
    calico.store.advance(0)
    skipped = {each.subject for each in findings(calico) if each.severity == "skip"}
    assert skipped == {"iptables", "nftables"}
    switch(calico, "ebpf-dsr")
    assert facts(calico).dataplane == "ebpf-dsr"


def test_as_is_dataplane_in_ipvs_mode_is_reported_and_released() -> None:
    calico = Calico(mode="ipvs")
    client, _transport = direct_client(calico.store)
    notices: list[str] = []
    variables = {"BENCHMARK_IMAGE": "image:1", **RUN}
    who = KubernetesCluster("prod", client=client, variables=variables, say=notices.append, sleep=calico.store.advance)
    visit = Visit(visit=1, round=1, dataplane="as-is", trials=())
    settings = choose_settings(profile="smoke", dataplanes="as-is", environment="prod")
    put_workflow(calico)
    who.snapshot()
    assert who.configure(visit, settings) == []
    assert held(calico)
    (sign, *_) = who.observe(visit, "before")
    assert "Services by kube-proxy in IPVS mode" in sign.seen
    assert who.restore() == []
    assert not held(calico), "no proof is waited for that can't come"
    assert any("IPVS mode nothing proves it" in sentence for sentence in notices)


@pytest.mark.parametrize(
    "spec", [None, {}, {"containers": []}, {"containers": [{"name": "x"}]}, {"containers": [{"command": ["sh"]}]}]
)
def test_any_kube_proxy_pod_has_a_mode_source(spec: Object | None) -> None:
    found = proxy.source(spec)
    assert found.config_map is None
    assert found.known == bool(spec and spec["containers"] and spec["containers"][0].get("command"))


def test_kube_proxy_selector_is_never_empty() -> None:
    """An empty one would choose every pod of kube-system, to be deleted."""

    def chosen(**selector: Any) -> str:  # noqa: ANN401
        return kube_proxy.selector({"spec": {"selector": selector}})

    assert chosen(matchLabels={"b": "2", "a": "1"}) == "a=1,b=2"
    expressions = [
        {"key": "k8s-app", "operator": "In", "values": ["kube-proxy", "other"]},
        {"key": "x", "operator": "NotIn", "values": ["y"]},
        {"key": "here", "operator": "Exists"},
        {"key": "gone", "operator": "DoesNotExist"},
    ]
    assert chosen(matchExpressions=expressions) == "k8s-app in (kube-proxy,other),x notin (y),here,!gone"
    assert chosen() == "k8s-app=kube-proxy"


def test_unmatched_quotes_in_arguments() -> None:
    spec = {"containers": [{"command": ["sh", "-c", "kube-proxy --proxy-mode=ipvs 'x"]}]}
    assert proxy.source(spec).flag == "ipvs"
