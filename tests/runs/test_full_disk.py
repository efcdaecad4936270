"""Runs whose store is full sooner or later: each ends with a sentence that names the step and what to do."""

import os
import sys
from dataclasses import dataclass
from typing import Final

import pytest

from tests.runs.own_locks import with_own_locks
from tests.runs.whole_runs import FEW, finish, nothing_left_behind, start_command

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow(seconds=3),  # of a core: mostly they wait, and other modules with runs come before
    pytest.mark.skipif(os.geteuid() != 0, reason="a file system needs root to be mounted"),
]

FIRST_TO_FAIL: Final = {"20k": "settle", "32k": "clear", "48k": "configure"}
"""By the size of the store's file system: the step whose files are the first that have no room."""


@dataclass(frozen=True)
class Ended:
    """A run that has ended: its store, its exit code, and what it printed."""

    store: str
    code: int
    printed: str


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """A run for each size, all at the same time since none has a lock of another: mostly they wait."""
    run = (sys.executable, "-m", "workflows", "run", *FEW, "--rounds=1", "--dataplanes=lab-iptables,lab-nftables")
    stores = {size: str(tmp_path_factory.mktemp(size)) for size in FIRST_TO_FAIL}
    with nothing_left_behind():
        started = {}
        for size, store in stores.items():  # on a file system that only this run sees
            script = f'mount -t tmpfs -o size={size} tmpfs {store}; "$@"; code=$?; ls {store}/raw; exit $code'
            argv = ("sh", "-c", script, "sh", *run, f"--results={store}")
            started[size] = start_command(*with_own_locks(*argv, group=size))
        return {size: Ended(stores[size], *finish(process)) for size, process in started.items()}


@pytest.mark.parametrize(("size", "step"), FIRST_TO_FAIL.items())
def test_run_on_a_full_disk(size: str, step: str, ended: dict[str, Ended]) -> None:
    printed, store = ended[size].printed, ended[size].store
    assert ended[size].code == 1, printed
    (why,) = [line for line in printed.splitlines() if line.startswith("The first step that failed is ")]
    assert why.startswith(f"The first step that failed is {step}: ")
    assert "No space left on device." in why or "the disk is full; free some space, or choose another RESULTS." in why
    run_id = printed.splitlines()[-1]
    assert f"type `make report RUN={run_id} RESULTS={store}`." in printed
    assert "Traceback" not in printed
