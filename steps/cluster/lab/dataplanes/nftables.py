"""nftables: kube-proxy's verdict maps for the Services, and chains like those of Calico's Felix for the pods.

As with Felix, the rules of the pods' chains have counters.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from steps.cluster.lab import kernel_support
from steps.cluster.lab.mechanism import Mechanism, Traits
from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.addresses import LabNode
from steps.cluster.lab.network.programs import Job, output_or_none, run_one
from steps.cluster.lab.network.services import EVIDENCE, ServicePort, batch_size
from steps.cluster.lab.tables import BURDEN_SOURCE
from steps.cluster.lab.tables.nftables import (
    PODS_TABLE,
    POLICIES,
    SERVICES_TABLE,
    TABLES,
    WHOLE,
    block,
    elements_text,
    load,
    service_chain,
    table,
)
from steps.domain import Change


def install(ports: list[ServicePort], burden: int) -> list[Change]:
    """Load the rules on both nodes."""
    texts = {node.name: rules(node, ports, burden, batch_size(WHOLE)) for node in addresses.NODES}
    with ThreadPoolExecutor(len(texts)) as pool:
        list(pool.map(_load, texts, texts.values()))
    return [
        Change(
            what=f"nftables on {name}: tables {SERVICES_TABLE} and {PODS_TABLE}, {len(ports)} Service ports",
            command=f"nsenter --net=/run/netns/{name} nft -f {name}.nft",
        )
        for name in texts
    ]


def _load(name: str, texts: list[str]) -> None:
    for text in texts:
        run_one(Job(name, ("nft", "-f", "-"), text))


def rules(node: LabNode, ports: list[ServicePort], burden: int = 0, batch: int = WHOLE) -> list[str]:
    """All rules of a node as input of nft, one text for each transaction."""
    return load(node, table(PODS_TABLE, _pods(node, burden)), ports, batch)


def _pods(node: LabNode, burden: int) -> list[str]:
    vxlan = f"udp dport {addresses.TUNNEL_PORT} counter"
    accepted = "meta mark & 0x10000 == 0x10000 counter"
    profile = "counter meta mark set meta mark or 0x10000", "meta mark & 0x10000 == 0x10000 counter return"
    blocks = [
        block("set", "all-vxlan-net", "type ipv4_addr", elements_text([addresses.peer(node).address])),
        *(block("chain", name, *profile) for name in ("pro-kns", "pri-kns")),
        block("chain", POLICIES),
    ]
    for pod in node.pods:
        blocks.append(block("chain", f"fw-{pod.cable}", *_endpoint("pro-kns", from_pod=True)))
        blocks.append(block("chain", f"tw-{pod.cable}", *_endpoint("pri-kns", from_pod=False)))
    for way, prefix in (("from", "fw"), ("to", "tw")):
        targets = elements_text(f'"{pod.cable}" : goto {prefix}-{pod.cable}' for pod in node.pods)
        interface = "iifname" if way == "from" else "oifname"
        blocks.append(block("map", f"{way}-wl", "type ifname : verdict", targets))
        blocks.append(block("chain", f"{way}-wl-dispatch", f"{interface} vmap @{way}-wl", "counter drop"))
    return [
        *blocks,
        block("chain", "burden", *(f"ip saddr {BURDEN_SOURCE} counter drop" for _ in range(burden))),
        block(
            "chain",
            "raw-PREROUTING",
            "type filter hook prerouting priority raw;",
            "counter meta mark set meta mark and 0xfff0ffff",
            'iifname "cali*" counter meta mark set meta mark or 0x40000',
            "meta mark & 0x40000 == 0x40000 fib saddr . mark . iif oif 0 counter drop",
            f"{accepted} accept",
        ),
        block(
            "chain",
            "mangle-PREROUTING",
            "type filter hook prerouting priority mangle;",
            "ct state established,related counter accept",
            f"{accepted} accept",
        ),
        block(
            "chain",
            "filter-FORWARD",
            "type filter hook forward priority filter;",
            *(["jump burden"] if burden else []),
            "counter meta mark set meta mark and 0xfff1ffff",
            'iifname "cali*" counter jump from-wl-dispatch',
            'oifname "cali*" counter jump to-wl-dispatch',
            f"{accepted} accept",
        ),
        block(
            "chain",
            "filter-INPUT",
            "type filter hook input priority filter;",
            f"{vxlan} ip saddr @all-vxlan-net fib daddr type local accept",
            f"{vxlan} fib daddr type local drop",
            'iifname "cali*" counter jump from-wl-dispatch',
        ),
        block(
            "chain",
            "filter-OUTPUT",
            "type filter hook output priority filter;",
            f"{vxlan} fib saddr type local accept",
        ),
        block(
            "chain",
            "nat-POSTROUTING",
            "type nat hook postrouting priority srcnat;",
            f"ip saddr {addresses.POD_NETWORK} ip daddr != {addresses.POD_NETWORK} fib daddr type != local "
            "counter masquerade fully-random",
        ),
    ]


def _endpoint(profile: str, *, from_pod: bool) -> list[str]:
    spoof = [f"udp dport {addresses.TUNNEL_PORT} counter drop", "ip protocol 4 counter drop"] if from_pod else []
    return [
        "ct state established,related counter accept",
        "ct state invalid counter drop",
        "counter meta mark set meta mark and 0xfffeffff",
        *spoof,
        f"counter jump {POLICIES}",
        "meta mark & 0x10000 == 0x10000 counter return",
        f"counter jump {profile}",
        "meta mark & 0x10000 == 0x10000 counter return",
        "counter drop",
    ]


def counted_packets(node: LabNode, table: str, chain: str, interface: str) -> int | None:
    """Packets that rules of a chain on an interface (any, if empty) counted; None if there is no such chain."""
    listed = output_or_none(Job(node.name, ("nft", "-j", "list", "chain", "ip", table, chain)))
    if listed is None:
        return None
    total = 0
    for entry in json.loads(listed)["nftables"]:
        expressions = entry.get("rule", {}).get("expr", [])
        matched = [e["match"]["right"] for e in expressions if "match" in e]
        if not interface or interface in matched:
            total += sum(e["counter"]["packets"] for e in expressions if "counter" in e)
    return total


def _parts(node: LabNode) -> dict[str, str]:
    listed = output_or_none(Job(node.name, ("nft", "-s", "list", "table", "ip", PODS_TABLE)))
    return {} if listed is None else {f"nftables table {PODS_TABLE}": listed}


_TRIED: Final = (
    "table ip trial {\n chain c {\n type nat hook prerouting priority dstnat;\n"
    " fib daddr type local tcp dport 1 numgen random mod 1 vmap { 0 : accept }\n }\n}\n"
)
"""Rules that the kernel must accept."""

MECHANISM: Final = Mechanism(
    "nftables",
    counters="counters of nftables chain calico/filter-FORWARD",
    packets=lambda node: counted_packets(node, PODS_TABLE, "filter-FORWARD", "cali*"),
    connections=lambda node: counted_packets(node, SERVICES_TABLE, service_chain(EVIDENCE[0]), ""),
    refusal=lambda: kernel_support.refusal_of_rules(("nft", "-f", "-"), _TRIED),
    counting_programs=("nft",),
    tables=TABLES,
    parts=_parts,
)
TRAITS: Final = Traits(MECHANISM, tracks_connections=True, returns_directly=False)
