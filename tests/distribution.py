"""How the suite is distributed over the processes of pytest-xdist, which `make test` starts: three more than cores.

A module is run by one process, so that its fixtures are made once. The modules with whole runs are run by one process,
since runs on one machine wait for each other's lock, but for modules whose runs have locks of their own; so are the
tests of the lab itself, since they share a sandbox. All of these mostly wait, so they come first, while there is enough
to do beside them.
A test marked `alone` waits until no other process runs a test, and the others wait for it; so its module is the last,
when the others have come to their ends.
"""

import fcntl
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.ordinary import ROOT

LAB: Final = "lab"
RUNS: Final = "runs"
_FIRST: Final = (RUNS, LAB)
"""The longest scopes."""

_ALONE: Final = "pytest.mark.alone"
_OF_THE_LAB: Final = "pytest.mark.lab"
_OWN_LOCKS: Final = "from tests.runs.own_locks import"
"""Stands in modules whose runs wait for no other module's."""

_WAITING: Final = 3
"""So many processes wait at a time: for runs, the lab or a timeout. Each more would collect all tests: 7 s of CPU."""

_SLOW_S: Final = 5
"""What a slow test takes that does not say how long."""

_MOST_PROCESSES: Final = 6
"""More would find nothing left to do beside the longest scopes."""


def process_count(cores: int) -> int:
    """How many processes run the tests: one for each core, and those that mostly wait."""
    return min(cores + _WAITING, _MOST_PROCESSES)


def scope(nodeid: str) -> str:
    """The name of the tests that have to be run by the same process as this one: `runs`, `lab` or its module."""
    module, text = _module(nodeid), _text(_module(nodeid))
    if _OF_THE_LAB not in text or _OWN_LOCKS in text or _ALONE in text:
        return module
    return LAB if module.startswith("tests/steps/") else RUNS


def _module(nodeid: str) -> str:
    return nodeid.partition("::")[0]


@functools.cache
def _text(module: str) -> str:
    return (ROOT / module).read_text(encoding="utf-8")


def _place(name: str) -> int:
    if name in _FIRST:
        return _FIRST.index(name)
    return len(_FIRST) + (_ALONE in _text(name))


def _seconds(item: pytest.Item) -> float:
    """What a test's mark says of how long it keeps a core busy."""
    slow = item.get_closest_marker("slow")
    return 0.0 if slow is None else float(slow.kwargs.get("seconds", _SLOW_S))


def order(items: list[pytest.Item]) -> None:
    """Sort tests for the distribution: runs, the lab, then modules with slow tests, so that all processes end together.

    Raises:
        pytest.UsageError: a test of the lab is in a module whose text does not show it.
    """
    slow: dict[str, float] = {}
    for item in items:
        if item.get_closest_marker(LAB) and _OF_THE_LAB not in _text(_module(item.nodeid)):
            raise pytest.UsageError(f"{item.nodeid} is a test of the lab: mark it or its module by pytest.mark.lab.")
        slow[scope(item.nodeid)] = slow.get(scope(item.nodeid), 0.0) + _seconds(item)
    items.sort(key=lambda item: (_place(scope(item.nodeid)), -slow[scope(item.nodeid)]))


@contextmanager
def beside_others(folder: Path, *, alone: bool) -> Iterator[None]:
    """Hold a lock of the session while a test runs: a shared one, or an exclusive one.

    Args:
        folder: the same for all processes of a session.
        alone: whether no other test may run at the same time. Those that begin meanwhile wait behind it.
    """
    with (folder / "queue.lock").open("w") as queue, (folder / "tests.lock").open("w") as tests:
        fcntl.flock(queue, fcntl.LOCK_EX)
        fcntl.flock(tests, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(queue, fcntl.LOCK_UN)
        yield
