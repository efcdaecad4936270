"""The texts that the dataplanes load: what is in front, what is last, and that cutting them up changes nothing."""

import re
import struct
from collections import defaultdict
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import Problem
from steps.catalogue.dataplanes import Arm, Dataplane, of_kind
from steps.catalogue.environments import LAB
from steps.cluster.lab.dataplanes import ebpf, ebpf_dsr, iptables, load, nftables
from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.addresses import NODE_A, NODE_B, LabNode
from steps.cluster.lab.network.services import CLUSTER_IP, LOAD_BALANCER, MEASURED, ServicePort, all_ports, batches
from steps.cluster.lab.tables import BURDEN_SOURCE
from steps.cluster.lab.tables.iptables import endpoint_chain, service_chain

INDEX = {addresses.UNDERLAY: 1, addresses.TUNNEL: 2, "cali-a": 3, "cali-c": 4, "cali-b": 5}


def _rules_of(text: str, chain: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"-A {chain} ")]


def _by_chain(text: str) -> dict[str, list[str]]:
    """The rules of each chain in order, and the chains that are declared."""
    found = defaultdict(list)
    for line in text.splitlines():
        if line.startswith(("-A", ":")):
            found[line.split()[0 if line.startswith(":") else 1]].append(line)
    return found


@given(count=st.integers(0, 300))
def test_iptables_rules_have_the_measured_service_last(count: int) -> None:
    rules = _rules_of(iptables.rules(NODE_A, all_ports(count)), "KUBE-SERVICES")
    balanced = [rule for rule in rules if f"-d {LOAD_BALANCER}/32" in rule]
    dispatch = [rule for rule in rules if rule not in balanced][-len(MEASURED) - 1 :]
    assert all(f"--dport {port.port} " in rule for port, rule in zip(MEASURED, dispatch, strict=False))
    assert all(f"-d {CLUSTER_IP}/32" in rule for rule in dispatch[-1 - sum(p.balanced for p in MEASURED) : -1])
    assert dispatch[-1].endswith("KUBE-NODEPORTS")
    assert len(balanced) == sum(port.balanced for port in MEASURED)


@pytest.mark.parametrize("node", [NODE_A, NODE_B], ids=lambda node: node.name)
def test_policy_local_leads_to_a_backend_of_the_same_node_without_masquerade(node: LabNode) -> None:
    local = next(port for port in MEASURED if port.local)
    rules = _rules_of(iptables.rules(node, all_ports(0)), f"KUBE-EXT-{local.hashed()}")
    endpoint = f"-j {endpoint_chain(local)}"
    direct = [rule for rule in rules if rule.endswith(endpoint)]
    assert len(direct) == (node is NODE_B), "another node has no backend to lead to"
    text = "".join(nftables.rules(node, all_ports(0)))
    chain = text.partition(f"chain external-{local.hashed()} {{")[2].partition("}")[0]
    assert (f"\n  goto endpoint-{local.hashed(local.endpoints[0])}" in chain) == (node is NODE_B)
    masqueraded = [rule for rule in (*rules, *chain.splitlines()) if "ASQ" in rule or "masquerade" in rule]
    assert masqueraded
    assert all("LOCAL" in rule or "saddr type local" in rule for rule in masqueraded)


@given(count=st.integers(0, 200), size=st.integers(1, 50))
def test_iptables_batches_are_the_same_rules_in_order(count: int, size: int) -> None:
    whole, cut = (iptables.rules(NODE_A, all_ports(count), 0, batch) for batch in (10_000, size))
    assert _by_chain(whole) == _by_chain(cut)


@given(count=st.integers(0, 200), size=st.integers(1, 50))
def test_batches_are_complete(count: int, size: int) -> None:
    lots = list(batches(all_ports(count), size))
    assert [port for lot in lots for port in lot] == all_ports(count)
    assert all(len(lot) <= size for lot in lots)


@given(count=st.integers(0, 100), size=st.integers(1, 50))
def test_nftables_maps_hold_every_service_once(count: int, size: int) -> None:
    text = "".join(nftables.rules(NODE_B, all_ports(count), 0, size))
    elements = re.findall(r"(\S+) \. (tcp|udp) \. (\d+) : goto service-", text)
    assert sorted(elements) == sorted((p.address, p.protocol, str(p.port)) for p in all_ports(count))


def test_services_have_addresses_and_chains_of_their_own() -> None:
    ports = all_ports(45_000)
    assert len({(p.address, p.protocol, p.port) for p in ports}) == len(ports)
    assert len({service_chain(p) for p in ports}) == len(ports)
    assert len({endpoint_chain(p) for p in ports}) == len(ports)
    assert max(len(endpoint_chain(p)) for p in ports) <= 28


@given(burden=st.integers(0, 50))
def test_burden_rules_come_before_any_other_forward_rule(burden: int) -> None:
    text = iptables.rules(NODE_A, all_ports(0), burden)
    assert len(_rules_of(text, iptables.BURDEN_CHAIN)) == burden
    assert (_rules_of(text, "FORWARD")[0] == f"-A FORWARD -j {iptables.BURDEN_CHAIN}") == (burden > 0)
    table, _ = nftables.rules(NODE_A, all_ports(0), burden)
    assert table.count(f"ip saddr {BURDEN_SOURCE}") == burden
    forward = table.split("chain filter-FORWARD {")[1].splitlines()
    assert ("jump burden" in forward[2]) == (burden > 0)


def test_nftables_chooses_among_endpoints_that_an_earlier_transaction_made() -> None:
    """An anonymous map beside 250,000 new chains takes the kernel's time, since it looks for it among all of them."""
    made, chosen = nftables.rules(NODE_A, all_ports(2, 3))
    assert (made.count("chain endpoint-"), made.count("vmap {")) == (2 * 3 + len(MEASURED), 0)
    assert (chosen.count("chain endpoint-"), chosen.count("mod 3 vmap {")) == (0, 2)


@pytest.mark.parametrize("install", [ebpf.install, ebpf_dsr.install])
def test_ebpf_takes_no_burden(install: Callable[[list[ServicePort], int], object]) -> None:
    with pytest.raises(Problem, match="has no rules"):
        install(all_ports(0), 5)


@given(count=st.integers(0, 50), direct=st.booleans())
def test_ebpf_maps_hold_every_service_and_node_port(count: int, *, direct: bool) -> None:
    lines = ebpf.fill(NODE_B, all_ports(count), INDEX, direct).splitlines()
    doors = [line for line in lines if "/maps/services " in line]
    more = sum((port.node_port is not None) + port.balanced for port in MEASURED)
    assert len(doors) == len(set(doors)) == count + len(MEASURED) + more
    (config,) = [line for line in lines if "/maps/settings " in line]
    own = bytes((192, 168, 100, 2, 203, 0, 113, 10))
    expected = struct.pack("=II8s", direct, INDEX[addresses.UNDERLAY], own)
    assert config.endswith(expected.hex(" "))


@pytest.mark.parametrize("entry", of_kind(LAB), ids=lambda e: e.name)
def test_each_dataplane_of_the_lab_has_its_module_which_is_what_the_catalogue_says(entry: Dataplane) -> None:
    module = load(Arm(entry.name))
    assert callable(module.install)
    assert module.TRAITS.mechanism.name == entry.mechanism
    assert module.TRAITS.returns_directly == entry.direct_return
