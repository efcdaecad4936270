"""End a program that another package starts, and whatever it started, when it takes too long."""

import secrets
import sys
from contextlib import AbstractContextManager, suppress
from typing import Final

from steps.cluster.kube.api.waiting import after

MARK: Final = "DATAPLANE_BENCHMARK_PLUGIN"
"""The variable by which a program and all that it starts are known, even those that outlive it."""

ALONE_S: Final = 60.0
"""How long a program may take that nobody can answer."""

AT_TERMINAL_S: Final = 600.0
"""How long one may take at a terminal, where a person may have to log in by a browser first."""


def patience_s() -> float:
    """How long a program may take here."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return AT_TERMINAL_S if any(stream is not None and stream.isatty() for stream in streams) else ALONE_S


class TimeLimit:
    """A bound of time for one program. `mark`: the value of MARK in its environment. `is_over`: it was ended."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.mark = secrets.token_hex(16)
        self.is_over = False

    def kept(self) -> AbstractContextManager[None]:
        """End the program if what happens inside takes longer."""
        return after(self.seconds, self._end)

    def _end(self) -> None:
        import psutil  # noqa: PLC0415 - for those whose program hangs

        self.is_over = True
        for process in psutil.process_iter(["environ"]):
            if (process.info["environ"] or {}).get(MARK) == self.mark:
                with suppress(psutil.Error):
                    process.kill()
