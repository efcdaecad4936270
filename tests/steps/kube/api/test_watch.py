"""Watching and retrying: one way for all who wait for something on a cluster."""

import ast
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from steps.cluster.kube.api import retries, watch
from steps.cluster.kube.api.errors import ConflictError, ExpiredError, TransientError
from tests.ordinary import ROOT

Object = dict[str, Any]
Act = Callable[[], Iterator[Object]]


def thing(uid: str, value: int = 0) -> Object:
    return {"metadata": {"uid": uid}, "value": value}


def event(kind: str, uid: str, value: int = 0) -> Object:
    return {"type": kind, "object": thing(uid, value)}


class Server:
    """Hands out looks and watches as they were written down; the last look again and again."""

    def __init__(self, looks: list[watch.Objects], watches: list[list[Object | Exception]]) -> None:
        self.looks, self.watches = looks, watches
        self.asked: list[tuple[str, int]] = []

    def look(self) -> tuple[watch.Objects, str]:
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return found, str(len(self.looks))

    def events(self, version: str, seconds: int) -> Iterator[Object]:
        self.asked.append((version, seconds))
        for each in self.watches.pop(0) if self.watches else []:
            if isinstance(each, Exception):
                raise each
            yield each


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was slept, on a clock that stands still meanwhile."""
    slept = list[float]()
    clock = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(watch, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: clock[0]))
    return slept


def taken(server: Server, count: int, timeout_s: float | None = None, every_s: float = 60.0) -> list[list[Object]]:
    return [*itertools.islice(watch.changes(server.look, server.events, timeout_s, every_s), count)]


@pytest.mark.usefixtures("pauses")
def test_watch_takes_in_added_changed_and_deleted_objects() -> None:
    events: list[Object | Exception] = [
        event("ADDED", "b"),
        event("MODIFIED", "a", 7),
        event("BOOKMARK", "c"),
        event("DELETED", "b"),
    ]
    states = taken(Server([[thing("a")]], [events]), 5)
    assert states == [
        [thing("a")],
        [thing("a"), thing("b")],
        [thing("a", 7), thing("b")],
        [thing("a", 7), thing("b")],
        [thing("a", 7)],
    ]


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("error", [TransientError("broken"), ExpiredError("too old", 410)])
def test_watch_that_breaks_or_is_too_old_begins_with_a_new_look(error: Exception) -> None:
    server = Server([[thing("a")], [thing("b")]], [[event("ADDED", "x"), error]])
    assert taken(server, 3) == [[thing("a")], [thing("a"), thing("x")], [thing("b")]]


def test_watch_that_breaks_at_once_again_and_again_pauses_longer(pauses: list[float]) -> None:
    broken: list[list[Object | Exception]] = [[TransientError("broken")] for _ in range(8)]
    taken(Server([[]], [*broken, [event("ADDED", "a"), TransientError("broken")]]), 11)
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 0.1]


@pytest.mark.usefixtures("pauses")
def test_error_of_a_look_ends_the_watch() -> None:
    def look() -> tuple[watch.Objects, str]:
        raise TransientError("the server is away")

    with pytest.raises(TransientError, match="away"):
        next(watch.changes(look, Server([[]], []).events))


@pytest.mark.usefixtures("pauses")
def test_watch_ends_with_a_last_look_when_time_is_up() -> None:
    server = Server([[thing("a")], [thing("b")]], [])
    assert taken(server, 9, timeout_s=0.05) == [[thing("a")], [thing("b")]]


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize(
    ("timeout_s", "every_s", "seconds"),
    [(None, 60.0, 60), (7.0, 60.0, 7), (600.0, 60.0, 60), (7.0, 5.0, 5), (0.1, 5, 1)],
)
def test_watch_lasts_no_longer_than_is_of_use(timeout_s: float | None, every_s: float, seconds: int) -> None:
    server = Server([[]], [])
    taken(server, 2, timeout_s, every_s)
    assert server.asked == [("1", seconds)]


@pytest.mark.parametrize(
    ("line", "error", "says"),
    [
        (b'{"type": "ADD', TransientError, "prod: the watch of pods was cut in the middle of an event"),
        (b'{"type": "ERROR", "object": {"code": 410}}', ExpiredError, "prod: the watch of pods fell behind"),
    ],
)
def test_truncated_event_and_error_event_are_errors(line: bytes, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        list(watch.parsed([line], "prod: the watch of pods"))


def test_write_is_made_again_through_conflicts_and_not_for_ever() -> None:
    outcomes: list[Exception | str] = [ConflictError("changed", 409), ConflictError("changed", 409), "written"]
    pauses = list[float]()

    def write() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert retries.through_conflicts(write, pauses.append) == "written"
    assert len(pauses) == 2
    outcomes += [ConflictError("changed", 409)] * 9
    with pytest.raises(ConflictError):
        retries.through_conflicts(write, pauses.append)
    assert len(outcomes) == 3, "six attempts"


def calls(path: Path) -> set[str]:
    """The names of what a module calls: `time.sleep`, `Retrying`."""
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}


def test_watch_is_the_only_code_that_sleeps_or_retries_on_a_cluster() -> None:
    folders = ("steps/cluster/kube", "workflows/deployment", "workflows/submission")
    found = {
        str(path.relative_to(ROOT)): named
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if (named := {name for name in calls(path) if name.endswith(("sleep", "Retrying")) and "asyncio" not in name})
    }
    assert {name.rpartition("/")[2]: named for name, named in found.items()} == {
        "watch.py": {"time.sleep"},
        "retries.py": {"Retrying"},
        "executor.py": {"self._around.sleep"},  # what waits calls it, with a sign of life in the lock now and then
        "first_answer.py": {"time.sleep"},  # between a pod's own first packets
        "transport.py": {"Retrying"},  # calls, through what is transient and what Retry-After says
    }
