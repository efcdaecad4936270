"""Turns: whatever steps join, die, are late or ask twice, never do two measure at once, and all who are there end."""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.measurement.turns.turns import ABSENT_S, POLL_S, TRANSPORT_S, TurnReply, TurnRequest, Turns

STEPS = ("host-network", "pod-to-pod", "pod-to-service")
PATIENCE_S = 60.0


def request(step: str, number: int | None, *, lease_s: float = 20.0, seen: int = 0) -> TurnRequest:
    return TurnRequest(step=step, steps=STEPS, next=number, lease_s=lease_s, patience_s=PATIENCE_S, seen=seen)


def all_ask(turns: Turns, now_s: float = 0.0, **numbers: int | None) -> None:
    for step in STEPS:
        turns.ask(request(step, numbers[step.replace("-", "_")]), now_s)


def test_lowest_number_measures_and_all_stay_until_all_are_done() -> None:
    turns = Turns()
    all_ask(turns, host_network=1, pod_to_pod=4, pod_to_service=2)
    given_in_order = []
    for step, after in (("host-network", None), ("pod-to-service", 6), ("pod-to-pod", None), ("pod-to-service", None)):
        found = {name: turns.answer(name, 1.0) for name in STEPS}
        (holder,) = (name for name, answer in found.items() if answer is not None)
        assert holder == step, "the others wait, also those that are done"
        answer = found[step]
        assert answer is not None
        given_in_order.append((answer.number, answer.turn))
        turns.close(step, 1.0, gone=False)
        turns.ask(request(step, after), 1.0)
    assert given_in_order == [(1, 1), (2, 2), (4, 3), (6, 4)]
    assert {turns.answer(name, 1.0) for name in STEPS} == {TurnReply(state="leave")}


def test_step_that_never_starts_is_waited_for_within_its_bound_and_named() -> None:
    turns = Turns()
    turns.ask(request("host-network", 1), 0.0)
    turns.ask(request("pod-to-pod", 2), 5.0)
    assert turns.answer("host-network", PATIENCE_S - 0.1) is None
    assert turns.changes_in_s(50.0) == pytest.approx(10.0)
    answer = turns.answer("host-network", PATIENCE_S)
    assert answer is not None
    assert (answer.state, answer.number, answer.missing) == ("measure", 1, ("pod-to-service",))


def test_step_that_is_late_measures_what_it_has_left_of_the_order() -> None:
    turns = Turns()
    turns.ask(request("host-network", None), 0.0)
    turns.ask(request("pod-to-pod", 8), 0.0)
    assert turns.answer("pod-to-pod", PATIENCE_S) is not None
    turns.ask(request("pod-to-service", 2), PATIENCE_S)
    assert turns.answer("pod-to-service", PATIENCE_S) is None, "another one measures"
    turns.close("pod-to-pod", PATIENCE_S, gone=False)
    turns.ask(request("pod-to-pod", 10), PATIENCE_S)
    answer = turns.answer("pod-to-service", PATIENCE_S)
    assert answer is not None
    assert (answer.number, answer.missing) == (2, ())


def test_turn_of_an_ended_step_is_skipped() -> None:
    turns = Turns()
    all_ask(turns, host_network=1, pod_to_pod=2, pod_to_service=None)
    assert turns.answer("host-network", 0.0) is not None
    turns.close("host-network", 0.0, gone=False)  # it has its answer, and is never heard of again
    over_s = 20.0 + TRANSPORT_S
    assert turns.answer("pod-to-pod", over_s - 0.1) is None
    answer = turns.answer("pod-to-pod", over_s)
    assert answer is not None
    assert (answer.state, answer.number) == ("measure", 2)
    turns.ask(request("host-network", 1), over_s)
    turns.close("pod-to-pod", over_s, gone=False)
    turns.ask(request("pod-to-pod", None), over_s)
    again = turns.answer("host-network", over_s)
    assert again is not None
    assert again.number == 2, "the first of its numbers has passed"


