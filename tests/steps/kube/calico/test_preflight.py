"""The reasons against a run, each with a name and a remedy."""

from collections.abc import Callable
from typing import Any

import pytest

from analysis.errors import Unsupported
from steps.cluster.kube.api.permissions import V3_GROUP
from steps.cluster.kube.plugins.calico.switching.switch import switch_commands
from tests.steps.kube.calico.clusters import (
    ALL,
    Change,
    Object,
    add_env,
    add_felix,
    add_node,
    daemon_set,
    drop_kube_proxy,
    findings,
    in_ebpf_without_kube_proxy,
    label,
    node,
    on_aws,
    set_kernel,
    standing,
    without_calico,
)
from tests.steps.kube.fakes.api import direct_client
from tests.steps.kube.fakes.calico import Calico


def test_healthy_cluster_has_no_findings() -> None:
    makes: list[Callable[[], Calico]] = [Calico, lambda: Calico(group=V3_GROUP)]
    for make in makes:
        assert findings(make()) == []


@pytest.mark.parametrize(
    ("dataplanes", "words", "broken"),
    [(ALL, "45 to 112 s", True), ("iptables,nftables", "45 to 112 s", False), ("as-is", "", False)],
)
def test_preflight_reports_what_an_operator_install_costs(dataplanes: str, words: str, *, broken: bool) -> None:
    found = findings(Calico("operator"), dataplanes)
    assert [finding.severity for finding in found] == (["warn"] if words else [])
    assert all(words in finding.reason for finding in found)
    assert [True for finding in found if "4 of 6 long-lived connections" in finding.reason] == [True] * broken


@pytest.mark.parametrize(
    ("change", "subjects", "words"),
    [
        (set_kernel("4.19.0-25-amd64"), {"ebpf", "ebpf-dsr", "nftables"}, "node node-a has kernel 4.19.0-25-amd64"),
        (set_kernel("5.10.0"), {"nftables"}, "5.13 is needed"),
        (add_env("FELIX_BPFENABLED", "false"), {"iptables", "nftables", "ebpf", "ebpf-dsr"}, "FELIX_BPFENABLED=false"),
        (
            lambda c: c.felix["spec"].update(logSeverityScreen="Error"),
            {"ebpf", "ebpf-dsr"},
            "Felix logs at level Error",
        ),
        (add_env("FELIX_LOGSEVERITYSCREEN", "WARNING"), {"ebpf", "ebpf-dsr"}, "Felix logs at level WARNING"),
        (
            add_env("FELIX_NFTABLESMODE", "Auto"),
            {"iptables", "nftables"},
            "which takes precedence over FelixConfiguration",
        ),
        (add_felix("node.node-a", {"bpfEnabled": True}), {"iptables", "nftables", "ebpf", "ebpf-dsr"}, "node.node-a"),
        (
            add_felix("some", {"bpfExternalServiceMode": "DSR", "nodeSelector": "all()"}),
            {"ebpf", "ebpf-dsr"},
            "FelixConfiguration some sets bpfExternalServiceMode for some nodes",
        ),
        (lambda c: add_node(c, "win", operatingSystem="windows"), {"ebpf", "ebpf-dsr"}, "nodes win run Windows"),
        (drop_kube_proxy, {"nftables", "ebpf", "ebpf-dsr"}, "kube-proxy"),
    ],
)
def test_unsupported_dataplane_is_skipped(change: Change, subjects: set[str], words: str) -> None:
    calico = Calico()
    change(calico)
    found = [finding for finding in findings(calico) if finding.severity == "skip"]
    assert {finding.subject for finding in found} == subjects
    assert words in " ".join(finding.reason for finding in found)
    assert not [f for f in findings(calico, "as-is") if f.severity == "skip"], "only requested dataplanes are reported"


