"""The Services and policies of iptables on a node: kube-proxy's chains in table nat, and chains like Felix's in filter.

Transactions declare their chains by descending names: iptables-nft-restore keeps them sorted, and puts the lowest in
front without a search.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.addresses import LabNode
from steps.cluster.lab.network.programs import Job, output_or_none, run_one
from steps.cluster.lab.network.services import LARGE_BATCH, LOAD_BALANCER, ServicePort, batch_size, batches
from steps.cluster.lab.tables import POLICY_PORT, POLICY_SOURCE, Counted, Tables

RESTORE: Final = ("iptables-nft-restore", "--noflush")
_RESTORE_ALL: Final = ("iptables-nft-restore",)
_DISPATCH: Final = "KUBE-SERVICES"
_NODE_PORTS: Final = f"-A {_DISPATCH} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"
_ENDPOINTS: Final = '"name": "KUBE-SEP-'
"""Once for each of their chains, as nft lists them."""

_POLICY: Final = re.compile(r" -j cali-po-\d+$", re.MULTILINE)
POLICIES: Final = "cali-policies"
"""The chain that each chain of a pod asks before its profile."""


def service_chain(port: ServicePort) -> str:
    """The chain for new connections to this port of a Service."""
    return f"KUBE-SVC-{port.hashed()}"


def endpoint_chain(port: ServicePort, endpoint: str = "") -> str:
    """The chain that translates to an endpoint of this port of a Service; by default the first."""
    return f"KUBE-SEP-{port.hashed(endpoint or port.endpoints[0])}"


def declared(names: Iterable[str]) -> list[str]:
    """The lines that declare chains, or empty those that are there."""
    return [f":{name} - [0:0]" for name in sorted(names, reverse=True)]


def nat(node: LabNode, ports: Iterable[ServicePort], batch: int) -> list[str]:
    """The lines of table nat: what does not depend on Services, each batch of these, and NodePorts behind them."""
    return [
        *("*nat", *_nat(), "COMMIT"),
        *(line for some in batches(ports, batch) for line in ("*nat", *_services(node, some), "COMMIT")),
        *("*nat", _NODE_PORTS, "COMMIT"),
    ]


def _nat() -> list[str]:
    through_tunnel = "-m addrtype ! --src-type LOCAL --limit-iface-out -m addrtype --src-type LOCAL"
    out_of_pods = f"-s {addresses.POD_NETWORK} ! -d {addresses.POD_NETWORK}"
    fixed = ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-MARK-MASQ", "KUBE-POSTROUTING")
    return [
        *declared((*fixed, "cali-PREROUTING", "cali-POSTROUTING", "cali-nat-outgoing")),
        "-A PREROUTING -j cali-PREROUTING",
        "-A PREROUTING -j KUBE-SERVICES",
        "-A OUTPUT -j KUBE-SERVICES",
        "-A POSTROUTING -j cali-POSTROUTING",
        "-A POSTROUTING -j KUBE-POSTROUTING",
        "-A cali-POSTROUTING -j cali-nat-outgoing",
        f"-A cali-POSTROUTING -o {addresses.TUNNEL} {through_tunnel} -j MASQUERADE --random-fully",
        f"-A cali-nat-outgoing {out_of_pods} -m addrtype ! --dst-type LOCAL -j MASQUERADE --random-fully",
        "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000",
        "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
        "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000",
        "-A KUBE-POSTROUTING -j MASQUERADE --random-fully",
    ]


def _services(node: LabNode, ports: Iterable[ServicePort]) -> list[str]:
    chains, rules = [], []
    for port in ports:
        service, external = service_chain(port), f"KUBE-EXT-{port.hashed()}"
        match, to_port = f"-d {port.address}/32 -p {port.protocol}", f"-m {port.protocol} --dport"
        chains += [service, *(endpoint_chain(port, endpoint) for endpoint in port.endpoints)]
        rules += [
            _dispatch(port),
            f"-A {service} ! -s {addresses.POD_NETWORK} {match} {to_port} {port.port} -j KUBE-MARK-MASQ",
            *_choices(port),
        ]
        if port.node_port is not None:
            chains.append(external)
            rules += [f"-A {external} {rule}" for rule in _external(node, port)]
            rules.append(f"-A KUBE-NODEPORTS -p {port.protocol} {to_port} {port.node_port} -j {external}")
        if port.balanced:
            rules.append(_balanced(port))
    return [*declared(chains), *rules]


def _dispatch(port: ServicePort) -> str:
    match = f'-d {port.address}/32 -p {port.protocol} -m comment --comment "{port.name} cluster IP"'
    return f"-A {_DISPATCH} {match} -m {port.protocol} --dport {port.port} -j {service_chain(port)}"


def _balanced(port: ServicePort) -> str:
    match = f'-d {LOAD_BALANCER}/32 -p {port.protocol} -m comment --comment "{port.name} loadbalancer IP"'
    return f"-A {_DISPATCH} {match} -m {port.protocol} --dport {port.port} -j KUBE-EXT-{port.hashed()}"


def _choices(port: ServicePort) -> Iterator[str]:
    """A rule for each endpoint, the last without a draw, and the rules of its chain."""
    for left, backend, endpoint in zip(range(len(port.backends), 0, -1), port.backends, port.endpoints, strict=True):
        chain = endpoint_chain(port, endpoint)
        draw = f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""
        yield f'-A {service_chain(port)} -m comment --comment "{port.name} -> {endpoint}" {draw}-j {chain}'
        yield f"-A {chain} -s {backend}/32 -j KUBE-MARK-MASQ"
        yield f"-A {chain} -p {port.protocol} -m {port.protocol} -j DNAT --to-destination {endpoint}"


def _external(node: LabNode, port: ServicePort) -> list[str]:
    """The rules for what comes from outside: to any backend as the node's own, or to one here as it is."""
    service, from_here = service_chain(port), "-m addrtype --src-type LOCAL"
    if not port.local:
        return ["-j KUBE-MARK-MASQ", f"-j {service}"]
    inside = [f"-s {addresses.POD_NETWORK} -j {service}", f"{from_here} -j KUBE-MARK-MASQ", f"{from_here} -j {service}"]
    return [*inside, *([f"-j {endpoint_chain(port)}"] if port.has_backend_on(node) else [])]


