"""Outside clients that Felix excludes from direct server return are reported before a run."""

from typing import Any

import pytest

from steps.cluster.kube.plugins.calico.compatibility import direct_return
from steps.cluster.kube.servers import server_findings
from steps.cluster.kube.workloads import connectivity
from steps.domain import Finding
from steps.settings.settings import choose_settings
from tests.steps.kube.bench import MEASURED, WITH_IMAGE, Bench, report_connections
from tests.steps.kube.calico.clusters import add_env, add_felix

ONLY = "external-to-nodeport"
BOTH = "external-to-nodeport,pod-to-pod"


def findings(
    monkeypatch: pytest.MonkeyPatch, bench: Bench, *, dataplanes: str = "ebpf-dsr", topologies: str = ONLY
) -> list[Finding]:
    monkeypatch.setattr(connectivity, "CHECK_S", 0.05)
    report_connections(bench)
    settings = choose_settings(profile="smoke", dataplanes=dataplanes, topologies=topologies, environment="prod")
    return server_findings.findings(bench.client, bench.standing, MEASURED, settings, variables=WITH_IMAGE)


@pytest.mark.parametrize("cidrs", [["0.0.0.0/0"], ["192.0.2.0/24", "10.250.0.50/32"], ["no cidr", "10.250.0.0/16"]])
def test_dsr_opt_out_cidr_covering_the_client_skips_the_dataplane(
    monkeypatch: pytest.MonkeyPatch, cidrs: list[str]
) -> None:
    bench = Bench()
    bench.calico.felix["spec"]["bpfDSROptoutCIDRs"] = cidrs
    (found,) = findings(monkeypatch, bench)
    assert (found.severity, found.subject) == ("skip", "ebpf-dsr")
    assert (
        "FelixConfiguration default excludes the outside client, outside, from direct server return: "
        f"10.250.0.50 (by {cidrs[-1]})" in found.reason
    )
    assert found.remedy is not None
    assert 'patch felixconfiguration default --type merge -p \'{"spec":{"bpfDSROptoutCIDRs":null}}\'' in found.remedy
    (found,) = findings(monkeypatch, bench, topologies=BOTH)
    assert found.severity == "warn", "the other paths of the dataplane can be measured"
    assert findings(monkeypatch, bench, dataplanes="ebpf,iptables") == []
    assert findings(monkeypatch, bench, topologies="pod-to-pod") == []


def test_dsr_opt_out_cidr_of_others_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.calico.felix["spec"]["bpfDSROptoutCIDRs"] = ["192.0.2.0/24", "fd00::/8", "10.250.0.0/27"]
    add_felix("node.node-b", {"bpfDSROptoutCIDRs": ["0.0.0.0/0"]})(bench.calico)
    assert findings(monkeypatch, bench) == []


@pytest.mark.parametrize(
    ("name", "severity", "words"),
    [
        ("node.node-a", "skip", "FelixConfiguration node.node-a excludes"),
        ("some", "warn", "from direct server return, on the nodes that it selects: 10.250.0.50 (by 0.0.0.0/0)"),
    ],
)
def test_dsr_opt_out_of_node_specific_felix_configuration(
    monkeypatch: pytest.MonkeyPatch, name: str, severity: str, words: str
) -> None:
    bench = Bench()
    add_felix(name, {"bpfDSROptoutCIDRs": ["0.0.0.0/0"], "nodeSelector": "all()"})(bench.calico)
    (found,) = findings(monkeypatch, bench)
    assert found.severity == severity
    assert words in found.reason


def test_dsr_opt_out_environment_overrides_configurations(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.calico.felix["spec"]["bpfDSROptoutCIDRs"] = ["0.0.0.0/0"]
    add_env("FELIX_BPFDSROPTOUTCIDRS", "192.0.2.0/24")(bench.calico)
    assert findings(monkeypatch, bench) == []
    other = Bench()
    add_env("FELIX_BPFDSROPTOUTCIDRS", "192.0.2.0/24, 10.250.0.50/32")(other.calico)
    (found,) = findings(monkeypatch, other)
    assert found.reason.startswith("calico-node's environment excludes")


def test_dsr_opt_out_of_one_of_several_addresses_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    node: dict[str, Any] | None = bench.store.find("", "nodes", "", "outside")
    assert node is not None
    node["status"]["addresses"].append({"type": "ExternalIP", "address": "203.0.113.9"})
    bench.calico.felix["spec"]["bpfDSROptoutCIDRs"] = ["203.0.113.0/24"]
    (found,) = findings(monkeypatch, bench)
    assert found.severity == "warn"
    assert "203.0.113.9 (by 203.0.113.0/24), one of its 2 addresses" in found.reason


def test_dsr_opt_out_is_off_by_default() -> None:
    felix: list[dict[str, Any]] = [
        {"metadata": {"name": "default"}},
        {"metadata": {"name": "x"}, "spec": {"bpfDSROptoutCIDRs": None}},
    ]
    assert direct_return.opt_outs(felix, None) == {}
    assert direct_return.opt_outs(felix, "") == {}
