"""The signs of a node: what carried the evidence traffic, by its counters alone. Pure.

The dataplane that was configured is no input here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from steps.cluster.lab.mechanism import Mechanism, Traits, mechanisms
from steps.cluster.lab.network.addresses import NODE_A
from steps.domain import Moment, Sign

DATAGRAMS: Final = 50
"""How many datagrams the evidence traffic sends on each path of datagrams, and back: to the Service alone each node
forwards twice as many."""

TUNNELLED_RATIO: Final = 0.8
DIRECT_RATIO: Final = 0.3
"""Bytes per payload byte at the NodePort's node: from the first on the payload went through it, up to the second only
the client's acknowledgements did. Between them the sign is inconclusive."""


Source = Literal["kept", "translated", "by mechanism"]
"""The client's address as the server sees it: its own, another, or another where the dataplane masquerades."""


@dataclass(frozen=True, slots=True)
class SeenClient:
    """The client of one path as its server saw it. `expected`: what the path is for."""

    path: str
    own: str
    seen: str
    expected: Source


@dataclass(frozen=True, slots=True)
class EvidenceTraffic:
    """The traffic that was sent.

    Attributes:
        returned_bytes: payload that the client outside received from the NodePort.
        service_ports: the client's ports of its connections to the Service.
        clients: as the servers of further paths saw them.
        problem: why some of it did not arrive; None: all of it did.
    """

    returned_bytes: int
    service_ports: tuple[int, ...] = ()
    clients: tuple[SeenClient, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class CountedTraffic:
    """What a node counted while that traffic ran.

    Attributes:
        packets: forwarded from or to its pods, by the mechanism's name; None: it is not installed there.
        service_packets: new connections to the Service, likewise.
        connections: entries of that traffic in the kernel's connection table; None: it is unreadable.
        passed_bytes: sent by node-a, or received there from the wire.
        routed_packets: forwarded by the node's own IP stack; None: it is unreadable.
    """

    packets: Mapping[str, int | None]
    service_packets: Mapping[str, int | None]
    connections: int | None
    passed_bytes: int
    routed_packets: int | None = None


def node_signs(
    node: str,
    counted: CountedTraffic,
    traffic: EvidenceTraffic,
    known: Mapping[str, Traits],
    moment: Moment,
    at: datetime,
) -> list[Sign]:
    """The signs of one node. All are inconclusive if some of the traffic did not arrive."""

    def sign(looked_at: str, seen: str, agrees: Callable[[Traits], bool] | None) -> Sign:
        indicates = None
        if traffic.problem is not None:
            seen = f"{seen}; but the evidence traffic failed: {traffic.problem}"
        elif agrees is not None:
            indicates = tuple(name for name, traits in known.items() if agrees(traits))
        return Sign(moment=moment, node=node, looked_at=looked_at, seen=seen, at=at, indicates=indicates)

    return [
        *(_forwarded(sign, mechanism, counted.packets.get(mechanism.name)) for mechanism in mechanisms(known)),
        *_new_connections(sign, counted.service_packets),
        _tracked(sign, counted.connections),
        _routed(sign, counted.routed_packets),
        _returned(sign, node, counted.passed_bytes, traffic.returned_bytes),
        *(_client(sign, client) for client in traffic.clients if node == NODE_A.name),
    ]


_Make = Callable[[str, str, Callable[[Traits], bool] | None], Sign]


def _forwarded(sign: _Make, mechanism: Mechanism, packets: int | None) -> Sign:
    name, where = mechanism.name, mechanism.counters
    if not packets:
        seen = "there are none" if packets is None else "0 packets"
        return sign(where, seen, lambda t: t.mechanism.name != name)
    seen = f"{packets} packets, where the traffic is at least {2 * DATAGRAMS}"
    return sign(where, seen, (lambda t: t.mechanism.name == name) if packets >= 2 * DATAGRAMS else None)


def _new_connections(sign: _Make, packets: Mapping[str, int | None]) -> Iterable[Sign]:
    for name, count in packets.items():
        where = f"counters of the {name} chain of the Service"
        if count:
            yield sign(where, f"{count} new connections", lambda t, n=name: t.mechanism.name == n)  # type: ignore[misc]
        else:
            seen = "there is none" if count is None else "0 new connections"
            yield sign(where, seen, lambda t, n=name: t.mechanism.name != n)  # type: ignore[misc]


def _tracked(sign: _Make, connections: int | None) -> Sign:
    where = "the kernel's connection table"
    if connections is None:
        return sign(where, "it is not readable on this kernel", None)
    return sign(where, f"{connections} entries of the traffic", lambda t: t.tracks_connections == (connections > 0))


def _routed(sign: _Make, packets: int | None) -> Sign:
    """Each path that a program is missing on is one way of its datagrams."""
    where = "packets that the node's IP stack forwarded"
    if packets is None:
        return sign(where, "they are not readable on this kernel", None)
    if 0 < packets < DATAGRAMS:
        return sign(where, f"{packets}, where each way of the traffic is at least {DATAGRAMS}", None)
    return sign(where, f"{packets}", lambda t: t.mechanism.routed_by_kernel == (packets > 0))


def _client(sign: _Make, client: SeenClient) -> Sign:
    kept = client.seen == client.own
    seen = f"{client.seen}, {'its own' if kept else f'in the place of {client.own}'}"

    def agrees(traits: Traits) -> bool:
        if client.expected == "by mechanism":
            return kept != traits.masquerades
        return kept == (client.expected == "kept")

    return sign(f"the client's address at the server, {client.path}", seen, agrees)


def _returned(sign: _Make, node: str, passed_bytes: int, payload_bytes: int) -> Sign:
    way = "sent by node-a" if node == NODE_A.name else "that came to node-a, by which node-b answers"
    where = f"bytes on the wire {way}, per payload byte of a NodePort's reply"
    if payload_bytes <= 0:
        return sign(where, "no payload", None)
    ratio = passed_bytes / payload_bytes
    seen = f"{ratio:.2f} ({passed_bytes} for {payload_bytes})"
    if DIRECT_RATIO < ratio < TUNNELLED_RATIO:
        return sign(where, seen, None)
    return sign(where, seen, lambda t: t.returns_directly == (ratio <= DIRECT_RATIO))
