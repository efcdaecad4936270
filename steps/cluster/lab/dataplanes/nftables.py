"""nftables: kube-proxy's verdict maps for the Services, and chains like those of Calico's Felix for the pods.

As with Felix, the rules of the pods' chains have counters.
"""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from steps.cluster.lab import kernel_support
from steps.cluster.lab.mechanism import Mechanism, Traits
from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.addresses import LabNode
from steps.cluster.lab.network.programs import Job, output_or_none, run_one
from steps.cluster.lab.network.services import EVIDENCE, LOAD_BALANCER, ServicePort, batch_size, batches
from steps.domain import Change

SERVICES_TABLE = "kube-proxy"
PODS_TABLE = "calico"
BURDEN_SOURCE = "198.51.100.1"
"""An address for documentation (RFC 5737): no packet of the lab has it, so the rule never matches."""


def install(ports: list[ServicePort], burden: int) -> list[Change]:
    """Load the rules on both nodes."""
    texts = {node.name: rules(node, ports, burden, batch_size()) for node in addresses.NODES}
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


def rules(node: LabNode, ports: list[ServicePort], burden: int = 0, batch: int | None = None) -> list[str]:
    """All rules of a node as input of nft, one text for each transaction."""
    lots = list(batches(ports, batch))
    frame = _table(PODS_TABLE, _pods(node, burden)) + _table(SERVICES_TABLE, _frame())
    return [frame + _services(node, lots[0]), *(_services(node, lot) for lot in lots[1:])] if lots else [frame]


def service_chain(port: ServicePort) -> str:
    """The chain for new connections to this port of a Service."""
    return f"service-{port.hashed()}"


def _table(name: str, blocks: Iterable[str]) -> str:
    return "\n".join((f"table ip {name} {{", *blocks, "}", ""))


def _block(kind: str, name: str, *lines: str) -> str:
    return "\n".join((f" {kind} {name} {{", *(f"  {line}" for line in lines), " }"))


def _elements(entries: Iterable[str]) -> str:
    return f"elements = {{ {', '.join(entries)} }}"


def _frame() -> list[str]:
    checked = "ct state new jump cluster-ips-check"
    return [
        _block("set", "cluster-ips", "type ipv4_addr"),
        _block("map", "service-ips", "type ipv4_addr . inet_proto . inet_service : verdict"),
        _block("map", "service-nodeports", "type inet_proto . inet_service : verdict"),
        _block("chain", "mark-for-masquerade", "meta mark set meta mark or 0x4000"),
        _block(
            "chain",
            "services",
            "ip daddr . meta l4proto . th dport vmap @service-ips",
            "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @service-nodeports",
        ),
        _block("chain", "cluster-ips-check", "ip daddr @cluster-ips reject"),
        _block(
            "chain",
            "masquerading",
            "meta mark & 0x4000 == 0 return",
            "meta mark set meta mark xor 0x4000",
            "masquerade fully-random",
        ),
        _block("chain", "nat-prerouting", "type nat hook prerouting priority dstnat;", "jump services"),
        _block("chain", "nat-output", "type nat hook output priority -100;", "jump services"),
        _block("chain", "nat-postrouting", "type nat hook postrouting priority srcnat;", "jump masquerading"),
        _block("chain", "filter-forward", "type filter hook forward priority -110;", checked),
        _block("chain", "filter-input", "type filter hook input priority -110;", checked),
        # After the translation, which is in this very hook for packets of the node itself.
        _block("chain", "filter-output-post-dnat", "type filter hook output priority -90;", checked),
    ]


def _services(node: LabNode, ports: list[ServicePort]) -> str:
    """The chains of some Services, and their elements in the sets and maps that the frame declares."""
    blocks = []
    for port in ports:
        endpoint, service = f"endpoint-{port.hashed(port.endpoint)}", service_chain(port)
        # kube-proxy chooses an endpoint at random even where there is one. Unused Services need not: a thousand
        # anonymous maps would double the time of the set-up.
        chosen = f"goto {endpoint}" if port.node_port is None else f"numgen random mod 1 vmap {{ 0 : goto {endpoint} }}"
        blocks += [
            _block(
                "chain",
                endpoint,
                f"ip saddr {port.backend} jump mark-for-masquerade",
                f"meta l4proto {port.protocol} dnat to {port.endpoint}",
            ),
            _block(
                "chain",
                service,
                f"counter ip daddr {port.address} ip saddr != {addresses.POD_NETWORK} jump mark-for-masquerade",
                chosen,
            ),
        ]
        if port.node_port is not None:
            blocks.append(_block("chain", f"external-{port.hashed()}", *_external(node, port, endpoint)))
    exposed = [p for p in ports if p.node_port is not None]
    elements = {
        "cluster-ips": list(dict.fromkeys(p.address for p in ports)),
        "service-ips": [
            *(f"{p.address} . {p.protocol} . {p.port} : goto {service_chain(p)}" for p in ports),
            *(f"{LOAD_BALANCER} . {p.protocol} . {p.port} : goto external-{p.hashed()}" for p in ports if p.balanced),
        ],
        "service-nodeports": [f"{p.protocol} . {p.node_port} : goto external-{p.hashed()}" for p in exposed],
    }
    added = [
        f"add element ip {SERVICES_TABLE} {name} {{ {', '.join(some)} }}\n" for name, some in elements.items() if some
    ]
    return _table(SERVICES_TABLE, blocks) + "".join(added)


