"""What the signs say follows from what was counted, and only from that."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.cluster.lab.dataplanes import alike, traits
from steps.cluster.lab.evidence.signs import (
    DATAGRAMS,
    DIRECT_RATIO,
    TUNNELLED_RATIO,
    CountedTraffic,
    EvidenceTraffic,
    SeenClient,
    Source,
    node_signs,
)
from steps.cluster.lab.mechanism import Traits, mechanisms
from steps.domain import Sign
from steps.proof.evaluate import evaluate

NODES = ("node-a", "node-b")
KNOWN = traits()
MECHANISMS = {mechanism.name: mechanism for mechanism in mechanisms(KNOWN)}
PAYLOAD = 1_000_000
AT = datetime(2026, 1, 1, tzinfo=UTC)

counts = st.none() | st.integers(0, 10_000)
by_mechanism = st.fixed_dictionaries(dict.fromkeys(MECHANISMS, counts))
counted = st.builds(
    CountedTraffic,
    packets=by_mechanism,
    service_packets=st.fixed_dictionaries({"iptables": counts, "nftables": counts}) | st.just({}),
    connections=counts,
    passed_bytes=st.integers(0, 3 * PAYLOAD),
    routed_packets=counts,
)


def _of(what: Traits, node: str) -> CountedTraffic:
    """What a node counts under a dataplane of these traits."""
    service = {
        name: 2 if name == what.mechanism.name else None for name, m in MECHANISMS.items() if m.connections is not None
    }
    return CountedTraffic(
        packets={name: 3 * DATAGRAMS if name == what.mechanism.name else None for name in MECHANISMS},
        service_packets=service if node == "node-a" else {},
        connections=2 if what.tracks_connections else 0,
        passed_bytes=int((0.05 if what.returns_directly else 1.08) * PAYLOAD),
        routed_packets=3 * DATAGRAMS if what.mechanism.routed_by_kernel else 0,
    )


def _signs(by_node: dict[str, CountedTraffic], traffic: EvidenceTraffic | None = None) -> list[Sign]:
    sent = traffic or EvidenceTraffic(PAYLOAD, (1, 2))
    return [s for node, seen in by_node.items() for s in node_signs(node, seen, sent, KNOWN, "before", AT)]


@pytest.mark.parametrize("name", KNOWN)
def test_each_dataplane_is_proven_by_its_own_traits(name: str) -> None:
    proof = evaluate(_signs({node: _of(KNOWN[name], node) for node in NODES}), name, NODES)
    assert (proof.state, proof.observed) == ("proven", name)


@pytest.mark.parametrize("asked", KNOWN)
@pytest.mark.parametrize("real", KNOWN)
def test_evidence_of_another_dataplane_on_one_node_disproves(asked: str, real: str) -> None:
    mixed = {"node-a": _of(KNOWN[asked], "node-a"), "node-b": _of(KNOWN[real], "node-b")}
    assert (evaluate(_signs(mixed), asked, NODES).state == "proven") == (asked == real)


@pytest.mark.parametrize("name", KNOWN)
def test_dataplane_traits_are_unique(name: str) -> None:
    assert alike(name, KNOWN) is None


@pytest.mark.parametrize("name", KNOWN)
def test_two_dataplanes_with_the_same_traits_are_an_error_that_names_both(name: str) -> None:
    twin = replace(KNOWN[name], mechanism=replace(KNOWN[name].mechanism, counters="elsewhere"))
    both = {**KNOWN, "lab-toy": twin}
    assert f"lab-toy and {name} have the same traits" in (alike("lab-toy", both) or "")
    assert f"{name} and lab-toy have the same traits" in (alike(name, both) or "")
    assert [other for other in KNOWN if alike(other, both)] == [name], "the others are measured as before"


@given(a=counted, b=counted)
def test_evidence_without_traffic_has_no_sign(a: CountedTraffic, b: CountedTraffic) -> None:
    found = _signs({"node-a": a, "node-b": b}, EvidenceTraffic(0, problem="the Service: timed out"))
    assert all(s.indicates is None and "timed out" in s.seen for s in found)
    assert evaluate(found, "lab-ebpf", NODES).state == "unproven"


@given(a=counted, b=counted)
def test_at_most_one_dataplane_is_ever_proven(a: CountedTraffic, b: CountedTraffic) -> None:
    found = _signs({"node-a": a, "node-b": b})
    assert sum(evaluate(found, name, NODES).state == "proven" for name in KNOWN) <= 1


@given(seen=counted, node=st.sampled_from(NODES))
def test_informative_sign_excludes_a_dataplane(seen: CountedTraffic, node: str) -> None:
    for sign in _signs({node: seen}):
        assert sign.seen
        assert sign.indicates is None or set(sign.indicates) < set(KNOWN)


@given(packets=st.integers(1, 2 * DATAGRAMS - 1), mechanism=st.sampled_from(list(MECHANISMS)))
def test_stray_packets_give_no_sign(packets: int, mechanism: str) -> None:
    found = _signs({"node-b": CountedTraffic({mechanism: packets}, {}, None, PAYLOAD // 2)})
    assert [s.indicates for s in found if s.seen.startswith(f"{packets} packets,")] == [None]


@pytest.mark.parametrize("name", KNOWN)
def test_packets_past_the_programs_disprove_ebpf_alone(name: str) -> None:
    """On a path where a program is missing the node's own stack forwards the packets, one way of them at least."""
    is_routed = KNOWN[name].mechanism.routed_by_kernel
    for packets, state in (
        (DATAGRAMS, "proven" if is_routed else "disproven"),
        (0, "disproven" if is_routed else "proven"),
    ):
        counted = {node: replace(_of(KNOWN[name], node), routed_packets=packets) for node in NODES}
        assert evaluate(_signs(counted), name, NODES).state == state


