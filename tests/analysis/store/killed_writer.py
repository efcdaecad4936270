"""Writes to copies of a store and kills itself, in each copy one change of the store later.

`test_store_kill.py` looks at what is left. It is a program of its own, because the test's process has threads and so
must not fork.
"""

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from analysis.store.compaction import compact
from analysis.store.store import Store
from tests.analysis.store.stored import rows

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir"}


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
    """Kill this process just before its change of that number to the store; between two nothing on disk differs."""
    left = point

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if not (event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR))):
            return
        # What has no folder in its name is a file in a folder of the store that is open, or an open file's descriptor.
        names = [str(name) for name in arguments[: 1 if event == "open" else 2]]
        if any(str(store) in name or "/" not in name for name in names) and not makes_nothing(event, arguments):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def makes_nothing(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether this makes a folder that is there."""
    if event != "os.mkdir":
        return False
    try:
        os.stat(arguments[0], dir_fd=arguments[2] if arguments[2] >= 0 else None)
    except FileNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