@pytest.mark.parametrize(
    ("make", "subjects", "words"),
    [
        (lambda: Calico(mode="ipvs"), {"iptables", "nftables", "ebpf", "ebpf-dsr"}, "IPVS"),
        (lambda: Calico(version="v3.28.0"), {"nftables", "ebpf", "ebpf-dsr"}, "leaves its connect-time load balancer"),
        (lambda: Calico(version="v3.30.0"), {"ebpf", "ebpf-dsr"}, "issue 9620"),
        (lambda: Calico(version="v3.30.1"), set(), ""),
        (lambda: Calico(version="v3.28.5"), {"nftables"}, "has no nftables dataplane"),
    ],
)
def test_known_faults_of_calico_versions(make: Callable[[], Calico], subjects: set[str], words: str) -> None:
    found = [finding for finding in findings(make()) if finding.severity == "skip"]
    assert {finding.subject for finding in found} == subjects
    assert not words or words in " ".join(finding.reason for finding in found)


def test_stale_load_balancer_fault_is_ignored_with_ebpf_alone() -> None:
    assert [f for f in findings(Calico(version="v3.30.0"), "ebpf,ebpf-dsr") if f.severity == "skip"] == []


@pytest.mark.parametrize(
    ("change", "tool"),
    [
        (label("argocd.argoproj.io/instance", "infra"), "Argo CD"),
        (label("kustomize.toolkit.fluxcd.io/name", "infra"), "Flux"),
        (label("addonmanager.kubernetes.io/mode", "Reconcile"), "the add-on manager"),
    ],
)
def test_gitops_controller_finding_stops_unless_accepted(change: Change, tool: str) -> None:
    calico = Calico()
    change(calico)
    (found,) = findings(calico)
    assert (found.severity, found.reason.split(" is maintained by ")[0]) == ("stop", "DaemonSet kube-system/kube-proxy")
    assert tool in found.reason
    assert found.remedy is not None
    assert "BENCHMARK_ACCEPT=gitops" in found.remedy
    (accepted,) = findings(calico, accepted=frozenset({"gitops"}))
    assert accepted.severity == "warn"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (on_aws, "source/destination check"),
        (lambda c: node(c)["metadata"]["labels"].update({"topology.kubernetes.io/zone": "b"}), "differ in zone"),
        (daemon_set("kube-flannel-ds", "kube-flannel"), "Flannel runs beside Calico"),
    ],
)
def test_conditions_that_disturb_measurements_are_warnings(change: Change, words: str) -> None:
    calico = Calico()
    change(calico)
    (found,) = findings(calico)
    assert found.severity == "warn"
    assert words in found.reason


@pytest.mark.parametrize("install", ["manifest", "operator"])
def test_empty_api_server_address_is_a_warning(install: Any) -> None:  # noqa: ANN401
    calico = Calico(install, bootstraps=False)
    place = "tigera-operator" if install == "operator" else "kube-system"
    name = {"namespace": place, "name": "kubernetes-services-endpoint"}
    calico.store.put("", "configmaps", {"metadata": name, "data": {"KUBERNETES_SERVICE_HOST": "lb.example"}})
    (found,) = [each for each in findings(calico, "ebpf") if "ConfigMap" in each.reason]
    assert found.severity == "warn"
    assert f"ConfigMap {place}/kubernetes-services-endpoint lacks" in found.reason
    assert not [each for each in findings(calico, "nftables") if "ConfigMap" in each.reason]


def test_source_destination_check_disabled_by_calico_is_accepted() -> None:
    calico = Calico(felix={"awsSrcDstCheck": "Disable"})
    on_aws(calico)
    assert findings(calico) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [(daemon_set("calico-vpp-node", "calico-vpp-dataplane"), "VPP"), (without_calico, "Cilium does")],
)
def test_as_is_dataplane_needs_no_switch(change: Change, words: str) -> None:
    calico = Calico()
    change(calico)
    assert findings(calico, "as-is") == []
    found = findings(calico, "ebpf,as-is")
    assert [f.subject for f in found] == ["ebpf"]
    assert words in found[0].reason
    client, _transport = direct_client(calico.store)
    assert switch_commands(client, "as-is") == []
    with pytest.raises(Unsupported, match="as-is"):
        switch_commands(client, "ebpf")


def test_burden_rules_are_lab_only() -> None:
    (found,) = findings(Calico(), "ebpf,ebpf+burden=100")
    assert found.severity == "stop"
    assert "ebpf+twin" in str(found.remedy)