@pytest.mark.parametrize("packets", [1, DATAGRAMS - 1, None])
def test_stray_or_unreadable_routed_packets_give_no_sign(packets: int | None) -> None:
    found = _signs({"node-a": CountedTraffic({}, {}, None, 0, packets)})
    assert [s.indicates for s in found if s.looked_at == "packets that the node's IP stack forwarded"] == [None]


@pytest.mark.parametrize(
    ("ratio", "way"),
    [
        (0.0, "directly"),
        (DIRECT_RATIO, "directly"),
        (DIRECT_RATIO + 0.01, None),
        (TUNNELLED_RATIO - 0.01, None),
        (TUNNELLED_RATIO, "tunnelled"),
        (1.1, "tunnelled"),
    ],
)
def test_return_path_sign_from_byte_counters(ratio: float, way: Literal["directly", "tunnelled"] | None) -> None:
    found = _signs({"node-a": CountedTraffic({}, {}, None, round(ratio * PAYLOAD))})[-1]
    direct = {name for name, what in KNOWN.items() if what.returns_directly}
    expected = {"directly": direct, "tunnelled": set(KNOWN) - direct, None: None}[way]
    assert (set(found.indicates) if found.indicates is not None else None) == expected


def test_unreadable_conntrack_gives_no_sign() -> None:
    found = _signs({"node-a": CountedTraffic({}, {}, None, 0)})
    assert [s.indicates for s in found if s.looked_at == "the kernel's connection table"] == [None]


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("expected", get_args(Source))
@pytest.mark.parametrize("kept", [True, False])
def test_evidence_of_another_client_address_disproves(
    name: str,
    expected: Source,
    kept: bool,  # noqa: FBT001 - one of a product
) -> None:
    own = "192.168.100.3"
    client = SeenClient("outside to a NodePort", own, own if kept else "10.244.0.0", expected)
    signs = _signs(
        {node: _of(KNOWN[name], node) for node in NODES}, EvidenceTraffic(PAYLOAD, (1, 2), clients=(client,))
    )
    fits = (kept != KNOWN[name].masquerades) if expected == "by mechanism" else kept == (expected == "kept")
    assert (evaluate(signs, name, NODES).state == "proven") == fits
    assert [sign.node for sign in signs if "address at the server" in sign.looked_at] == ["node-a"]
