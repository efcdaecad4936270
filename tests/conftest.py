"""What tests of all parts share."""

import atexit
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from steps.measurement.subprocesses import search_everywhere
from tests import distribution, lab_programs
from tests.fuzz import inputs
from tests.ordinary import find_python

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling
    from xdist.workermanage import WorkerController

# Tests start some hundred processes of Python. Each would compile the project anew where no bytecode may be kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# How long an example takes is the machine's business: with a deadline a test would fail for what runs beside it. The
# examples are the same in every session, so that a test that passes here passes elsewhere too.
hypothesis.settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("suite")

FUZZ = "fuzz"
"""The name under which a process of pytest-xdist hands on the counts of its fuzz tests."""


@pytest.fixture(scope="session", autouse=True)
def _unsynced() -> Iterator[None]:
    """No test waits for the disk: what it writes need not outlast a loss of power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


@pytest.fixture(scope="session")
def ordinary_python() -> str:
    """A Python that an ordinary user may run and that finds the project and its packages."""
    found = find_python()
    if found is None:
        pytest.skip("no Python of this version that an ordinary user may run and that can read this checkout")
    return found


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A temporary folder that every user may enter. pytest's own it closes to others when any session begins."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def without_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages have no drawings, of whose making they mostly consist: for tests that look at something else."""
    monkeypatch.setattr("analysis.charts.to_specs", lambda *_: {})
    monkeypatch.setattr("analysis.charts.drawing.run_contrasts.draw", lambda *_: ())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """The number of processes where `auto` is given."""
    return distribution.process_count(len(os.sched_getaffinity(0)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "LoadScopeScheduling":
    """Distribute tests by their scope, in the order in which they were sorted."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - it is there wherever this is called

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return distribution.scope(nodeid)

    config.option.loadscopereorder = False
    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without Python's garbage collector: almost all that is made stays, and it would look through it often."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)
        gc.enable()


def pytest_configure(config: pytest.Config) -> None:
    """Find programs where a run does; end pytest-xdist's processes once what was registered later is tidied up.

    They do not take Python down: an error of pydantic's that a test expected may keep frames alive, beyond the reach of
    the garbage collector, and so a connection that is closed: DuckDB's binding would print it.
    """
    search_everywhere()
    if hasattr(config, "workerinput"):
        atexit.register(os._exit, 0)


def pytest_unconfigure() -> None:
    """Let nothing stay alive when the process ends: DuckDB's binding prints what does, after pytest's summary.

    Hypothesis leaves a function among the collector's callbacks, and by it the modules that it knows.
    """
    gc.callbacks.clear()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a lab that this machine can't have."""
    if item.get_closest_marker("lab") is not None and (lacking := lab_programs.lacking()):
        pytest.skip(lacking)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        distribution.order(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Keep apart what may not run at the same time."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    factory: pytest.TempPathFactory = item.config._tmp_path_factory  # type: ignore[attr-defined]
    with distribution.beside_others(factory.getbasetemp().parent, alone=item.get_closest_marker("alone") is not None):
        return (yield)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand on the counts of the fuzz tests, from a process of pytest-xdist to the one that prints them."""
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[FUZZ] = inputs.plain_counts()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: "WorkerController") -> None:
    inputs.add_counts(getattr(node, "workeroutput", {}).get(FUZZ, {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was tried by fuzz tests and what came of it, also where the tests' own output is captured."""
    found = inputs.lines()
    if found:
        terminalreporter.section("fuzz")
        terminalreporter.write("\n".join(found) + "\n")