def test_node_pressure_is_a_finding() -> None:
    calico = Calico()
    add_node(calico, "node-c")
    conditions = [{"type": "Ready", "status": "True"}, {"type": "MemoryPressure", "status": "True"}]
    node(calico)["status"]["conditions"] = conditions
    (found,) = findings(calico)
    assert (found.severity, found.reason) == ("warn", "node node-a has MemoryPressure.")
    (found,) = [f for f in findings(calico, asked_nodes="node-a,node-b") if f.severity == "stop"]
    assert "node node-a has MemoryPressure" in found.reason


def test_single_node_cluster_is_refused() -> None:
    calico = Calico()
    node(calico)["spec"]["unschedulable"] = True
    (found,) = findings(calico)
    assert found.severity == "stop"
    assert "node-a takes no pods (cordoned or tainted)" in found.reason


@pytest.mark.parametrize(
    ("felix", "variable", "value", "runs"),
    [
        ({"bpfEnabled": True}, "FELIX_BPFENABLED", "false", "iptables"),
        ({}, "FELIX_BPFENABLED", "True", "ebpf"),
        ({"bpfEnabled": True}, "FELIX_BPFEXTERNALSERVICEMODE", "dsr", "ebpf-dsr"),
        ({}, "FELIX_NFTABLESMODE", "enabled", "nftables"),
        ({"nftablesMode": "Enabled"}, "FELIX_NFTABLESMODE", "Disabled", "iptables"),
    ],
)
def test_calico_node_environment_decides_the_dataplane(felix: Object, variable: str, value: str, runs: str) -> None:
    calico = Calico(felix=felix)
    add_env(variable, value)(calico)
    assert standing(calico).facts.dataplane == runs


@pytest.mark.parametrize(
    ("version", "felix", "env", "follows"),
    [
        ("v3.32.1", {"nftablesMode": None}, "", True),
        ("v3.32.1", {"nftablesMode": "Auto"}, "", True),
        ("v3.32.1", {"nftablesMode": "Enabled"}, "", False),
        ("v3.32.1", {"nftablesMode": "Auto"}, "Disabled", False),
        ("v3.31.0", {"nftablesMode": "Enabled"}, "", False),
    ],
)
def test_felix_follows_kube_proxy_mode_only_when_configured(
    version: str, felix: Object, env: str, *, follows: bool
) -> None:
    calico = Calico(version=version, felix=felix)
    if env:
        add_env("FELIX_NFTABLESMODE", env)(calico)
    assert standing(calico).facts.follows_kube_proxy is follows


HARMS: tuple[Change, ...] = (
    set_kernel("4.19.0"),
    add_env("FELIX_BPFENABLED", "false"),
    add_env("FELIX_LOGSEVERITYSCREEN", "Error"),
    add_felix("node.node-a", {"bpfEnabled": True}),
    add_felix("some", {"nftablesMode": "Enabled", "nodeSelector": "all()"}),
    lambda c: c.felix["spec"].update(logSeverityScreen="Fatal"),
    lambda c: add_node(c, "win", operatingSystem="windows"),
    drop_kube_proxy,
    in_ebpf_without_kube_proxy,
    on_aws,
    without_calico,
    daemon_set("calico-vpp-node", "calico-vpp-dataplane"),
    label("argocd.argoproj.io/instance", "infra"),
    lambda c: node(c)["spec"].update(unschedulable=True),
    lambda c: c.store.take("", "configmaps", "kube-system", "kube-proxy"),
    lambda c: c.store.take("discovery.k8s.io", "endpointslices", "default", "kubernetes"),
)


@pytest.mark.parametrize("index", range(len(HARMS) + 4))
def test_every_finding_has_a_remedy(index: int) -> None:
    versions = ("v3.28.0", "v3.30.0", "v3.25.0")
    calico = Calico(version=versions[index - len(HARMS)]) if 0 <= index - len(HARMS) < 3 else Calico(mode="ipvs")
    if index < len(HARMS):
        calico = Calico()
        HARMS[index](calico)
    for asked_nodes in ("", "node-a,node-b", "nowhere,node-a"):
        found = findings(calico, f"{ALL},ebpf+burden=100", asked_nodes)
        assert found
        for each in found:
            if each.severity != "warn":
                assert "`" in (each.remedy or "") or (each.remedy or "").startswith("No command mends that: "), each
