"""Read what each node counts around a round of evidence traffic."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from steps.cluster.lab.dataplanes import traits
from steps.cluster.lab.evidence import installed, probe_traffic
from steps.cluster.lab.evidence.installed import Installed
from steps.cluster.lab.evidence.signs import CountedTraffic, node_signs
from steps.cluster.lab.mechanism import Mechanism, mechanisms
from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.addresses import LabNode
from steps.counters import InterfaceTraffic
from steps.domain import Moment, Sign
from steps.measurement.monitors import monitor
from steps.namespaces import within

_CONNTRACK: Final = Path("/proc/thread-self/net/nf_conntrack")
_SNMP: Final = Path("/proc/thread-self/net/snmp")
_CONNTRACK_COUNT: Final = Path("/proc/sys/net/netfilter/nf_conntrack_count")


@dataclass(frozen=True, slots=True)
class NodeCounters:
    """The counters of a node at one moment, by mechanism."""

    packets: dict[str, int | None]
    service_packets: dict[str, int | None]
    routed_packets: int | None


def observe(moment: Moment, installed_: Installed | None = None) -> list[Sign]:
    """Send evidence traffic, and read each node's counters before and after it.

    Args:
        moment: of the signs.
        installed_: what each node had when the visit began; None: not known.

    Raises:
        Problem: there is no lab, or a program that reads counters is missing.
    """
    wire: list[InterfaceTraffic] = []
    known, name = traits(), addresses.NODE_A.name
    count = partial(read_counters, known=mechanisms(known))
    with ThreadPoolExecutor(len(addresses.NODES)) as pool:
        before = list(pool.map(count, addresses.NODES))
        sent = probe_traffic.send(lambda: wire.append(monitor.namespace(name, name).interfaces[addresses.UNDERLAY]))
        after = list(pool.map(count, addresses.NODES))
    received_bytes = wire[-1].received_bytes - wire[0].received_bytes if wire else 0
    sent_bytes = wire[-1].sent_bytes - wire[0].sent_bytes if wire else 0
    now = installed.read_installed(mechanisms(known))
    at, found = datetime.now(UTC), []
    for node, earlier, later in zip(addresses.NODES, before, after, strict=True):
        counted = CountedTraffic(
            packets=_grown(earlier.packets, later.packets),
            service_packets=_grown(earlier.service_packets, later.service_packets),
            connections=tracked(node, sent.service_ports),
            passed_bytes=sent_bytes if node is addresses.NODE_A else received_bytes,
            routed_packets=_difference(earlier.routed_packets, later.routed_packets),
        )
        found += node_signs(node.name, counted, sent, known, moment, at)
        found.append(installed.sign(node.name, installed_, now, moment, at))
    return found


def _grown(earlier: dict[str, int | None], later: dict[str, int | None]) -> dict[str, int | None]:
    return {name: None if count is None else count - (earlier[name] or 0) for name, count in later.items()}


def _difference(earlier: int | None, later: int | None) -> int | None:
    return None if earlier is None or later is None else later - earlier


def read_counters(node: LabNode, known: Iterable[Mechanism]) -> NodeCounters:
    """What each mechanism has counted on a node so far; of the Service, on the client's node alone."""
    packets = {mechanism.name: mechanism.packets(node) for mechanism in known}
    service = {m.name: m.connections(node) for m in known if m.connections is not None and node is addresses.NODE_A}
    return NodeCounters(packets, service, within(node.name, _routed_packets))


def _routed_packets() -> int | None:
    """Packets that the IP stack of this thread's namespace has forwarded so far; None: it is unreadable."""
    try:
        names, numbers = (line.split() for line in _SNMP.read_text().splitlines() if line.startswith("Ip: "))
        return int(dict(zip(names, numbers, strict=True))["ForwDatagrams"])
    except (OSError, ValueError, KeyError):
        return None


def tracked(node: LabNode, ports: tuple[int, ...]) -> int | None:
    """Entries of the client's connections in the node's connection table; None if it is unreadable.

    Where the kernel shows only the number of entries, that is it: all traffic in the lab's namespaces is the lab's.
    """

    def read() -> int | None:
        if _CONNTRACK.exists():
            lines = _CONNTRACK.read_text().splitlines()
            return sum(any(f"sport={port} " in line for port in ports) for line in lines)
        return int(_CONNTRACK_COUNT.read_text()) if _CONNTRACK_COUNT.exists() else None

    return within(node.name, read)
