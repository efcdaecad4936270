"""The Services and policies of nftables on a node: kube-proxy's table of verdict maps, and chains like Felix's."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.addresses import LabNode
from steps.cluster.lab.network.programs import Job, run_one
from steps.cluster.lab.network.services import LOAD_BALANCER, ServicePort, batch_size, batches
from steps.cluster.lab.tables import POLICY_PORT, POLICY_SOURCE, Counted, Tables

SERVICES_TABLE: Final = "kube-proxy"
PODS_TABLE: Final = "calico"
WHOLE: Final = 1_000_000
"""Endpoints in one transaction: all, since nft lists the whole table before each one. What chooses among them follows
in a second one: the kernel looks for each anonymous map among all changes of its transaction, so that its time grows
with the square. 1,000 Services of 50 endpoints took 4.7 s of a core in one transaction and take 2.3 s in two; 5,000
take 17 s."""

POLICIES: Final = "policies"
"""The chain that each chain of a pod asks before its profile."""

_LOAD: Final = ("nft", "-f", "-")
_LIST: Final = ("nft", "-j", "list")


def service_chain(port: ServicePort) -> str:
    """The chain for new connections to this port of a Service."""
    return f"service-{port.hashed()}"


def endpoint_chain(port: ServicePort, endpoint: str) -> str:
    """The chain that translates to an endpoint of this port of a Service."""
    return f"endpoint-{port.hashed(endpoint)}"


def table(name: str, blocks: Iterable[str]) -> str:
    """A table with these blocks, as nft reads it."""
    return "\n".join((f"table ip {name} {{", *blocks, "}", ""))


def block(kind: str, name: str, *lines: str) -> str:
    """A chain, a set or a map with these lines."""
    return "\n".join((f" {kind} {name} {{", *(f"  {line}" for line in lines), " }"))


def elements_text(entries: Iterable[str]) -> str:
    """The elements of a set or a map."""
    return f"elements = {{ {', '.join(entries)} }}"


def frame() -> list[str]:
    """What of the table does not depend on Services."""
    checked = "ct state new jump cluster-ips-check"
    return [
        block("set", "cluster-ips", "type ipv4_addr"),
        block("map", "service-ips", "type ipv4_addr . inet_proto . inet_service : verdict"),
        block("map", "service-nodeports", "type inet_proto . inet_service : verdict"),
        block("chain", "mark-for-masquerade", "meta mark set meta mark or 0x4000"),
        block(
            "chain",
            "services",
            "ip daddr . meta l4proto . th dport vmap @service-ips",
            "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @service-nodeports",
        ),
        block("chain", "cluster-ips-check", "ip daddr @cluster-ips reject"),
        block(
            "chain",
            "masquerading",
            "meta mark & 0x4000 == 0 return",
            "meta mark set meta mark xor 0x4000",
            "masquerade fully-random",
        ),
        block("chain", "nat-prerouting", "type nat hook prerouting priority dstnat;", "jump services"),
        block("chain", "nat-output", "type nat hook output priority -100;", "jump services"),
        block("chain", "nat-postrouting", "type nat hook postrouting priority srcnat;", "jump masquerading"),
        block("chain", "filter-forward", "type filter hook forward priority -110;", checked),
        block("chain", "filter-input", "type filter hook input priority -110;", checked),
        # After the translation, which is in this very hook for packets of the node itself.
        block("chain", "filter-output-post-dnat", "type filter hook output priority -90;", checked),
    ]


def endpoints(ports: Iterable[ServicePort]) -> str:
    """The chains of the endpoints of some Services."""
    return table(
        SERVICES_TABLE,
        (
            block(
                "chain",
                endpoint_chain(port, endpoint),
                f"ip saddr {backend} jump mark-for-masquerade",
                f"meta l4proto {port.protocol} dnat to {endpoint}",
            )
            for port in ports
            for backend, endpoint in zip(port.backends, port.endpoints, strict=True)
        ),
    )


def services(node: LabNode, ports: Sequence[ServicePort]) -> str:
    """The other chains of some Services, and their elements in the sets and maps that the frame declares."""
    blocks = [block for port in ports for block in _chains(node, port)]
    elements = _elements_of(ports)
    added = [
        f"add element ip {SERVICES_TABLE} {name} {{ {', '.join(some)} }}\n" for name, some in elements.items() if some
    ]
    return table(SERVICES_TABLE, blocks) + "".join(added)


def _chains(node: LabNode, port: ServicePort) -> Iterator[str]:
    targets = [f"goto {endpoint_chain(port, endpoint)}" for endpoint in port.endpoints]
    # kube-proxy chooses an endpoint at random even where there is one. Unused Services need not: a thousand
    # anonymous maps would double the time of the set-up.
    drawn = ", ".join(f"{ordinal} : {target}" for ordinal, target in enumerate(targets))
    is_alone = port.node_port is None and len(targets) == 1
    yield block(
        "chain",
        service_chain(port),
        f"counter ip daddr {port.address} ip saddr != {addresses.POD_NETWORK} jump mark-for-masquerade",
        targets[0] if is_alone else f"numgen random mod {len(targets)} vmap {{ {drawn} }}",
    )
    if port.node_port is not None:
        yield block("chain", f"external-{port.hashed()}", *_external(node, port))


def _elements_of(ports: Sequence[ServicePort]) -> dict[str, list[str]]:
    exposed = [p for p in ports if p.node_port is not None]
    return {
        "cluster-ips": list(dict.fromkeys(p.address for p in ports)),
        "service-ips": [
            *(f"{p.address} . {p.protocol} . {p.port} : goto {service_chain(p)}" for p in ports),
            *(f"{LOAD_BALANCER} . {p.protocol} . {p.port} : goto external-{p.hashed()}" for p in ports if p.balanced),
        ],
        "service-nodeports": [f"{p.protocol} . {p.node_port} : goto external-{p.hashed()}" for p in exposed],
    }


def _external(node: LabNode, port: ServicePort) -> list[str]:
    """The rules for what comes from outside: to any backend as the node's own, or to one here as it is."""
    service = service_chain(port)
    if not port.local:
        return ["jump mark-for-masquerade", f"goto {service}"]
    inside = [
        f"ip saddr {addresses.POD_NETWORK} goto {service}",
        "fib saddr type local jump mark-for-masquerade",
        f"fib saddr type local goto {service}",
    ]
    return [*inside, *([f"goto {endpoint_chain(port, port.endpoints[0])}"] if port.has_backend_on(node) else [])]


