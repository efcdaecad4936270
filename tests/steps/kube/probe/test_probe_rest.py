"""Probes that rest while trials are measured."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from steps.cluster.kube.probe import connections, echo, node_probe, rest
from steps.cluster.kube.probe.connections import HeldConnection, Target
from steps.cluster.kube.probe.rest import Messages, Rest
from tests.steps.kube.probe.node_probes import LOCAL, TOKEN, Object, Until, free_port, hurry, lines, so, spec


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


def test_probes_rest_and_wake_on_request() -> None:
    """A client learns it from the server: it sends nothing more, and counts anew when it is woken."""
    port = free_port()
    server, client = spec(port, echo=port), spec(port)
    reports: list[Object] = []
    rested = asyncio.Event()

    async def scenario() -> tuple[Object, Object]:
        woken = Until(lambda report: len(reports) > 0 and not report["rests"] and lines(report)["tcp"]["received"] > 2)

        def take(line: str) -> None:
            report = json.loads(line)
            if rested.is_set():
                woken.take(line)
            elif report["rests"]:
                reports.append(report)

        async with asyncio.timeout(20):
            over = asyncio.Event()
            serving = asyncio.ensure_future(node_probe.run(server, lambda _line: None, over.wait()))
            asking = asyncio.ensure_future(node_probe.run(client, take, woken.reached()))
            while not await asyncio.to_thread(rest.tell, LOCAL, port, TOKEN, begins=True):
                pass  # it does not listen yet
            count = 0
            while not reports or len(reports) > count:  # until it reports no more
                count = len(reports)
                await asyncio.sleep(10 * node_probe.REPORT_S)
            rested.set()
            assert await asyncio.to_thread(rest.tell, LOCAL, port, TOKEN, begins=False)
            await asking
            over.set()
            await serving
            await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
        return reports[-1], woken.last

    quiet, awake = asyncio.run(scenario())
    assert lines(quiet)["tcp"]["dropped"] == 0
    assert awake["answers"][0]["since"] > quiet["at"]
    assert lines(awake)["tcp"]["connected"] == 1, "the connections are new, and their counts too"


def test_connection_without_its_reply_stays_open_while_the_probe_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "DEAD_S", 1)

    async def scenario() -> Object:
        messages = Messages.of(TOKEN)

        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(len(messages.request))
            writer.write(messages.reply)
            with suppress(asyncio.IncompleteReadError):
                await reader.readexactly(len(messages.request))
                resting.awake.clear()  # this request is never answered
                await reader.read()
            writer.close()

        resting, held = Rest(messages, learns=True), HeldConnection("l", "tcp")
        async with await asyncio.start_server(once, LOCAL, 0) as server, asyncio.timeout(20):
            line = Target("l", "n", LOCAL, server.sockets[0].getsockname()[1])
            holding = asyncio.ensure_future(connections.hold_tcp(line, held, resting))
            await so(lambda: resting.now and held.as_json()["silent_s"] > 0)
            assert not held.closed
            await so(lambda: held.closed)
            holding.cancel()
        return held.as_json()

    held = asyncio.run(scenario())
    assert (held["connected"], held["received"], held["dropped"], held["silent_s"]) == (1, 1, 1, 0.0)


def test_node_probe_rests_only_by_its_token() -> None:
    port = free_port()

    async def scenario() -> tuple[bool, bool]:
        async with contextlib.AsyncExitStack() as stack:
            own = Rest(Messages.of(TOKEN), learns=False)
            await echo.serve_echo(port, own, stack, LOCAL)
            wrong = await asyncio.to_thread(rest.tell, LOCAL, port, TOKEN[::-1], begins=True)
            assert not own.now
            assert own.understands(own.messages.rest)
            return wrong, own.now

    assert asyncio.run(scenario()) == (False, False), "nor does a server heed another one's reply"
    assert not rest.tell(LOCAL, port, TOKEN, begins=True), "nobody listens there"


class Asked(Rest):
    """A server's, with the requests that it got."""

    def __init__(self) -> None:
        super().__init__(Messages.of(TOKEN), learns=False)
        self.requests: list[bytes] = []

    async def answer(self, request: bytes) -> bytes | None:
        self.requests.append(request)
        return await super().answer(request)


@contextlib.asynccontextmanager
async def resting_client(server: Asked) -> AsyncIterator[Rest]:
    """A client that rests beside a server that does, and asks to be woken."""
    port, client = free_port(), Rest(server.messages, learns=True)
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(20):
        await echo.serve_echo(port, server, stack, LOCAL)
        for each in (server, client):
            each.awake.clear()
        asking = asyncio.ensure_future(connections.ask_to_wake(Target("t", "n", LOCAL, port), client))
        yield client
        asking.cancel()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)


def test_resting_client_asks_once_and_is_told_when_the_rest_ends() -> None:
    server = Asked()

    async def scenario() -> None:
        async with resting_client(server) as client:
            await so(lambda: len(server.requests) > 0)
            await asyncio.sleep(10 * node_probe.REPORT_S)
            assert server.requests == [server.messages.wait], "it sends nothing more while trials are measured"
            await server.answer(server.messages.wake)
            await client.awake.wait()

    asyncio.run(scenario())
    assert server.requests == [server.messages.wait, server.messages.wake]


def test_resting_client_asks_again_where_no_answer_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after its connection broke without a word."""
    monkeypatch.setattr(rest, "WAIT_S", 0.01)
    server = Asked()

    async def scenario() -> None:
        async with resting_client(server) as client:
            await so(lambda: len(server.requests) > 2)
            assert client.now
            await server.answer(server.messages.wake)
            await client.awake.wait()

    asyncio.run(scenario())
    assert set(server.requests) == {server.messages.wait, server.messages.wake}


def test_report_is_due_soon_after_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever ended it waits for that report, and not for the next second."""
    monkeypatch.setattr(node_probe, "REPORT_S", 60)
    server = Asked()
    server.awake.clear()

    async def scenario() -> None:
        async with asyncio.timeout(20):
            await asyncio.gather(node_probe.until_due(server), server.answer(server.messages.wake))

    asyncio.run(scenario())
