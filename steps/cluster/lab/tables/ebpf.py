"""The Services and policies of the eBPF programs on a node: entries of their maps (bpf/dataplane.bpf.c)."""

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from steps.cluster.lab.network.addresses import LabNode
from steps.cluster.lab.network.programs import Job, run_one
from steps.cluster.lab.network.services import LOAD_BALANCER, MEASURED, ServicePort
from steps.cluster.lab.tables import POLICY_PORT, POLICY_SOURCE, Counted, Tables

PINNED: Final = Path("/run/bpf")
"""The sandbox's own BPF file system, whose pinned objects end with the sandbox."""

BATCH: Final = ("bpftool", "batch", "file", "-")
_PROTOCOLS: Final = {"tcp": 6, "udp": 17}
_SERVICES, _BACKENDS = "services", "backends"
_KEY: Final = '"key":['
"""Once in each entry that bpftool lists."""

_ANY: Final = 0xFFFFFFFF

MapEntry = tuple[str, bytes, bytes]
"""The map, the key and the value."""


def entries(ports: Iterable[ServicePort]) -> Iterator[MapEntry]:
    """The entries of Services: each of its addresses with its number and its backends, and each backend."""
    for port in ports:
        value = struct.pack("=II", port.number, len(port.backends))
        yield from ((_SERVICES, key, value) for key in _frontends(port))
        for ordinal, backend in enumerate(port.backends):
            address = IPv4Address(backend).packed + struct.pack("!HH", port.port, 0)
            yield _BACKENDS, struct.pack("=II", port.number, ordinal), address


def _frontends(port: ServicePort) -> list[bytes]:
    found = [(port.address, port.port)]
    if port.node_port is not None:
        found.append((port.node.address, port.node_port))
    if port.balanced:
        found.append((LOAD_BALANCER, port.port))
    protocol = _PROTOCOLS[port.protocol]
    return [IPv4Address(address).packed + struct.pack("!HBB", number, protocol, 0) for address, number in found]


def updates(node: LabNode, changed: Iterable[MapEntry]) -> Iterator[str]:
    """The lines for bpftool that make entries."""
    maps = PINNED / node.name / "maps"
    return (f"map update pinned {maps / name} key {_hex(key)} value {_hex(value)}" for name, key, value in changed)


def _deletions(node: LabNode, gone: Iterable[tuple[str, bytes]]) -> Iterator[str]:
    maps = PINNED / node.name / "maps"
    return (f"map delete pinned {maps / name} key {_hex(key)}" for name, key in gone)


def _hex(data: bytes) -> str:
    return "hex " + data.hex(" ")


def _replace(node: LabNode, ports: Sequence[ServicePort], before: Sequence[ServicePort] | None) -> str:
    wanted = {(name, key): value for name, key, value in entries(ports)}
    if before is None:
        there = {(name, key): value for name in (_SERVICES, _BACKENDS) for key, value in _dump(node, name)}
    else:
        there = {(name, key): value for name, key, value in entries(before)}
    changed = ((name, key, value) for (name, key), value in wanted.items() if there.get((name, key)) != value)
    _run([*updates(node, changed), *_deletions(node, there.keys() - wanted.keys())])
    return f"bpftool batch file {node.name}.services"


def _run(lines: Sequence[str]) -> None:
    if lines:
        run_one(Job(None, BATCH, "\n".join((*lines, ""))))


def _listed(node: LabNode, name: str) -> str:
    """The entries of a map as JSON."""
    return run_one(Job(None, ("bpftool", "-j", "map", "dump", "pinned", str(PINNED / node.name / "maps" / name))))


def _dump(node: LabNode, name: str) -> list[tuple[bytes, bytes]]:
    return [(_bytes(entry["key"]), _bytes(entry["value"])) for entry in json.loads(_listed(node, name))]


def _bytes(numbers: Iterable[str]) -> bytes:
    return bytes(int(number, 16) for number in numbers)


def _count(node: LabNode) -> Counted:
    """Entries, but those of measured Services' further addresses. The list is not parsed: 250,000 take a minute."""
    further = sum(len(_frontends(port)) - 1 for port in MEASURED)
    return Counted(*(_listed(node, name).count(_KEY) - less for name, less in ((_SERVICES, further), (_BACKENDS, 0))))


def _update(
    node: LabNode, ports: Sequence[ServicePort], changed: Sequence[ServicePort], gone: Sequence[ServicePort]
) -> Callable[[], object]:
    del ports
    made = list(entries(changed))
    kept = {(name, key) for name, key, _ in made}
    lines = [*updates(node, made), *_deletions(node, {(name, key) for name, key, _ in entries(gone)} - kept)]
    return partial(_run, lines)


def _set_policies(node: LabNode, number: int) -> str:
    source = int.from_bytes(IPv4Address(POLICY_SOURCE).packed, "little")
    port = int.from_bytes(struct.pack("!H", POLICY_PORT), "little")
    rule = struct.pack("<IIII", source, _ANY, port, 1)
    rules = [("policies", struct.pack("=I", index), rule) for index in range(number)]
    _run([*updates(node, [*rules, ("policed", bytes(4), struct.pack("=I", number))])])
    return f"bpftool batch file {number}.policies"


def _count_policies(node: LabNode) -> int:
    ((_, value),) = _dump(node, "policed")
    return int(struct.unpack("=I", value)[0])


TABLES: Final = Tables(
    where=("Services in map services", "entries of map backends", "rules that map policed counts"),
    replace=_replace,
    count=_count,
    update=_update,
    set_policies=_set_policies,
    count_policies=_count_policies,
)
