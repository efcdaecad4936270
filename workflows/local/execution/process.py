"""The process of a step, forked from a server that has the steps loaded."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver
from pathlib import Path
from types import ModuleType
from typing import Final

from analysis.errors import Problem
from workflows.local.execution import child

GRACE_S: Final = 5.0
"""From SIGTERM to SIGKILL for a step that is stopped."""

_PRELOADED: Final = ("workflows.local.execution.fork_server", "workflows.local.execution.child")


def start_fork_server(preload: Sequence[str] = ()) -> None:
    """Start the server that forks the steps. Only the first call has an effect.

    `preload`: modules that it imports once for all steps.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload([*_PRELOADED, *preload])
    forkserver.ensure_running()


@contextlib.contextmanager
def _no_main_module() -> Iterator[None]:
    # multiprocessing would have each step import the program that was started, as __mp_main__.
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class StepProcess:
    """One running step. Created inside the event loop that waits for it."""

    def __init__(self, start: child.StepStart) -> None:
        """Start it; raises Problem or OSError where that can't be done."""
        self._process = multiprocessing.get_context("forkserver").Process(target=child.run_step, args=(start,))
        try:
            with _no_main_module():
                self._process.start()
        except EOFError:
            raise Problem(
                "the step could not be started, for the process that starts steps has ended: it was killed, or memory "
                "or processes ran out."
            ) from None
        if self._process.pid is None:
            raise RuntimeError("a started process has no process id")
        self.pid: Final = self._process.pid
        """Of the step, which leads the process group of everything that it starts."""
        self._reaped = False
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._process.sentinel, self._note_end)

    def _note_end(self) -> None:
        self._loop.remove_reader(self._process.sentinel)
        self._ended.set()

    def signal(self, number: signal.Signals) -> None:
        """Signal the step and everything in its process group."""
        if self._reaped:  # another process may have its id by now
            return
        with contextlib.suppress(ProcessLookupError):
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                # Forked, but not yet the leader of its group.
                if not self._ended.is_set():
                    os.kill(self.pid, number)

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL for what is left after the grace period."""
        self.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._ended.wait()
        self.signal(signal.SIGKILL)

    async def wait(self) -> int:
        """The exit code; minus the signal's number if one ended it. Kills what is left of its process group."""
        await self._ended.wait()
        self._process.join()
        self.signal(signal.SIGKILL)
        self._reaped = True
        code = self._process.exitcode
        self._process.close()
        return 255 if code is None else code


class Tail:
    """Reads a growing file line by line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._rest = b""

    def new_lines(self, *, to_the_end: bool = False) -> list[str]:
        """The lines completed since the last call; with `to_the_end` the last one too, though no line end follows."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                raw = file.read()
                self._position = file.tell()
        except FileNotFoundError:
            return []
        *lines, self._rest = (self._rest + raw).split(b"\n")  # whole lines, since a character may be cut
        if to_the_end and self._rest:
            lines.append(self._rest)
            self._rest = b""
        return [line.decode(errors="replace") for line in lines]
