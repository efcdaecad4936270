"""Variables of calico-node that override FelixConfiguration, from every source, are found before a switch."""

from typing import Any

import pytest

from steps.cluster.kube.plugins.calico.inventory.facts import Facts
from steps.cluster.kube.plugins.calico.switching.cluster_state import read_state
from steps.domain import Finding
from tests.steps.kube.calico.clusters import findings
from tests.steps.kube.fakes.api import direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.switching import running, switch

Object = dict[str, Any]
EVERY = {"iptables", "nftables", "ebpf", "ebpf-dsr"}
FELIX = "FELIX_BPFENABLED"


def container(calico: Calico) -> Object:
    agent = calico.store.find("apps", "daemonsets", calico.namespace, "calico-node")
    assert agent is not None
    found: Object = agent["spec"]["template"]["spec"]["containers"][0]
    return found


def env(calico: Calico, name: str, source: Object | None = None, value: str | None = None) -> None:
    entry = {"name": name, **({"valueFrom": source} if source else {}), **({"value": value} if value else {})}
    container(calico)["env"].append(entry)


def config_map(calico: Calico, name: str, data: Object) -> None:
    calico.store.put("", "configmaps", {"metadata": {"namespace": "kube-system", "name": name}, "data": data})


def from_config_map(calico: Calico, *, optional: bool = False) -> None:
    env(calico, FELIX, {"configMapKeyRef": {"name": "felix", "key": "bpf", "optional": optional}})


def skipped(calico: Calico, accepted: frozenset[str] = frozenset()) -> list[Finding]:
    return [found for found in findings(calico, accepted=accepted) if found.severity == "skip"]


def facts(calico: Calico) -> Facts:
    client, _transport = direct_client(calico.store)
    return read_state(client, to_switch=True).facts


def key_of_config_map(calico: Calico) -> None:
    config_map(calico, "felix", {"bpf": "false"})
    from_config_map(calico)


def whole_config_map(calico: Calico) -> None:
    config_map(calico, "felix", {FELIX: "false", "OTHER": "x"})
    container(calico)["envFrom"].append({"configMapRef": {"name": "felix"}})


def prefixed_config_map(calico: Calico) -> None:
    config_map(calico, "felix", {"bpfenabled": "false"})
    container(calico)["envFrom"].append({"prefix": "felix_", "configMapRef": {"name": "felix"}})


def endpoints_config_map(calico: Calico) -> None:
    config_map(calico, "kubernetes-services-endpoint", {FELIX: "false", "KUBERNETES_SERVICE_HOST": "a"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (key_of_config_map, "from key bpf of ConfigMap felix (false)"),
        (whole_config_map, "from ConfigMap felix (false)"),
        (prefixed_config_map, "from ConfigMap felix (false)"),
        (endpoints_config_map, "from ConfigMap kubernetes-services-endpoint (false)"),
        (
            lambda c: env(c, FELIX, {"secretKeyRef": {"name": "s", "key": "k"}}),
            "from key k of Secret s (an unknown value)",
        ),
        (
            lambda c: env(c, FELIX, {"fieldRef": {"fieldPath": "metadata.annotations['bpf']"}}),
            "from the pod's metadata.annotations['bpf'] (an unknown value)",
        ),
        (lambda c: env(c, "felix_BpfEnabled", value="false"), "sets FELIX_BPFENABLED=false"),
        (lambda c: env(c, FELIX), "sets FELIX_BPFENABLED="),
    ],
)
def test_environment_variable_that_overrides_the_patch_is_found(change: Any, words: str) -> None:  # noqa: ANN401
    calico = Calico()
    change(calico)
    found = skipped(calico)
    assert {each.subject for each in found} == EVERY
    assert all(
        words in each.reason and "which takes precedence over FelixConfiguration" in each.reason for each in found
    )
    assert all("`" in (each.remedy or "") for each in found)


def test_config_map_environment_decides_the_dataplane() -> None:
    calico = Calico()
    config_map(calico, "felix", {"bpf": "true"})
    from_config_map(calico)
    assert running(calico) == "ebpf"
    assert {name: each.value for name, each in facts(calico).overrides.items()} == {"bpfEnabled": "true"}


@pytest.mark.parametrize("present", [True, False])
def test_missing_optional_config_map_key_sets_nothing(present: bool) -> None:  # noqa: FBT001
    calico = Calico()
    if present:
        config_map(calico, "felix", {"other": "x"})
    from_config_map(calico, optional=True)
    assert skipped(calico) == []
    switch(calico, "ebpf")
    assert running(calico) == "ebpf"


def test_env_overrides_env_from_and_later_overrides_earlier() -> None:
    calico = Calico()
    config_map(calico, "felix", {FELIX: "true"})
    container(calico)["envFrom"].append({"configMapRef": {"name": "felix"}})
    env(calico, FELIX, value="true")
    env(calico, FELIX, value="false")
    assert {name: each.value for name, each in facts(calico).overrides.items()} == {"bpfEnabled": "false"}


@pytest.mark.parametrize("kind", ["secretRef", "configMapRef"])
def test_unreadable_environment_source_stops_a_switch(kind: str) -> None:
    calico = Calico()
    if kind == "configMapRef":  # in another namespace than the one whose ConfigMaps may be read
        move(calico)
    container(calico)["envFrom"].append({kind: {"name": "extra"}})
    found = skipped(calico)
    assert {each.subject for each in found} == EVERY
    assert all("takes variables from" in each.reason and "extra" in each.reason for each in found)
    assert all("BENCHMARK_ACCEPT=environment" in (each.remedy or "") for each in found)
    assert skipped(calico, frozenset({"environment"})) == []


def move(calico: Calico) -> None:
    agent = calico.store.find("apps", "daemonsets", "kube-system", "calico-node")
    assert agent is not None
    calico.store.take("apps", "daemonsets", "kube-system", "calico-node")
    agent["metadata"]["namespace"] = calico.namespace = "calico"
    agent["spec"]["template"]["spec"]["containers"][0]["envFrom"] = []
    calico.store.put("apps", "daemonsets", agent)


def test_default_manifest_environment_stops_nothing() -> None:
    assert skipped(Calico()) == []
    assert facts(Calico()).unread_environment == ()


def test_environment_sources_without_felix_variables_are_not_read() -> None:
    calico = Calico()
    facts(calico)
    read = {request.name for request in calico.store.requests if request.plural == "configmaps"}
    assert "calico-config" not in read


def test_environment_override_keeps_configure_from_patching() -> None:
    calico = Calico()
    key_of_config_map(calico)
    before = calico.settings()
    with pytest.raises(Exception, match="which takes precedence over FelixConfiguration"):
        switch(calico, "ebpf")
    assert calico.settings() == before
