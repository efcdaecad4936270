"""Look at what each node counts, around a round of evidence traffic."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from steps.cluster.lab import layout, traffic
from steps.cluster.lab.dataplanes import ebpf, iptables, nftables, traits
from steps.cluster.lab.evidence import Counted, Mechanism, signs
from steps.cluster.lab.layout import Node
from steps.cluster.lab.namespaces import Job, ask, within
from steps.cluster.lab.services import EVIDENCE
from steps.model import Moment, Sign

_IPTABLES_COUNT: Final = re.compile(r"-c (\d+) \d+ -j (\S+)")
_CONNTRACK: Final = Path("/proc/thread-self/net/nf_conntrack")
_CONNTRACK_COUNT: Final = Path("/proc/sys/net/netfilter/nf_conntrack_count")


@dataclass(frozen=True, slots=True)
class Tally:
    """The counters of a node at one moment."""

    packets: dict[Mechanism, int | None]
    service_packets: dict[Mechanism, int | None]


def observe(moment: Moment) -> list[Sign]:
    """Send evidence traffic and look at each node before and after it.

    Raises:
        Problem: there is no lab, or a program to look with is missing.
    """
    wire: list[tuple[int, int]] = []
    with ThreadPoolExecutor(len(layout.NODES)) as pool:
        before = list(pool.map(tally, layout.NODES))
        sent = traffic.send(lambda: wire.append(wire_bytes(layout.NODE_A)))
        after = list(pool.map(tally, layout.NODES))
    received, passed_on = (b - a for a, b in zip(*wire, strict=True)) if len(wire) == 2 else (0, 0)  # noqa: PLR2004
    at, known, found = datetime.now(UTC), traits(), []
    for node, earlier, later in zip(layout.NODES, before, after, strict=True):
        counted = Counted(
            packets=_grown(earlier.packets, later.packets),
            service_packets=_grown(earlier.service_packets, later.service_packets),
            connections=tracked(node, sent.service_ports),
            passed_bytes=passed_on if node is layout.NODE_A else received,
        )
        found += signs(node.name, counted, sent, known, moment, at)
    return found


def _grown(earlier: dict[Mechanism, int | None], later: dict[Mechanism, int | None]) -> dict[Mechanism, int | None]:
    return {name: None if count is None else count - (earlier[name] or 0) for name, count in later.items()}


def tally(node: Node) -> Tally:
    """What the node's dataplanes have counted so far. The Service's own chains are passed on the client's node only."""
    packets: dict[Mechanism, int | None] = {
        "iptables": _iptables_count(node, "filter", "cali-FORWARD", ("cali-from-wl-dispatch", "cali-to-wl-dispatch")),
        "nftables": _nftables_count(node, nftables.PODS_TABLE, "filter-FORWARD", "cali*"),
        "ebpf": _ebpf_count(node),
    }
    service: dict[Mechanism, int | None] = {}
    if node is layout.NODE_A:
        port = EVIDENCE[0]
        service["iptables"] = _iptables_count(
            node, "nat", iptables.service_chain(port), (iptables.endpoint_chain(port),)
        )
        service["nftables"] = _nftables_count(node, nftables.SERVICES_TABLE, nftables.service_chain(port), "")
    return Tally(packets, service)


def _iptables_count(node: Node, table: str, chain: str, targets: tuple[str, ...]) -> int | None:
    """Packets that rules of a chain sent on to these chains; None if there is no such chain."""
    listed = ask(Job(node.name, ("iptables-nft", "-t", table, "-v", "-S", chain)))
    if listed is None:
        return None
    counted = _IPTABLES_COUNT.findall(listed)
    return sum(int(packets) for packets, target in counted if target in targets)


def _nftables_count(node: Node, table: str, chain: str, interface: str) -> int | None:
    """Packets that rules of a chain on an interface (any, if empty) counted; None if there is no such chain."""
    listed = ask(Job(node.name, ("nft", "-j", "list", "chain", "ip", table, chain)))
    if listed is None:
        return None
    total = 0
    for entry in json.loads(listed)["nftables"]:
        expressions = entry.get("rule", {}).get("expr", [])
        matched = [e["match"]["right"] for e in expressions if "match" in e]
        if not interface or interface in matched:
            total += sum(e["counter"]["packets"] for e in expressions if "counter" in e)
    return total


def _ebpf_count(node: Node) -> int | None:
    """Packets that the eBPF programs forwarded; None if none are loaded."""
    pinned = ebpf.PINNED / node.name / "maps" / "hits"
    if not pinned.exists():
        return None
    listed = ask(Job(None, ("bpftool", "-j", "map", "dump", "pinned", str(pinned))))
    if listed is None:
        return None
    return sum(int(per_cpu["value"]) for entry in json.loads(listed) for per_cpu in entry["formatted"]["values"])


def tracked(node: Node, ports: tuple[int, ...]) -> int | None:
    """Entries of the client's connections in the node's connection table; None if it can't be read.

    Where the kernel shows no entries but only their number, that is it: in the lab's namespaces all traffic is ours.
    """

    def read() -> int | None:
        if _CONNTRACK.exists():
            lines = _CONNTRACK.read_text().splitlines()
            return sum(any(f"sport={port} " in line for port in ports) for line in lines)
        return int(_CONNTRACK_COUNT.read_text()) if _CONNTRACK_COUNT.exists() else None

    return within(node.name, read)


def wire_bytes(node: Node) -> tuple[int, int]:
    """Bytes that the node's interface on the wire has received and sent."""

    def read() -> str:
        return Path("/proc/thread-self/net/dev").read_text()

    for line in within(node.name, read).splitlines():
        name, _, figures = line.partition(":")
        if name.strip() == layout.UNDERLAY:
            fields = figures.split()
            return int(fields[0]), int(fields[8])
    return 0, 0