def test_turns_end_once_a_step_refuses() -> None:
    turns = Turns()
    all_ask(turns, host_network=1, pod_to_pod=2, pod_to_service=3)
    assert turns.answer("host-network", 0.0) is not None
    turns.ask(request("pod-to-service", None).model_copy(update={"refusal": "not proven"}), 1.0)
    assert turns.answer("pod-to-pod", 1.0) is None, "another one still measures"
    turns.close("host-network", 1.0, gone=False)
    turns.ask(request("host-network", 4), 1.0)
    assert {turns.answer(name, 1.0) for name in STEPS} == {TurnReply(state="leave", refusal="not proven")}


def test_turn_refusal_is_heard_before_all_steps_have_come() -> None:
    turns = Turns()
    turns.ask(request("pod-to-pod", 2), 0.0)
    turns.ask(request("pod-to-service", None).model_copy(update={"refusal": "not proven"}), 1.0)
    answer = turns.answer("pod-to-pod", 1.0)
    assert answer is not None
    assert (answer.state, answer.refusal) == ("leave", "not proven")


def test_turns_wait_for_every_step_that_is_needed() -> None:
    turns = Turns()
    for step in STEPS[:2]:
        turns.ask(request(step, 1).model_copy(update={"needed": ("pod-to-service",)}), 0.0)
    assert turns.answer("host-network", PATIENCE_S - 0.1) is None
    for step in STEPS[:2]:
        answer = turns.answer(step, PATIENCE_S)
        assert answer is not None
        assert answer.state == "leave"
        assert answer.refusal == "pod-to-service did not come in time, without which nothing is measured"


@pytest.mark.parametrize("gone", [True, False])
def test_step_that_goes_while_it_waits_delays_the_others_for_a_bounded_time(gone: bool) -> None:  # noqa: FBT001
    turns = Turns()
    all_ask(turns, host_network=1, pod_to_pod=2, pod_to_service=3)
    turns.close("host-network", 0.0, gone=gone)
    if not gone:
        assert turns.answer("pod-to-pod", ABSENT_S - 0.1) is None
    assert turns.answer("pod-to-pod", 0.0 if gone else ABSENT_S) is not None


def test_answer_that_was_lost_is_given_again_with_the_time_that_is_left() -> None:
    turns = Turns()
    all_ask(turns, host_network=1, pod_to_pod=2, pod_to_service=3)
    first = turns.answer("host-network", 0.0)
    turns.close("host-network", 0.0, gone=False)
    turns.ask(request("host-network", 1), 8.0)
    again = turns.answer("host-network", 8.0)
    assert first is not None
    assert again is not None
    assert (again.number, again.turn, again.lease_s) == (first.number, first.turn, first.lease_s - 8.0)


def test_late_request_changes_nothing() -> None:
    turns = Turns()
    all_ask(turns, host_network=7, pod_to_pod=8, pod_to_service=9)
    turns.ask(request("host-network", 1), 0.0)
    answer = turns.answer("host-network", 0.0)
    assert answer is not None
    assert answer.number == 7


def test_server_that_started_again_goes_on_counting() -> None:
    turns = Turns()
    for step, number in zip(STEPS, (7, 8, 9), strict=True):
        turns.ask(request(step, number, seen=40 + number), 0.0)
    answer = turns.answer("host-network", 0.0)
    assert answer is not None
    assert answer.turn == 50


def test_server_that_started_again_needs_no_step_that_has_come_and_gone() -> None:
    turns = Turns()
    for step, number in zip(STEPS[:2], (7, 8), strict=True):
        again = request(step, number, seen=number).model_copy(update={"needed": STEPS[2:]})
        turns.ask(again, 0.0)
    answer = turns.answer("host-network", 0.0)
    assert answer is not None
    assert (answer.state, answer.missing) == ("measure", ()), "turns were given, so it had come"


@pytest.mark.parametrize(
    "other",
    [
        TurnRequest(step="stranger", steps=("stranger",), next=1, lease_s=1, patience_s=1),
        TurnRequest(step="pod-to-pod", steps=("pod-to-pod",), next=1, lease_s=1, patience_s=1),
    ],
)
def test_request_of_another_visit_is_refused(other: TurnRequest) -> None:
    turns = Turns()
    turns.ask(request("pod-to-pod", 1), 0.0)
    with pytest.raises(ValueError, match="is not one of this visit's"):
        turns.ask(other, 0.0)


