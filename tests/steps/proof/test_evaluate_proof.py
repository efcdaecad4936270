from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from steps.domain import Sign
from steps.proof import evaluate
from tests.steps.builders import NODES, sign

NAMES = ("lab-iptables", "lab-nftables", "lab-ebpf")
indications = st.one_of(st.none(), st.lists(st.sampled_from(NAMES), max_size=3, unique=True).map(tuple))
signs = st.lists(
    st.builds(
        lambda node, names: sign(node, *(names or ()), telling=names is not None),
        st.sampled_from([*NODES, "node-c"]),
        indications,
    ),
    max_size=6,
)


@given(signs, st.sampled_from(NAMES))
def test_proof_is_independent_of_sign_order(seen: list[Sign], asked: str) -> None:
    assert evaluate.evaluate(seen, asked, NODES) == evaluate.evaluate(seen[::-1], asked, NODES[::-1])


@given(signs, signs, st.sampled_from(NAMES))
def test_proof_with_a_contradiction_stays_so_with_more_signs(more: list[Sign], seen: list[Sign], asked: str) -> None:
    before, after = evaluate.evaluate(seen, asked, NODES), evaluate.evaluate(seen + more, asked, NODES)
    if before.state == "disproven":
        assert after.state == "disproven"
    if before.state == "proven":
        assert after.state in {"proven", "disproven"}


@given(signs, st.sampled_from(NAMES))
def test_proof_needs_informative_signs_on_each_node(seen: list[Sign], asked: str) -> None:
    found = evaluate.evaluate(seen, asked, NODES)
    telling = {s.node for s in seen if s.indicates is not None}
    if found.state == "proven":
        assert set(NODES) <= telling
        assert all(asked in s.indicates for s in seen if s.indicates is not None)
        assert found.observed == asked
        assert found.reason is None
    else:
        assert found.reason


@given(signs, st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_observed_dataplane_is_independent_of_the_request(seen: list[Sign], asked: str, other: str) -> None:
    assume(asked != other)
    assert evaluate.evaluate(seen, asked, NODES).observed == evaluate.evaluate(seen, other, NODES).observed


def test_proven_where_signs_together_leave_one_dataplane() -> None:
    seen = [
        sign("node-a", "lab-iptables", "lab-nftables"),
        sign("node-a", "lab-nftables", "lab-ebpf"),
        sign("node-b", "lab-nftables"),
        sign("node-b", telling=False),
    ]
    assert evaluate.evaluate(seen, "lab-nftables+twin", NODES).state == "proven"


def test_disproof_names_sign_and_node() -> None:
    seen = [sign("node-a", "lab-ebpf"), sign("node-b", "lab-iptables")]
    found = evaluate.evaluate(seen, "lab-ebpf", NODES)
    assert found.state == "disproven"
    assert found.observed is None
    assert found.reason == "node-b: counters: some; that is lab-iptables, not lab-ebpf"


def test_proof_sign_of_no_dataplane_is_contrary() -> None:
    seen = [*(sign(node, "lab-ebpf") for node in NODES), sign("node-a")]
    found = evaluate.evaluate(seen, "lab-ebpf", NODES)
    assert found.state == "disproven"
    assert found.reason == "node-a: counters: some; so lab-ebpf is not proven"


def test_wrong_dataplane_on_every_node_is_observed() -> None:
    found = evaluate.evaluate([sign(node, "lab-iptables") for node in NODES], "lab-ebpf", NODES)
    assert (found.state, found.observed) == ("disproven", "lab-iptables")


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        ([], "lab-ebpf is not proven: node-a shows no conclusive sign; node-b shows no conclusive sign"),
        ([sign("node-a", "lab-ebpf")], "lab-ebpf is not proven: node-b shows no conclusive sign"),
        (
            [sign("node-a", "lab-ebpf"), sign("node-b", telling=False)],
            "lab-ebpf is not proven: node-b shows no conclusive sign (counters: some)",
        ),
        (
            [sign("node-a", "lab-ebpf"), sign("node-b", "lab-ebpf", "lab-ebpf-dsr")],
            "lab-ebpf is not proven: node-b could be lab-ebpf or lab-ebpf-dsr",
        ),
    ],
)
def test_unproven_reason_names_node_and_missing_sign(seen: Sequence[Sign], reason: str) -> None:
    found = evaluate.evaluate(seen, "lab-ebpf", NODES)
    assert (found.state, found.reason) == ("unproven", reason)


def test_proof_without_nodes_is_unproven() -> None:
    assert evaluate.evaluate([sign("node-a", "lab-ebpf")], "lab-ebpf", ()).state == "unproven"


@pytest.mark.parametrize("names", [None, (), tuple(f"lab-{number}" for number in range(1_000))])
def test_reason_is_bounded_whatever_the_signs_say_and_however_many_nodes_there_are(
    names: tuple[str, ...] | None,
) -> None:
    nodes = [f"ip-10-0-{number}.compute.internal" for number in range(2_000)]
    seen = [
        sign(node, *(names or ()), telling=names is not None).model_copy(update={"seen": "x" * 99_000})
        for node in nodes[:3]
    ]
    found = evaluate.evaluate(seen, "lab-ebpf", nodes)
    assert found.state != "proven"
    assert 100 < len(found.reason or "") <= 5_000
    assert nodes[0] in (found.reason or "")
