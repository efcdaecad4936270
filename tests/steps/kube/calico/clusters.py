"""Clusters that a preflight finds fault with, and what it finds."""

from collections.abc import Callable
from typing import Any

from steps.cluster.kube.plugins.calico import preflight
from steps.cluster.kube.plugins.calico.switching.cluster_state import ClusterState, read_state
from steps.domain import Finding
from steps.settings.settings import choose_settings
from tests.steps.kube.fakes.api import direct_client
from tests.steps.kube.fakes.calico import Calico

Object = dict[str, Any]
Change = Callable[[Calico], object]
ALL = "iptables,nftables,ebpf,ebpf-dsr"


def standing(calico: Calico) -> ClusterState:
    client, _transport = direct_client(calico.store)
    return read_state(client, to_switch=True)


def findings(
    calico: Calico, dataplanes: str = ALL, asked_nodes: str = "", accepted: frozenset[str] = frozenset()
) -> list[Finding]:
    here = standing(calico)
    settings = choose_settings(profile="smoke", dataplanes=dataplanes, environment="prod", seed_source=lambda: 1)
    return preflight.findings(here, settings, asked_nodes, accepted)


def node(calico: Calico, name: str = "node-a") -> Object:
    found = calico.store.find("", "nodes", "", name)
    assert found is not None
    return found


def add_node(calico: Calico, name: str, **fields: Any) -> Object:  # noqa: ANN401
    """A node like node-a, with other fields of its status's nodeInfo."""
    found = {**node(calico), "metadata": {**node(calico)["metadata"], "name": name, "uid": name}}
    found["status"] = {**found["status"], "nodeInfo": {**found["status"]["nodeInfo"], **fields}}
    if found["status"]["nodeInfo"]["operatingSystem"] == "linux":
        calico.run_agent(name)
    return calico.store.put("", "nodes", found)


def agent(calico: Calico) -> Object:
    found = calico.store.find("apps", "daemonsets", calico.namespace, "calico-node")
    assert found is not None
    return found


def add_env(name: str, value: str) -> Change:
    def change(calico: Calico) -> None:
        agent(calico)["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": name, "value": value})

    return change


def add_felix(name: str, spec: Object) -> Change:
    return lambda calico: calico.store.put(
        calico.group, "felixconfigurations", {"metadata": {"name": name}, "spec": spec}
    )


def daemon_set(name: str, namespace: str = "kube-system") -> Change:
    body = {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": {"spec": {"containers": []}}, "selector": {"matchLabels": {"app": name}}},
    }
    return lambda calico: calico.store.put("apps", "daemonsets", body)


def set_kernel(version: str) -> Change:
    def change(calico: Calico) -> None:
        node(calico)["status"]["nodeInfo"]["kernelVersion"] = version

    return change


def label(key: str, value: str) -> Change:
    def change(calico: Calico) -> None:
        calico.kube_proxy["metadata"].setdefault("labels", {})[key] = value

    return change


def nothing() -> None:
    """Keep no controller."""


def drop_kube_proxy(calico: Calico) -> None:
    calico.store.after = nothing
    calico.store.take("apps", "daemonsets", "kube-system", "kube-proxy")


def in_ebpf_without_kube_proxy(calico: Calico) -> None:
    calico.felix["spec"]["bpfEnabled"] = True
    drop_kube_proxy(calico)


def on_aws(calico: Calico) -> None:
    for name in ("node-a", "node-b"):
        node(calico, name)["spec"]["providerID"] = "aws:///eu-west-1a/i-0123"
    (pool,) = calico.store.all(calico.group, "ippools")
    pool["spec"]["vxlanMode"] = "CrossSubnet"


def without_calico(calico: Calico) -> None:
    calico.store.take("apps", "daemonsets", "kube-system", "calico-node")
    daemon_set("cilium")(calico)
    for name in ("node-a", "node-b"):
        node(calico, name)["metadata"]["annotations"] = {}