@dataclass
class _Client:
    """A step as a simulation has it: it asks, measures for its lease at most, asks again, or dies.

    `loses`: which of its answers are lost. `asked_s`: when its request arrived; None: it has none.
    """

    name: str
    numbers: list[int]
    joins_s: float
    dies_s: float
    delays_s: list[float]
    loses: set[int]
    answers: int = 0
    passed: int = 0
    asked_s: float | None = None
    measured: list[tuple[float, float]] = field(default_factory=list)
    next_ask_s: float = 0.0
    left_s: float | None = None

    def alive(self, now_s: float) -> bool:
        return self.joins_s <= now_s < self.dies_s and self.left_s is None


@st.composite
def clients(draw: st.DrawFn) -> list[_Client]:
    numbers = draw(st.permutations(range(1, draw(st.integers(3, 12)) + 1)))
    owners = [draw(st.sampled_from(STEPS)) for _ in numbers]
    found = []
    for name in STEPS:
        own = sorted(n for n, owner in zip(numbers, owners, strict=True) if owner == name)
        joins_s = draw(st.sampled_from([0.0, 1.0, 30.0, PATIENCE_S + 20, 1e9]))
        dies_s = draw(st.sampled_from([1e9, 1e9, 5.0, 40.0, 90.0]))
        delays_s = draw(st.lists(st.sampled_from([0.0, 0.5, TRANSPORT_S / 2]), min_size=1, max_size=4))
        loses = draw(st.sets(st.integers(0, 6), max_size=3))
        found.append(_Client(name, own, joins_s, dies_s, delays_s, loses))
    return found


@settings(max_examples=150)
@given(clients(), st.sampled_from([0.5, 3.0, 20.0, 50.0]))
def test_turns_never_overlap_and_all_live_steps_end(steps: list[_Client], lasts_s: float) -> None:
    turns, now_s = Turns(), 0.0
    while now_s < 3_000 and any(c.alive(now_s) or c.joins_s > now_s for c in steps if c.joins_s < 1e9):
        for client in steps:
            _act(client, turns, now_s, lasts_s)
        now_s += 0.5
    spans = sorted(span for client in steps for span in client.measured)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    for client in steps:
        if client.joins_s < 1e9 and client.dies_s == 1e9:
            assert client.left_s is not None, f"{client.name} waits for ever"
            assert len(client.measured) + client.passed == len(client.numbers)


def _act(client: _Client, turns: Turns, now_s: float, lasts_s: float) -> None:
    if not client.alive(now_s):
        if client.asked_s is not None:
            turns.close(client.name, now_s, gone=len(client.delays_s) % 2 == 0)
            client.asked_s = None
        return
    if now_s < client.next_ask_s:
        return
    done = len(client.measured) + client.passed
    if client.asked_s is None:
        wanted = client.numbers[done] if done < len(client.numbers) else None
        turns.ask(request(client.name, wanted, lease_s=20.0), now_s)
        client.asked_s = now_s
    answer = turns.answer(client.name, now_s)
    if answer is None and now_s - client.asked_s >= POLL_S:
        answer = TurnReply(state="ask-again")
    if answer is not None:
        turns.close(client.name, now_s, gone=False)
        client.asked_s = None
        _hear(client, answer, now_s, lasts_s)


def _hear(client: _Client, answer: TurnReply, now_s: float, lasts_s: float) -> None:
    done = len(client.measured) + client.passed
    began_s = now_s + client.delays_s[done % len(client.delays_s)]
    client.answers += 1
    client.next_ask_s = began_s
    if client.answers in client.loses or answer.state == "ask-again":
        return
    if answer.state == "leave":
        client.left_s = now_s
    elif answer.number != client.numbers[done]:
        client.passed += 1
    else:
        ends_s = min(began_s + min(lasts_s, answer.lease_s), client.dies_s)
        client.measured.append((began_s, ends_s))
        client.next_ask_s = ends_s