def _external(node: LabNode, port: ServicePort, endpoint: str) -> list[str]:
    """The rules for what comes from outside: to any backend as the node's own, or to one here as it is."""
    service = service_chain(port)
    if not port.local:
        return ["jump mark-for-masquerade", f"goto {service}"]
    inside = [
        f"ip saddr {addresses.POD_NETWORK} goto {service}",
        "fib saddr type local jump mark-for-masquerade",
        f"fib saddr type local goto {service}",
    ]
    return [*inside, *([f"goto {endpoint}"] if port.has_backend_on(node) else [])]


def _pods(node: LabNode, burden: int) -> list[str]:
    vxlan = f"udp dport {addresses.TUNNEL_PORT} counter"
    accepted = "meta mark & 0x10000 == 0x10000 counter"
    blocks = [
        _block("set", "all-vxlan-net", "type ipv4_addr", _elements([addresses.peer(node).address])),
        *(_block("chain", name, *_profile()) for name in ("pro-kns", "pri-kns")),
    ]
    for pod in node.pods:
        blocks.append(_block("chain", f"fw-{pod.cable}", *_endpoint("pro-kns", from_pod=True)))
        blocks.append(_block("chain", f"tw-{pod.cable}", *_endpoint("pri-kns", from_pod=False)))
    for way, prefix in (("from", "fw"), ("to", "tw")):
        targets = _elements(f'"{pod.cable}" : goto {prefix}-{pod.cable}' for pod in node.pods)
        interface = "iifname" if way == "from" else "oifname"
        blocks.append(_block("map", f"{way}-wl", "type ifname : verdict", targets))
        blocks.append(_block("chain", f"{way}-wl-dispatch", f"{interface} vmap @{way}-wl", "counter drop"))
    return [
        *blocks,
        _block("chain", "burden", *(f"ip saddr {BURDEN_SOURCE} counter drop" for _ in range(burden))),
        _block(
            "chain",
            "raw-PREROUTING",
            "type filter hook prerouting priority raw;",
            "counter meta mark set meta mark and 0xfff0ffff",
            'iifname "cali*" counter meta mark set meta mark or 0x40000',
            "meta mark & 0x40000 == 0x40000 fib saddr . mark . iif oif 0 counter drop",
            f"{accepted} accept",
        ),
        _block(
            "chain",
            "mangle-PREROUTING",
            "type filter hook prerouting priority mangle;",
            "ct state established,related counter accept",
            f"{accepted} accept",
        ),
        _block(
            "chain",
            "filter-FORWARD",
            "type filter hook forward priority filter;",
            *(["jump burden"] if burden else []),
            "counter meta mark set meta mark and 0xfff1ffff",
            'iifname "cali*" counter jump from-wl-dispatch',
            'oifname "cali*" counter jump to-wl-dispatch',
            f"{accepted} accept",
        ),
        _block(
            "chain",
            "filter-INPUT",
            "type filter hook input priority filter;",
            f"{vxlan} ip saddr @all-vxlan-net fib daddr type local accept",
            f"{vxlan} fib daddr type local drop",
            'iifname "cali*" counter jump from-wl-dispatch',
        ),
        _block(
            "chain",
            "filter-OUTPUT",
            "type filter hook output priority filter;",
            f"{vxlan} fib saddr type local accept",
        ),
        _block(
            "chain",
            "nat-POSTROUTING",
            "type nat hook postrouting priority srcnat;",
            f"ip saddr {addresses.POD_NETWORK} ip daddr != {addresses.POD_NETWORK} fib daddr type != local "
            "counter masquerade fully-random",
        ),
    ]


def _profile() -> list[str]:
    return ["counter meta mark set meta mark or 0x10000", "meta mark & 0x10000 == 0x10000 counter return"]


def _endpoint(profile: str, *, from_pod: bool) -> list[str]:
    spoof = [f"udp dport {addresses.TUNNEL_PORT} counter drop", "ip protocol 4 counter drop"] if from_pod else []
    return [
        "ct state established,related counter accept",
        "ct state invalid counter drop",
        "counter meta mark set meta mark and 0xfffeffff",
        *spoof,
        f"counter jump {profile}",
        "meta mark & 0x10000 == 0x10000 counter return",
        "counter drop",
    ]


def _packets(node: LabNode) -> int | None:
    return counted_packets(node, PODS_TABLE, "filter-FORWARD", "cali*")


def _connections(node: LabNode) -> int | None:
    return counted_packets(node, SERVICES_TABLE, service_chain(EVIDENCE[0]), "")


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


def _refusal() -> kernel_support.Refusal | None:
    return kernel_support.refusal_of_rules(
        ("nft", "-f", "-"),
        "table ip trial {\n chain c {\n type nat hook prerouting priority dstnat;\n"
        " fib daddr type local tcp dport 1 numgen random mod 1 vmap { 0 : accept }\n }\n}\n",
    )


MECHANISM: Final = Mechanism(
    "nftables",
    counters="counters of nftables chain calico/filter-FORWARD",
    packets=_packets,
    connections=_connections,
    refusal=_refusal,
    counting_programs=("nft",),
)
TRAITS: Final = Traits(MECHANISM, tracks_connections=True, returns_directly=False)
