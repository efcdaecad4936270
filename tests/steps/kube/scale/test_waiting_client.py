"""The program that finds out when an address answers, over real sockets, and its caller; and what its times come to."""

import asyncio
import math
import random
import socket
import statistics
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import pytest

from analysis.errors import Problem
from steps.cluster.kube.probe import echo_server, first_answer, waiting_client
from steps.cluster.kube.probe.waiting_client import EVERY_S, SETTLED_S, Wait
from steps.cluster.kube.scale import programming
from steps.cluster.kube.scale.observations import ObservedChange, times
from steps.cluster.kube.scale.programming import TimedPart, Toggle
from steps.cluster.kube.scale.programming_pods import ProgrammingPods
from steps.cluster.kube.scale.waits import NodeClock, WaitingClient
from steps.cluster.kube.workloads.probe_pods import Site

LOCAL = "127.0.0.1"
TOKEN = "0123456789abcdef" * 2


def free_port() -> int:
    with socket.create_server((LOCAL, 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def running(work: Callable[[Callable[[], None]], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """Run a program of asyncio in a thread until the end of the block. `work`: gets what it calls when it runs."""
    ready, over = threading.Event(), threading.Event()

    async def run() -> None:
        task = asyncio.ensure_future(work(ready.set))
        await asyncio.to_thread(over.wait)
        task.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(10)
    yield
    over.set()
    thread.join(10)


@contextmanager
def client() -> Iterator[WaitingClient]:
    port = free_port()

    async def serve(ready: Callable[[], None]) -> None:
        await waiting_client.serve(TOKEN, port, lambda _port: ready())

    with running(serve):
        yield WaitingClient("node-a", LOCAL, TOKEN, port)


class Echo:
    """An echo server that can be started and stopped."""

    def __init__(self) -> None:
        self.port = free_port()
        self._running = ExitStack()

    def start(self) -> None:
        async def serve(ready: Callable[[], None]) -> None:
            ready()
            await echo_server.serve(self.port, TOKEN)

        self._running.enter_context(running(serve))

    def stop(self) -> None:
        self._running.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.stop()


def bench(client: WaitingClient) -> ProgrammingPods:
    return ProgrammingPods("image:1", (Site("node-a", LOCAL),), (client,), (LOCAL,), TOKEN)


def test_time_of_the_first_answer_is_that_of_the_change(echo: Echo) -> None:
    with client() as who:
        clock = who.clock()
        assert abs(clock.offset_s) <= clock.bound_s, "one machine has one clock"
        with who.waiting(LOCAL, echo.port, "answered", 10) as wait:
            assert wait.begun()
            began = time.monotonic()
            echo.start()
            started = time.monotonic()
            at = wait.at()
        assert at is not None
        assert began <= clock.here(at) + clock.bound_s
        assert clock.here(at) <= started + 10 * EVERY_S, "it was found out at once"


def test_address_that_answers_already_is_no_change(echo: Echo) -> None:
    echo.start()
    with client() as who:
        toggle = Toggle(lambda: None, lambda: None, "answered", (LOCAL,), echo.port)
        with pytest.raises(Problem, match="answers from node-a before it was changed"):
            programming._changed(bench(who), toggle, toggle.make, toggle.made, 0.3)


def test_change_waits_for_a_node_that_answers_again(echo: Echo) -> None:
    """It was busy when it seemed to have followed the removal before."""
    echo.start()
    stop = threading.Timer(0.5, echo.stop)
    stop.start()

    def start() -> None:
        stop.join()  # the first server answers nobody before its end, which would end the next one too
        echo.start()

    with client() as who:
        toggle = Toggle(start, echo.stop, "answered", (LOCAL,), echo.port)
        (found,) = programming._changed(bench(who), toggle, toggle.make, toggle.made, 10)
    assert found.seconds is not None


def test_change_that_never_comes_is_no_missing_value() -> None:
    with client() as who:
        toggle = Toggle(lambda: None, lambda: None, "answered", (LOCAL,), free_port())
        (found,) = programming._changed(bench(who), toggle, toggle.make, toggle.made, 0.3)
    assert found.seconds is None
    assert times([found], 1.0).failed == 1


@pytest.mark.parametrize("timed", ["made", "undone"])
def test_lane_makes_a_change_and_undoes_it_and_times_one_of_them(
    timed: TimedPart, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programming, "_PAUSE_S", 0.0)
    monkeypatch.setattr(waiting_client, "SETTLED_S", 0.1)
    with client() as who:
        toggle = Toggle(echo.start, echo.stop, "answered", (LOCAL,), echo.port)
        (found,) = programming._lane(bench(who), toggle, timed, 0.0, 10, threading.Event())
    assert found.seconds is not None
    assert found.seconds < 1.0


class Agent:
    """An agent that writes all changes at the end of each of its periods, and a clock that only waiting moves."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self.now_s = random.uniform(0.0, period_s)
        self.changes = 0

    def change(self, *_: object) -> list[ObservedChange]:
        self.changes += 1
        worked_s = self._period_s * (math.floor(self.now_s / self._period_s) + 1)
        took_s, self.now_s = worked_s - self.now_s, worked_s
        return [ObservedChange("node-a", took_s, 0.0)]

    def wait(self, seconds: float) -> bool:
        self.now_s += seconds
        return False


@pytest.mark.parametrize("period_s", [0.2, 1.0, 7.0])
@pytest.mark.parametrize("timed", ["made", "undone"])
def test_timed_changes_meet_any_moment_of_the_agents_rhythm(
    timed: TimedPart, period_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change made right after another has worked would take a whole period each time."""
    agent = Agent(period_s)
    monkeypatch.setattr(programming, "_changed", agent.change)
    monkeypatch.setattr(time, "monotonic", lambda: agent.now_s)
    toggle = Toggle(lambda: None, lambda: None, "answered", (LOCAL,))
    found = programming._lane(
        cast("ProgrammingPods", None), toggle, timed, 400 * max(period_s, 1.0), 10, cast("threading.Event", agent)
    )
    took_s = [each.seconds / period_s for each in found if each.seconds is not None]
    assert len(took_s) >= 100
    deciles = statistics.quantiles(took_s, n=10)
    assert deciles == pytest.approx([0.1 * n for n in range(1, 10)], abs=0.2)


@pytest.mark.parametrize(("timed", "failing", "counted"), [("made", 1, 1), ("undone", 1, 1), ("made", 3, 1)])
def test_lane_ends_with_the_first_change_that_a_node_does_not_follow(
    timed: TimedPart, failing: int, counted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(1.0)

    def change(*_: object) -> list[ObservedChange]:
        found = agent.change()
        return [ObservedChange("node-a", None, 0.0)] if agent.changes == failing else found

    monkeypatch.setattr(programming, "_changed", change)
    toggle = Toggle(lambda: None, lambda: None, "answered", (LOCAL,))
    found = programming._lane(cast("ProgrammingPods", None), toggle, timed, 60, 10, cast("threading.Event", agent))
    assert [each.seconds for each in found].count(None) == counted
    assert agent.changes == failing


@pytest.mark.parametrize("work", ["lane", "await_all"])
def test_a_node_that_follows_the_first_removal_late_is_waited_for(
    work: str, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than the random pause before the first change: it answers when the removal has been accepted."""
    monkeypatch.setattr(programming, "_PAUSE_S", 0.0)
    monkeypatch.setattr(waiting_client, "SETTLED_S", 0.1)
    echo.start()
    followed: list[threading.Timer] = []

    def undo() -> None:
        if not followed:
            followed.append(threading.Timer(0.3, echo.stop))
            followed[0].start()
        else:
            echo.stop()

    with client() as who:
        toggle = Toggle(echo.start, undo, "answered", (LOCAL,), echo.port)
        if work == "lane":
            (made,) = programming._lane(bench(who), toggle, "made", 0.0, 10, threading.Event())
        else:
            monkeypatch.setattr(programming, "_service", lambda _client, _bench: toggle)
            (made,) = programming.await_all(who, bench(who), 10)  # type: ignore[arg-type]
    assert made.seconds is not None


def test_a_change_that_is_never_undone_is_a_problem_after_its_time(echo: Echo) -> None:
    echo.start()
    with client() as who:
        toggle = Toggle(lambda: None, lambda: None, "answered", (LOCAL,), echo.port)
        with pytest.raises(Problem, match="answers from node-a before it was changed"):
            programming._lane(bench(who), toggle, "made", 0.0, 0.3, threading.Event())


def test_concurrent_changes_find_a_connection() -> None:
    """Each lane waits by one connection, and asks for the clock by another."""
    with client() as who, ExitStack() as stack:
        for _ in range(2 * programming._LANES):
            stack.enter_context(who.waiting(LOCAL, free_port(), "answered", 10))
        assert who.clock().bound_s < 5.0


def test_requests_without_the_token_are_not_answered() -> None:
    with client() as who:
        other = WaitingClient(who.node, who.address, "f" * 32, who.port)
        with pytest.raises(Problem, match="gave an answer that is not one of its program"):
            other.clock()
        assert who.clock().bound_s < 1.0


@pytest.mark.parametrize("answer", [b'{"\xff": 1}\n', b"[" * 50_000 + b"\n", b"\n", b"no JSON\n", b'{"at_s": null}\n'])
def test_answer_that_is_none_is_a_problem_that_names_the_node(answer: bytes) -> None:
    with socket.create_server((LOCAL, 0)) as server:

        def reply() -> None:
            with server.accept()[0] as opened:
                opened.recv(1_000)
                opened.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        with pytest.raises(Problem, match="the probe on node-a gave an answer that is not one of its program"):
            WaitingClient("node-a", LOCAL, TOKEN, server.getsockname()[1]).clock()
        thread.join(10)


def noted(wait: Wait, *attempts: tuple[float, float, bool]) -> list[bool]:
    return [wait.note(started, ended, answered=answered) for started, ended, answered in attempts]


def test_silence_begins_with_the_first_attempt_since_which_none_was_answered() -> None:
    wait = Wait("unanswered")
    # attempts overlap: one of 1.0 is lost, though one that began later was answered; the silence begins at 1.2
    ended = [(0.0, 0.1, True), (1.1, 1.15, True), (1.0, 1.5, False), (1.2, 1.7, False), (1.3, 1.8, False)]
    assert not any(noted(wait, *ended))
    assert noted(wait, (1.2 + SETTLED_S, 2.7, False)) == [True]
    assert wait.at == 1.2


def test_attempts_before_the_first_answer_are_no_silence() -> None:
    wait = Wait("unanswered")
    assert not any(noted(wait, (0.0, 0.5, False), (2.0, 2.5, False), (4.0, 4.1, True)))
    assert wait.began
    assert wait.at is None


def test_first_packet_of_a_pod_is_timed_from_the_start_of_its_process(echo: Echo) -> None:
    echo.start()
    found = first_answer.first_answer(LOCAL, echo.port, TOKEN, 10)
    assert found["began_s"] is not None
    assert found["answered_s"] is not None
    assert 0 < found["began_s"] <= found["answered_s"] <= first_answer.age_s() + 0.01
    nobody = first_answer.first_answer(LOCAL, free_port(), TOKEN, 0.05)
    assert nobody["answered_s"] is None


def test_changes_that_never_came_are_later_than_all_others() -> None:
    followed = [ObservedChange("node-a", 0.01 * n, 0.001 * n) for n in range(1, 100)]
    all_ = times(followed, 30.0)
    assert (all_.p50_s, all_.p99_s, all_.worst_s) == (0.5, None, 0.99)
    some = times([*followed, ObservedChange("node-b", None, 0.0)], 30.0)
    assert (some.p50_s, some.p99_s, some.worst_s) == (0.5, 0.99, None)
    assert (some.observed, some.failed, some.clock_skew_s) == (99, 1, 0.099)
    assert some.error == "node-b did not follow in time"
    most = times([ObservedChange("node-a", 1.0, 0.0), *[ObservedChange("node-b", None, 0.0)] * 2], 30.0)
    assert most.p50_s is None


def test_clock_of_a_node_is_read_as_ones_own() -> None:
    assert NodeClock(offset_s=100.0, bound_s=0.1).here(101.5) == 1.5
