"""Look at what each node counts, around a round of evidence traffic."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from steps.cluster.lab import addresses, probe_traffic
from steps.cluster.lab.addresses import LabNode
from steps.cluster.lab.dataplanes import traits
from steps.cluster.lab.namespaces import within
from steps.cluster.lab.signs import CountedTraffic, Mechanism, mechanisms, node_signs
from steps.domain import Moment, Sign

_CONNTRACK: Final = Path("/proc/thread-self/net/nf_conntrack")
_CONNTRACK_COUNT: Final = Path("/proc/sys/net/netfilter/nf_conntrack_count")


@dataclass(frozen=True, slots=True)
class NodeCounters:
    """The counters of a node at one moment, by mechanism."""

    packets: dict[str, int | None]
    service_packets: dict[str, int | None]


def observe(moment: Moment) -> list[Sign]:
    """Send evidence traffic and look at each node before and after it.

    Raises:
        Problem: there is no lab, or a program to look with is missing.
    """
    wire: list[tuple[int, int]] = []
    known = traits()
    count = partial(read_counters, known=mechanisms(known))
    with ThreadPoolExecutor(len(addresses.NODES)) as pool:
        before = list(pool.map(count, addresses.NODES))
        sent = probe_traffic.send(lambda: wire.append(wire_bytes(addresses.NODE_A)))
        after = list(pool.map(count, addresses.NODES))
    received, passed_on = (b - a for a, b in zip(*wire, strict=True)) if len(wire) == 2 else (0, 0)  # noqa: PLR2004
    at, found = datetime.now(UTC), []
    for node, earlier, later in zip(addresses.NODES, before, after, strict=True):
        counted = CountedTraffic(
            packets=_grown(earlier.packets, later.packets),
            service_packets=_grown(earlier.service_packets, later.service_packets),
            connections=tracked(node, sent.service_ports),
            passed_bytes=passed_on if node is addresses.NODE_A else received,
        )
        found += node_signs(node.name, counted, sent, known, moment, at)
    return found


def _grown(earlier: dict[str, int | None], later: dict[str, int | None]) -> dict[str, int | None]:
    return {name: None if count is None else count - (earlier[name] or 0) for name, count in later.items()}


def read_counters(node: LabNode, known: Iterable[Mechanism]) -> NodeCounters:
    """What each mechanism has counted on a node so far. The Service is asked for on the client's node only."""
    packets = {mechanism.name: mechanism.packets(node) for mechanism in known}
    service = {m.name: m.connections(node) for m in known if m.connections is not None and node is addresses.NODE_A}
    return NodeCounters(packets, service)


def tracked(node: LabNode, ports: tuple[int, ...]) -> int | None:
    """Entries of the client's connections in the node's connection table; None if it can't be read.

    Where the kernel shows no entries but only their number, that is it: in the lab's namespaces all traffic is ours.
    """

    def read() -> int | None:
        if _CONNTRACK.exists():
            lines = _CONNTRACK.read_text().splitlines()
            return sum(any(f"sport={port} " in line for port in ports) for line in lines)
        return int(_CONNTRACK_COUNT.read_text()) if _CONNTRACK_COUNT.exists() else None

    return within(node.name, read)


def wire_bytes(node: LabNode) -> tuple[int, int]:
    """Bytes that the node's interface on the wire has received and sent."""

    def read() -> str:
        return Path("/proc/thread-self/net/dev").read_text()

    for line in within(node.name, read).splitlines():
        name, _, figures = line.partition(":")
        if name.strip() == addresses.UNDERLAY:
            fields = figures.split()
            return int(fields[0]), int(fields[8])
    return 0, 0