def _replace(node: LabNode, ports: Sequence[ServicePort], before: Sequence[ServicePort] | None) -> str:
    del before  # the table goes as a whole
    first, *rest = "\n".join((*nat(node, ports, batch_size(LARGE_BATCH)), "")).partition("COMMIT\n")
    run_one(Job(node.name, _RESTORE_ALL, first + rest[0]))
    run_one(Job(node.name, RESTORE, rest[1]))
    return f"nsenter --net=/run/netns/{node.name} {' '.join(_RESTORE_ALL)} < {node.name}.nat"


def _count(node: LabNode) -> Counted:
    """The chains are listed by nft, which does not read their rules: iptables-nft-save takes 29 s for 250,000."""
    dispatched = run_one(Job(node.name, ("iptables-nft", "-t", "nat", "-S", _DISPATCH))).count(" cluster IP")
    return Counted(dispatched, run_one(Job(node.name, ("nft", "-j", "list", "chains", "ip"))).count(_ENDPOINTS))


def _update(
    node: LabNode, ports: Sequence[ServicePort], changed: Sequence[ServicePort], gone: Sequence[ServicePort]
) -> Callable[[], object]:
    """Like a partial sync of kube-proxy: the dispatch rules of all Services anew, the chains of those that changed."""
    kept = {chain for port in changed for chain in _own_chains(port)}
    stale = [chain for port in gone for chain in _own_chains(port) if chain not in kept]
    own = [line for line in _services(node, changed) if not line.startswith((":", f"-A {_DISPATCH} "))]
    dispatch = [line for port in ports for line in (_dispatch(port), *([_balanced(port)] if port.balanced else []))]
    removed = [f"-X {chain}" for chain in stale]
    chains = declared((_DISPATCH, *kept, *stale))
    job = Job(node.name, RESTORE, "\n".join(("*nat", *chains, *dispatch, _NODE_PORTS, *own, *removed, "COMMIT", "")))
    return partial(run_one, job)


def _own_chains(port: ServicePort) -> list[str]:
    return [service_chain(port), *(endpoint_chain(port, endpoint) for endpoint in port.endpoints)]


def _set_policies(node: LabNode, number: int) -> str:
    before, chains = _count_policies(node), [_policy(index) for index in range(number)]
    unmarked, marked = "-m mark --mark 0x0/0x10000", "-m mark --mark 0x10000/0x10000"
    allow = f"-s {POLICY_SOURCE}/32 -p tcp -m tcp --dport {POLICY_PORT} -j MARK --set-xmark 0x10000/0x10000"
    stale = [_policy(index) for index in range(number, before)]
    rules = [
        rule
        for chain in chains
        for rule in (
            f"-A {chain} {allow}",
            f"-A {POLICIES} {unmarked} -j {chain}",
            f"-A {POLICIES} {marked} -j RETURN",
        )
    ]
    lines = ("*filter", *declared((POLICIES, *chains, *stale)), *rules, *(f"-X {chain}" for chain in stale), "COMMIT")
    run_one(Job(node.name, RESTORE, "\n".join((*lines, ""))))
    return f"nsenter --net=/run/netns/{node.name} {' '.join(RESTORE)} < {number}-policies.rules"


def _count_policies(node: LabNode) -> int:
    listed = output_or_none(Job(node.name, ("iptables-nft", "-t", "filter", "-S", POLICIES))) or ""
    return len(_POLICY.findall(listed))


def _policy(index: int) -> str:
    return f"cali-po-{index}"


TABLES: Final = Tables(
    where=("dispatch rules of chain KUBE-SERVICES", "chains KUBE-SEP-...", f"policies of chain {POLICIES}"),
    replace=_replace,
    count=_count,
    update=_update,
    set_policies=_set_policies,
    count_policies=_count_policies,
)
