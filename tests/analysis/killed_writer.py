"""Writes to copies of a store and kills itself, in each copy one file operation later.

`test_store_kill.py` looks at what is left. It is a program of its own, because the test's process has threads and so
must not fork.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

import pandas as pd  # noqa: F401 - Arrow imports it when it first makes an array: once here, not in each child

from analysis.store.compaction import compact
from analysis.store.store import Store
from tests.analysis.stored import rows

OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir"}


def main(scenario: str, prepared: Path, copies: Path) -> None:
    """Make copies `copies/1`, `copies/2`, ... of `prepared`, until one write comes to its end."""
    for point in range(1, 1000):
        copy = copies / str(point)
        shutil.copytree(prepared, copy)
        child = os.fork()
        if child == 0:
            die_at(point, copy)
            act(scenario, Store(str(copy)))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            return
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            sys.exit(f"the writer ended by itself at point {point}")


def act(scenario: str, store: Store) -> None:
    """Write as the scenario says."""
    if scenario == "pack":
        store.write("run-d", rows("run-d", "new"))
        with store.files.lock():
            compact(store.files, pack_at=2, keep_loose=1)
    elif scenario == "verdict":
        store.keep_verdict("run-a", "{}")
    else:
        store.write("run-a", rows("run-a", "new", trials=5))


def die_at(point: int, store: Path) -> None:
    """Kill this process just before its file operation of that number in the store."""
    left = point

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        # A name without a folder is one in a folder of the store that is open.
        if event in OPERATIONS and any(
            isinstance(name, str) and (str(store) in name or "/" not in name) for name in arguments[:2]
        ):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
