"""The processes of pytest-xdist: which tests stay together, in which order, and which run while no other does."""

import fcntl
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests import distribution
from tests.waiting import until


def item(nodeid: str, *marks: str, **of_slow: float) -> pytest.Item:
    found = {name: getattr(pytest.mark, name).mark for name in marks}
    if of_slow:
        found["slow"] = pytest.mark.slow(**of_slow).mark
    return cast("pytest.Item", SimpleNamespace(nodeid=nodeid, get_closest_marker=found.get))


def modules(items: list[pytest.Item]) -> list[str]:
    return [one.nodeid.partition("::")[0].rpartition("/")[2] for one in items]


@pytest.mark.parametrize(
    ("names", "name"),
    [
        (("runs/test_run.py", "runs/test_interrupt.py"), "runs"),
        (("steps/lab/test_lab.py", "steps/lab/test_sandbox.py", "steps/extensions/test_catalogues.py"), "lab"),
    ],
)
def test_modules_with_one_lock_or_sandbox_share_a_process(names: tuple[str, ...], name: str) -> None:
    assert {distribution.scope(f"tests/{module}::test_x") for module in names} == {name}


@pytest.mark.parametrize(("cores", "processes"), [(1, 4), (2, 5), (3, 6), (64, 6)])
def test_process_count_is_three_more_than_cores_but_not_many(cores: int, processes: int) -> None:
    assert distribution.process_count(cores) == processes


@pytest.mark.parametrize(
    "name",
    [
        "steps/settings/test_schedule",
        "runs/test_runs",
        "runs/test_interrupted_runs",
        "runs/test_full_disk",
        "steps/measurement/test_interference",
    ],
)
def test_scope_of_other_modules_and_of_runs_with_own_locks_is_the_module(name: str) -> None:
    assert distribution.scope(f"tests/{name}.py::test_x[a::b]") == f"tests/{name}.py"


def test_runs_lab_and_slow_modules_are_distributed_first() -> None:
    items = [
        item("tests/steps/settings/test_schedule.py::test_a"),
        item("tests/steps/test_documents.py::test_a"),
        item("tests/steps/test_documents.py::test_b", "slow"),
        item("tests/steps/lab/test_lab.py::test_a", "lab"),
        item("tests/runs/test_run.py::test_a", "lab"),
    ]
    distribution.order(items)
    assert modules(items) == [
        "test_run.py",
        "test_lab.py",
        "test_documents.py",
        "test_documents.py",
        "test_schedule.py",
    ]


def test_module_whose_slow_tests_take_longest_comes_first() -> None:
    two = [item("tests/runs/test_runs.py::test_a", "slow"), item("tests/runs/test_runs.py::test_b", "slow")]
    items = [*two, item("tests/project/test_setup.py::test_a", seconds=11)]
    distribution.order(items)
    assert modules(items) == ["test_setup.py", "test_runs.py", "test_runs.py"]


def test_module_with_a_test_that_runs_alone_is_the_last() -> None:
    items = [
        item("tests/steps/measurement/test_interference.py::test_a", "lab", "alone"),
        item("tests/steps/measurement/test_interference.py::test_b"),
        item("tests/project/test_setup.py::test_a"),
        item("tests/runs/test_run.py::test_a", "lab"),
    ]
    distribution.order(items)
    assert modules(items) == ["test_run.py", "test_setup.py", "test_interference.py", "test_interference.py"]


def test_lab_test_in_a_module_without_the_mark_is_refused() -> None:
    with pytest.raises(pytest.UsageError, match=r"test_schedule\.py::test_a is a test of the lab: mark it"):
        distribution.order([item("tests/steps/settings/test_schedule.py::test_a", "lab")])


def is_locked(path: Path) -> bool:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_alone_lock_waits_for_running_tests_and_goes_before_later_ones(tmp_path: Path) -> None:
    order: list[str] = []

    def run(name: str, *, alone: bool) -> threading.Thread:
        def hold() -> None:
            with distribution.beside_others(tmp_path, alone=alone):
                order.append(name)

        thread = threading.Thread(target=hold)
        thread.start()
        return thread

    with distribution.beside_others(tmp_path, alone=False):
        run("shared at once", alone=False).join()
        waiting = run("alone", alone=True)
        until(lambda: is_locked(tmp_path / "queue.lock"))
        later = run("shared later", alone=False)
        assert order == ["shared at once"]
    waiting.join()
    later.join()
    assert order == ["shared at once", "alone", "shared later"]
