"""The nodes with Calico are those of its agent's pods, whatever assigns addresses in the cluster."""

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import Any

import psutil
import pytest

from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.api import nodes
from steps.cluster.kube.plugins.calico.felix.agent import FELIX
from steps.cluster.kube.plugins.calico.inventory import provenance
from steps.cluster.kube.plugins.calico.proof import observations, observe
from steps.cluster.kube.plugins.calico.switching.switch import switch_commands
from steps.cluster.kube.probe import echo, node_probe
from steps.cluster.kube.probe.rest import Messages, Rest
from steps.cluster.kube.servers import trial_servers
from steps.cluster.kube.workloads import probe_pods
from steps.domain import Visit
from steps.settings.settings import choose_settings
from tests.steps.kube.bench import EVERY, MEASURED, WITH_IMAGE, Bench, settings, visit
from tests.steps.kube.calico.clusters import ALL, add_node, agent, daemon_set, findings, node, on_aws, standing
from tests.steps.kube.fakes.api import direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.switching import around
from tests.steps.kube.test_adapter import RUN, put_workflow

Object = dict[str, Any]
IPV6 = {"node-a": "fd00:250::11", "node-b": "fd00:250::12", "outside": "fd00:250::50"}

TOKEN = "0" * 32
MESSAGES = Messages.of(TOKEN)


def policy_only(calico: Calico, cni: str = "aws-node") -> None:
    """Calico beside another network plugin, as on EKS, AKS and GKE: no pools, and nothing noted on nodes."""
    daemon_set(cni)(calico)
    for pool in calico.store.all(calico.group, "ippools"):
        calico.store.take(calico.group, "ippools", "", pool["metadata"]["name"])
    for name in ("node-a", "node-b"):
        node(calico, name)["metadata"]["annotations"] = {}


def ipv6_only(calico: Calico) -> None:
    for name, address in IPV6.items():
        found = calico.store.find("", "nodes", "", name)
        if found is None:
            continue
        found["spec"]["podCIDR"] = "fd00:64::/64"
        found["status"]["addresses"] = [
            {"type": "InternalIP", "address": address},
            {"type": "Hostname", "address": name},
        ]
        if name != "outside":
            found["metadata"]["annotations"] = {"projectcalico.org/IPv6Address": f"{address}/64"}


@pytest.mark.parametrize("cni", ["aws-node", "azure-cns", "netd", "host-local"])
def test_policy_only_cluster_is_measured(cni: str) -> None:
    calico = Calico()
    policy_only(calico, cni)
    on = standing(calico).facts
    assert on.policy_only
    assert [n.name for n in on.linux_nodes] == ["node-a", "node-b"]
    assert nodes.choose_nodes(on.nodes) == ("node-a", "node-b")
    assert nodes.outside_nodes(on.nodes) == ()
    (found,) = findings(calico)
    assert found.severity == "warn"
    assert "Calico enforces policy here and gives pods neither addresses nor routes" in found.reason
    client, _transport = direct_client(calico.store)
    assert switch_commands(client, "ebpf")


def canal(calico: Calico, name: str) -> None:
    """Calico's agent beside Flannel's in the pods of one DaemonSet, as Canal and Rancher's distributions have it."""
    policy_only(calico, "host-local")
    found = agent(calico)
    calico.store.take("apps", "daemonsets", "kube-system", "calico-node")
    found["metadata"]["name"] = name
    found["spec"]["selector"] = {"matchLabels": {"k8s-app": "canal"}}
    flannel = {"name": "kube-flannel", "image": "flannel:v0.26.0", "env": [{"name": "FELIX_BPFENABLED", "value": "x"}]}
    found["spec"]["template"]["spec"]["containers"].insert(0, flannel)
    calico.store.put("apps", "daemonsets", found)
    for pod in calico.store.all("", "pods", "kube-system"):
        if pod["metadata"]["labels"].get("k8s-app") == "calico-node":
            pod["metadata"]["labels"]["k8s-app"] = "canal"


@pytest.mark.parametrize("name", ["canal", "rke2-canal"])
def test_canal_is_calico_whatever_its_daemon_set_is_called(name: str) -> None:
    calico = Calico()
    canal(calico, name)
    calico.store.take(calico.group, "clusterinformations", "", "default")
    here = standing(calico)
    facts = here.facts
    assert (facts.install, facts.agent, facts.agent_labels, facts.overrides) == ("manifest", name, "k8s-app=canal", {})
    assert facts.calico_version != "v0.26.0"
    assert [n.name for n in facts.linux_nodes] == ["node-a", "node-b"]
    assert any("gives pods neither addresses nor routes, which Flannel does" in f.reason for f in findings(calico))
    client, _transport = direct_client(calico.store)
    assert switch_commands(client, "ebpf")
    calico.store.say(
        "kube-system", "calico-node-node-a", "2026-11-23 06:00:00.000 [INFO][7] felix/x.go 1: Felix starting up"
    )
    assert observations.read_logs(client, here, MEASURED)["node-a"] is not None