def load(node: LabNode, before: str, ports: Iterable[ServicePort], batch: int) -> list[str]:
    """What makes the table, one text for each transaction; `before` stands in front of the first."""
    texts = [before + table(SERVICES_TABLE, frame())]
    for lot in batches(ports, batch):
        chosen_from, choosing = endpoints(lot), services(node, lot)
        texts += [chosen_from, choosing] if batch == WHOLE else [chosen_from + choosing]
    return ["".join(texts[:2]), *texts[2:]]


def _replace(node: LabNode, ports: Sequence[ServicePort], before: Sequence[ServicePort] | None) -> str:
    """In the first transaction the old table goes, whole: kernels take that faster than each of its chains."""
    del before
    gone = f"table ip {SERVICES_TABLE}\ndelete table ip {SERVICES_TABLE}\n"
    for text in load(node, gone, ports, batch_size(WHOLE)):
        run_one(Job(node.name, _LOAD, text))
    return f"nsenter --net=/run/netns/{node.name} nft -f {node.name}.nft"


def _listed(node: LabNode, *what: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run_one(Job(node.name, (*_LIST, *what))))["nftables"]
    return found


def _count(node: LabNode) -> Counted:
    chains = [str(entry["chain"]["name"]) for entry in _listed(node, "chains", "ip") if "chain" in entry]
    (ips,) = [entry["map"] for entry in _listed(node, "map", "ip", SERVICES_TABLE, "service-ips") if "map" in entry]
    targets = [str(element[1]) for element in ips.get("elem", []) if isinstance(element, list)]
    return Counted(sum("service-" in target for target in targets), sum(c.startswith("endpoint-") for c in chains))


def _update(
    node: LabNode, ports: Sequence[ServicePort], changed: Sequence[ServicePort], gone: Sequence[ServicePort]
) -> Callable[[], object]:
    """Like kube-proxy's: what changed alone, in one transaction, whatever else there is."""
    del ports
    kept = {chain for port in changed for chain in _own_chains(port)}
    ended = [port for port in gone if service_chain(port) not in kept]
    stale = [chain for port in gone for chain in _own_chains(port) if chain not in kept]
    lines = [
        f"add chain ip {SERVICES_TABLE} {chain}\nflush chain ip {SERVICES_TABLE} {chain}" for chain in sorted(kept)
    ]
    lines.append(endpoints(changed) + services(node, changed) if changed else "")
    lines += [
        f"delete element ip {SERVICES_TABLE} {name} {{ {', '.join(some)} }}"
        for name, some in _elements_of(ended).items()
        if some
    ]
    lines += [f"flush chain ip {SERVICES_TABLE} {chain}" for chain in stale]
    lines += [f"delete chain ip {SERVICES_TABLE} {chain}" for chain in stale]
    job = Job(node.name, _LOAD, "\n".join((*lines, "")))
    return partial(run_one, job)


def _own_chains(port: ServicePort) -> list[str]:
    return [service_chain(port), *(endpoint_chain(port, endpoint) for endpoint in port.endpoints)]


def _set_policies(node: LabNode, number: int) -> str:
    allow = f"ip saddr {POLICY_SOURCE} tcp dport {POLICY_PORT} counter meta mark set meta mark or 0x10000"
    unmarked, marked = "meta mark & 0x10000 == 0", "meta mark & 0x10000 == 0x10000"
    names = [f"policy-{index}" for index in range(number)]
    asked = [line for name in names for line in (f"{unmarked} counter jump {name}", f"{marked} counter return")]
    stale = [f"policy-{index}" for index in range(number, _count_policies(node))]
    lines = [f"flush chain ip {PODS_TABLE} {POLICIES}"]
    lines += [f"add chain ip {PODS_TABLE} {name}\nflush chain ip {PODS_TABLE} {name}" for name in names]
    lines.append(
        table(PODS_TABLE, [*(block("chain", name, allow) for name in names), block("chain", POLICIES, *asked)])
    )
    lines += [f"delete chain ip {PODS_TABLE} {name}" for name in stale]
    run_one(Job(node.name, _LOAD, "\n".join((*lines, ""))))
    return f"nsenter --net=/run/netns/{node.name} nft -f {number}-policies.nft"


def _count_policies(node: LabNode) -> int:
    rules = [entry["rule"]["expr"] for entry in _listed(node, "chain", "ip", PODS_TABLE, POLICIES) if "rule" in entry]
    return sum("jump" in expression for rule in rules for expression in rule)


TABLES: Final = Tables(
    where=("elements of map service-ips", "endpoint chains", f"policies of chain {POLICIES}"),
    replace=_replace,
    count=_count,
    update=_update,
    set_policies=_set_policies,
    count_policies=_count_policies,
)
