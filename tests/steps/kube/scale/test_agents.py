"""What the agents' own metrics say of a scale, of their memory and of their CPU."""

from datetime import UTC, datetime, timedelta

import pytest

from steps.catalogue.factors import Scale
from steps.cluster.kube.plugins.calico.felix.agent import FELIX
from steps.cluster.kube.probe import agent_metrics
from steps.cluster.kube.probe.agent import Agent
from steps.cluster.kube.probe.report import HostProbe
from steps.cluster.kube.scale import agents

PAGE = """# HELP kubeproxy_sync_proxy_rules_iptables_total Total number of iptables rules owned by kube-proxy
# TYPE kubeproxy_sync_proxy_rules_iptables_total gauge
kubeproxy_sync_proxy_rules_iptables_total{ip_family="IPv4",table="filter"} 7
kubeproxy_sync_proxy_rules_iptables_total{ip_family="IPv4",table="nat"} 5.012e+03
kubeproxy_sync_proxy_rules_service_changes_pending 0
kubeproxy_sync_proxy_rules_endpoint_changes_pending 3
process_resident_memory_bytes 9.5137792e+07
process_cpu_seconds_total 12.25
process_start_time_seconds 1.76e+09
damaged{
"""
NOW = datetime(2026, 11, 26, 6, 0, tzinfo=UTC)
POLICIES = "felix_active_local_policies"


def host(
    page: str | None = PAGE, felix: dict[str, float] | None = None, after_s: float = 0.0, kernel: int = 5
) -> HostProbe:
    proxy = agent_metrics.chosen(page, agent_metrics.KUBE_PROXY)
    at = NOW + timedelta(seconds=after_s)
    return HostProbe(at=at, kube_proxy=proxy, agent=felix, kernel_memory_bytes=kernel)


def seen(found: HostProbe, scale: Scale, *, has_servers: bool = True) -> dict[str, bool | None]:
    return {sign.looked_at: sign.holds for sign in agents.signs("node-a", found, FELIX, scale, has_servers=has_servers)}


def test_chosen_metrics_are_summed_over_their_labels() -> None:
    found = agent_metrics.chosen(PAGE, (agent_metrics.PROXY_RULES, agent_metrics.CPU))
    assert found == {agent_metrics.PROXY_RULES: 5019.0, agent_metrics.CPU: 12.25}
    assert agent_metrics.chosen(None, (agent_metrics.CPU,)) is None


def test_rules_and_pending_changes_tell_whether_kube_proxy_has_all() -> None:
    found = seen(host(), Scale(services=2_500))
    assert found[agent_metrics.PROXY_RULES] is True
    assert found[agent_metrics.PENDING[0]] is True
    assert found[agent_metrics.PENDING[1]] is False, "three changes are not written yet"
    younger = agents.signs("node-a", host(), FELIX, Scale(services=2_500), has_servers=True, changes_go_on=True)
    assert {sign.looked_at: sign.holds for sign in younger}[agent_metrics.PENDING[1]] is None, "it proves nothing then"
    assert seen(host(), Scale(services=2_500, endpoints=2))[agent_metrics.PROXY_RULES] is False
    assert agent_metrics.PROXY_RULES not in seen(host(page=""), Scale(services=10)), "nftables mode counts no rules"


@pytest.mark.parametrize(
    ("count", "has_servers", "holds"), [(11, True, True), (10, True, False), (0, False, None), (11, False, None)]
)
def test_policies_apply_where_the_servers_are(count: int, has_servers: bool, holds: bool | None) -> None:  # noqa: FBT001 - a case
    found = seen(host(felix={POLICIES: float(count)}), Scale(policies=10), has_servers=has_servers)
    assert found[POLICIES] is holds


def test_agents_that_tell_nothing_give_no_sign() -> None:
    assert seen(HostProbe(at=NOW), Scale(services=10, policies=10)) == {}


def test_memory_and_cpu_are_the_larger_of_both_nodes() -> None:
    more = PAGE.replace("9.5137792e+07", "1e+08").replace("12.25", "14.25")
    felix = {agent_metrics.MEMORY: 3e7, agent_metrics.CPU: 1.0, agent_metrics.STARTED: 7.0}
    later = {**felix, agent_metrics.CPU: 1.5}
    before = {"node-a": host(felix=felix), "node-b": host(felix=felix)}
    after = {"node-a": host(more, later, 4.0, kernel=7), "node-b": host(PAGE, felix, 4.0)}
    used = agents.used(before, after, FELIX)
    assert used.columns == {
        "felix_memory_bytes": 30_000_000,
        "kube_proxy_memory_bytes": 100_000_000,
        "kernel_memory_bytes": 7,
        "felix_cpu_ratio": 0.125,
        "kube_proxy_cpu_ratio": 0.5,
    }


def test_agent_that_started_anew_has_no_cpu_and_one_without_metrics_nothing() -> None:
    anew = PAGE.replace("1.76e+09", "1.77e+09").replace("12.25", "0.5")
    found = agents.used({"node-a": host()}, {"node-a": host(anew, after_s=4.0)}, FELIX)
    assert set(found.columns) == {"kube_proxy_memory_bytes", "kernel_memory_bytes"}
    assert agents.used({}, {"node-a": HostProbe(at=NOW)}, FELIX).columns == {}


def test_agent_of_a_plugin_without_columns_gives_no_figure_of_another() -> None:
    found = {"node-a": host(felix={agent_metrics.MEMORY: 3e7})}
    assert "felix_memory_bytes" not in agents.used({}, found, Agent()).columns