def test_policy_only_provenance() -> None:
    calico = Calico()
    policy_only(calico)
    here = standing(calico)
    facts = provenance.provenance(here.facts, here.inventory, MEASURED)
    assert (facts["cni"], facts["policy_only"], facts["other_cnis"]) == ("Calico", True, ["Amazon VPC CNI"])
    client, _transport = direct_client(calico.store)
    one = Visit(visit=1, round=1, dataplane="as-is", trials=())
    signs = observe.observe(around(calico, client), here, MEASURED, one, "before")
    assert {sign.seen for sign in signs} == {"Calico v3.32.1, iptables, for policy on Amazon VPC CNI"}
    assert provenance.provenance(standing(Calico()).facts, here.inventory, MEASURED)["policy_only"] is False


def test_vpc_cni_pods_pass_the_source_destination_check() -> None:
    calico = Calico()
    on_aws(calico)
    assert any("source/destination check" in f.reason for f in findings(calico))
    policy_only(calico)
    assert not any("source/destination check" in f.reason for f in findings(calico))


def test_node_without_calico_node_is_outside() -> None:
    calico = Calico()
    calico.store.take("", "pods", "kube-system", "calico-node-node-b")
    agent(calico)["status"]["desiredNumberScheduled"] = 1
    facts = standing(calico).facts
    assert [n.name for n in facts.linux_nodes] == ["node-a"]
    assert [n.name for n in nodes.outside_nodes(facts.nodes)] == ["node-b"]
    assert "has no agent of the network plugin" in nodes.why_unfit(facts.nodes[1])


@pytest.mark.parametrize("going", [{"deletionTimestamp": "2026-11-23T06:00:00Z"}, None])
def test_node_with_restarting_calico_node_is_inside(going: Object | None) -> None:
    calico = Calico()
    if going is None:
        calico.store.take("", "pods", "kube-system", "calico-node-node-b")
    else:
        found = calico.store.find("", "pods", "kube-system", "calico-node-node-b")
        assert found is not None
        found["metadata"].update(going)
    assert [n.name for n in standing(calico).facts.linux_nodes] == ["node-a", "node-b"]


def test_ipv6_only_cluster() -> None:
    bench = Bench()
    ipv6_only(bench.calico)
    bench.kubelet.address = "fd00:64::{}"
    facts = bench.standing.facts
    assert facts.ipv6_only
    assert [n.name for n in facts.linux_nodes] == ["node-a", "node-b"]
    found = {
        placement.topology: placement
        for placement in trial_servers.prepare(
            bench.client, bench.standing, MEASURED, visit(*EVERY), settings(), variables=WITH_IMAGE
        )
    }
    assert found["node-to-node"].address == "fd00:250::12"
    assert found["external-to-nodeport"].address == "fd00:250::11"
    assert found["pod-to-pod"].address.startswith("fd00:64::")
    for placement in found.values():
        for monitor in placement.monitors:
            assert monitor.source.startswith("http://[fd00:64::"), monitor
            assert monitor.source.rpartition("/")[0].endswith("]:5203")


@pytest.mark.parametrize(
    ("version", "left_out"),
    [("v3.26.4", {"ebpf", "ebpf-dsr"}), ("v3.27.2", set()), ("v3.32.1", set())],
)
def test_ebpf_is_skipped_on_ipv6_only_nodes(version: str, left_out: set[str]) -> None:
    calico = Calico(version=version)
    before = {f.subject for f in findings(calico) if "IPv6" in f.reason}
    ipv6_only(calico)
    reasons = [f for f in findings(calico) if "carries no IPv6" in f.reason]
    assert before == set()
    assert {f.subject for f in reasons} == left_out
    assert "not managed" not in " ".join(f.reason for f in findings(calico, ALL))


def test_address_family_of_the_cluster() -> None:
    found = node(Calico())
    both = [{"type": "InternalIP", "address": a} for a in ("10.250.0.11", "fd00:250::11")]
    for cidr, first in (("10.64.0.0/24", "10.250.0.11"), ("fd00:64::/64", "fd00:250::11"), (None, "10.250.0.11")):
        other = {**found, "spec": {"podCIDR": cidr}, "status": {**found["status"], "addresses": both}}
        assert nodes.read_node(other, ("node-a",)).address == first


