"""The process of a step: forked from a server that has Hera loaded, watched, stopped with all it started."""

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

from workflows.local.execution import child

GRACE_S: Final = 5.0
"""How long a stopped step may take to put things in order after SIGTERM, before SIGKILL."""

_PRELOADED: Final = ("workflows.local.execution.fork_server", "workflows.local.execution.child")


def start_fork_server(preload: Sequence[str] = ()) -> None:
    """Start the server that forks the steps; it loads Hera's runner meanwhile. Only the first call has an effect.

    Args:
        preload: modules that steps import anyway, so that each needn't pay for them.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload([*_PRELOADED, *preload])
    forkserver.ensure_running()


@contextlib.contextmanager
def _no_main_module() -> Iterator[None]:
    # multiprocessing has each child import the program that was started, as __mp_main__; a step must not pay for that.
    main = sys.modules["__main__"]
    nothing = ModuleType("__main__")
    nothing.__spec__ = None
    sys.modules["__main__"] = nothing
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class StepProcess:
    """One step, running. Made inside the event loop that waits for it."""

    def __init__(self, start: child.StepStart) -> None:
        self._process = multiprocessing.get_context("forkserver").Process(target=child.run_step, args=(start,))
        with _no_main_module():
            self._process.start()
        if self._process.pid is None:
            raise RuntimeError("a process that was started has no number")
        self.pid: Final = self._process.pid
        """Of the step itself, which leads the group of everything that it starts."""
        self._over = False
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._process.sentinel, self._note_end)

    def _note_end(self) -> None:
        self._loop.remove_reader(self._process.sentinel)
        self._ended.set()

    def signal(self, number: signal.Signals) -> None:
        """Signal the step and everything it started and did not put into a session of its own."""
        if self._over:  # its number may be another process's by now
            return
        with contextlib.suppress(ProcessLookupError):
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                # It has been forked, but has not come to lead its group yet.
                if not self._ended.is_set():
                    os.kill(self.pid, number)

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL for whatever is left after the grace."""
        self.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._ended.wait()
        self.signal(signal.SIGKILL)

    async def wait(self) -> int:
        """The exit code; minus the signal's number if one ended it. What it left running in its group ends with it."""
        await self._ended.wait()
        self._process.join()
        self.signal(signal.SIGKILL)
        self._over = True
        code = self._process.exitcode
        self._process.close()
        return 255 if code is None else code


class Tail:
    """The lines that are added to a file, whole ones as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._rest = ""

    def new_lines(self, *, to_the_end: bool = False) -> list[str]:
        """The lines completed since the last call. `to_the_end`: the last one too, though nothing ends it."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                raw = file.read()
                self._position = file.tell()
        except FileNotFoundError:
            return []
        *lines, self._rest = (self._rest + raw.decode(errors="replace")).split("\n")
        if to_the_end and self._rest:
            lines.append(self._rest)
            self._rest = ""
        return lines
