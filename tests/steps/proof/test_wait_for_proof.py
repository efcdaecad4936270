from collections.abc import Sequence

import pytest

from steps.domain import Sign
from steps.proof import wait
from steps.proof.wait import Impossible, Judgement, Pending, Proven, UnprovenError
from tests.steps.builders import NODES, sign

ASKED = "lab-ebpf"
PROVEN = [sign(node, ASKED) for node in NODES]
OLD = [sign(node, "lab-iptables") for node in NODES]


def judge(signs: Sequence[Sign]) -> Judgement:
    return wait.judge(signs, ASKED, NODES)


def test_settle_verdicts() -> None:
    assert isinstance(judge(PROVEN), Proven)
    assert isinstance(judge([]), Pending)
    assert isinstance(judge(PROVEN[:1]), Pending)
    assert isinstance(judge(OLD), Pending), "the old dataplane may be on its way out"
    assert isinstance(wait.judge(PROVEN, ASKED, ()), Impossible)


def test_settle_waits_for_proof_and_reports_changes_once() -> None:
    looks = iter([[], [], OLD, PROVEN])
    output: list[str] = []
    settled = wait.wait_for_proof(lambda: next(looks), judge, 30, output.append)
    assert settled.proof.observed == ASKED
    assert settled.signs == tuple(PROVEN)
    assert 0 < settled.settle_s < 30
    assert len(output) == 2
    assert "node-a shows no conclusive sign" in output[0]
    assert "that is lab-iptables, not lab-ebpf" in output[1]


def test_settle_timeout_names_nodes_and_signs() -> None:
    half = [PROVEN[0], sign("node-b", telling=False)]
    with pytest.raises(UnprovenError) as caught:
        wait.wait_for_proof(lambda: half, judge, 0.1, lambda _: None)
    assert str(caught.value) == (
        "not within 0.1 s: lab-ebpf is not proven: node-b shows no conclusive sign (counters: some) "
        "(seen: node-a: counters: some; node-b: counters: some)"
    )
    assert caught.value.signs == tuple(half)
    assert caught.value.proof is not None
    assert caught.value.proof.state == "unproven"


def test_impossible_dataplane_is_not_awaited() -> None:
    looks = 0

    def observe() -> list[Sign]:
        nonlocal looks
        looks += 1
        return PROVEN

    with pytest.raises(UnprovenError, match="no measured node is named") as caught:
        wait.wait_for_proof(observe, lambda signs: wait.judge(signs, ASKED, ()), 30, lambda _: None)
    assert looks == 1
    assert "seen:" not in str(caught.value), "the reason is enough"
    assert caught.value.signs == tuple(PROVEN)