def test_nodes_of_the_same_architecture_are_preferred() -> None:
    calico = Calico()
    for name, arch, zone in (("node-c", "arm64", "z"), ("node-d", "arm64", "z"), ("node-a", "amd64", "z")):
        found = add_node(calico, name, architecture=arch) if name != "node-a" else node(calico)
        found["metadata"] = {**found["metadata"], "labels": {**found["metadata"]["labels"]}}
        found["metadata"]["labels"]["topology.kubernetes.io/zone"] = zone
    node(calico, "node-d")["metadata"]["labels"]["topology.kubernetes.io/zone"] = "y"
    node(calico, "node-b")["spec"]["unschedulable"] = True
    assert nodes.choose_nodes(standing(calico).facts.nodes) == ("node-c", "node-d")


def test_mixed_architectures_are_reported() -> None:
    calico = Calico()
    node(calico, "node-b")["status"]["nodeInfo"]["architecture"] = "arm64"
    (found,) = findings(calico)
    assert (found.severity, found.reason) == ("warn", "node-a and node-b differ in architecture (amd64 and arm64).")
    here = standing(calico)
    facts = provenance.provenance(here.facts, here.inventory, MEASURED)
    assert facts["architecture"] is None
    assert [each["architecture"] for each in facts["nodes"]] == ["amd64", "arm64"]  # type: ignore[attr-defined]
    same = standing(Calico())
    assert provenance.provenance(same.facts, same.inventory, MEASURED)["architecture"] == "amd64"


def test_probe_answers_on_ipv4_and_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    async def echoed(family: socket.AddressFamily, address: str) -> tuple[bytes, bytes]:
        async with AsyncExitStack() as stack:
            with socket.create_server(("127.0.0.1", 0)) as taken:
                port = taken.getsockname()[1]
            await echo.serve_echo(port, Rest(MESSAGES, learns=False), stack)
            reader, writer = await asyncio.open_connection(address, port)
            writer.write(MESSAGES.request)
            by_tcp = await asyncio.wait_for(reader.readexactly(len(MESSAGES.reply)), 5)
            writer.close()
            loop = asyncio.get_running_loop()
            with socket.socket(family, socket.SOCK_DGRAM) as client:
                client.setblocking(False)  # noqa: FBT003 - the standard library's
                client.connect((address, port))
                await loop.sock_sendall(client, MESSAGES.request)
                by_udp = await asyncio.wait_for(loop.sock_recv(client, 99), 5)
            return by_tcp, by_udp

    assert asyncio.run(echoed(socket.AF_INET, "127.0.0.1")) == (MESSAGES.reply, MESSAGES.reply)
    if any(a.address == "::1" for found in psutil.net_if_addrs().values() for a in found):
        assert asyncio.run(echoed(socket.AF_INET6, "::1")) == (MESSAGES.reply, MESSAGES.reply)
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    assert asyncio.run(echoed(socket.AF_INET, "127.0.0.1")) == (MESSAGES.reply, MESSAGES.reply)


def test_interface_is_found_by_any_spelling_of_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    class Address:
        def __init__(self, address: str) -> None:
            self.address = address

    own = {"lo": [Address("::1")], "eth0": [Address("02:00:00:00:00:01"), Address("fd00:250:0:0::11%eth0")]}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: own)
    monkeypatch.setattr(psutil, "net_if_stats", dict)
    assert node_probe._uplink("fd00:250::11") == ("eth0", None)
    assert node_probe._uplink("fd00:250::12") == (None, None)


def test_probe_pods_use_ipv6() -> None:
    bench = Bench()
    ipv6_only(bench.calico)
    places = probe_pods.sites(bench.standing.nodes, MEASURED)
    assert [place.address for place in places] == ["fd00:250::11", "fd00:250::12"]
    services: dict[str, Object] = {
        f"look-{i}": {"spec": {"clusterIP": f"fd00:97::{i}", "ports": [{"nodePort": 30000 + i}]}} for i in (0, 1)
    }
    assert probe_pods.spec(0, places, services, TOKEN, FELIX).targets[2].address == "fd00:250::12"


def test_run_starts_on_a_policy_only_cluster() -> None:
    calico = Calico()
    policy_only(calico)
    client, _transport = direct_client(calico.store)
    say, sleep = (lambda _sentence: None), calico.store.advance
    who = KubernetesCluster("prod", client=client, variables=RUN, say=say, sleep=sleep, gate_s=0)
    assert who.measured_nodes == ("node-a", "node-b")
    chosen = choose_settings(profile="smoke", dataplanes="ebpf", environment="prod")
    put_workflow(calico)
    who.snapshot()
    assert who.configure(Visit(visit=1, round=1, dataplane="ebpf", trials=()), chosen)
    who.restore()
    assert not calico.felix["spec"].get("bpfEnabled")
