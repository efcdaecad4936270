"""Run one program at a time, bounded in time, and end it when this process is told to stop."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Final

_GRACE_S: Final = 1.0

_ADMINISTRATORS: Final = ("/usr/sbin", "/sbin")
"""Where Debian keeps nft, tc and their like, and where an ordinary user's PATH does not look."""


def search_everywhere() -> None:
    """Append the administrator's folders to PATH, for this process and all that it starts. Twice is once."""
    known = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([*known, *(folder for folder in _ADMINISTRATORS if folder not in known)])


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program left. `error`: why it was of no use, as a sentence; None if it ended by itself."""

    stdout: bytes
    stderr: bytes
    exit_code: int | None
    error: str | None = None


class Programs:
    """Runs programs until `stopped` is set, which SIGTERM and SIGINT do inside `stoppable`."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def stoppable(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT as a wish to stop: the running program is ended, and what it printed is kept."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End the running program, and start no other."""
        self.stopped.set()
        if self._process is not None:
            _send(self._process, signal.SIGTERM)

    def run(self, argv: Sequence[str], timeout_s: float) -> Finished:
        """Run a program in a process group of its own and wait for it.

        Args:
            argv: the program and its arguments.
            timeout_s: after this it is told to end, and a second later it is killed.
        """
        if self.stopped.is_set():
            return Finished(b"", b"", None, "stopped before it began")
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
        except FileNotFoundError:
            return Finished(b"", b"", None, f"{argv[0]} is missing: install it")
        except OSError as error:
            return Finished(b"", b"", None, f"{argv[0]} can't be started: {error.strerror or error}")
        with process:
            self._process = process
            try:
                if self.stopped.is_set():
                    _send(process, signal.SIGTERM)
                return self._wait(process, argv, timeout_s)
            finally:
                self._process = None
                _send(process, signal.SIGKILL)

    def _wait(self, process: subprocess.Popen[bytes], argv: Sequence[str], timeout_s: float) -> Finished:
        error = None
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            error = f"{_name(argv)} did not end within {timeout_s:g} s and was killed"
            stdout, stderr = _end(process)
        if self.stopped.is_set():
            error = "stopped before it ended"
        return Finished(stdout, stderr, process.returncode, error)


def _name(argv: Sequence[str]) -> str:
    """The program that a person would name: what nsenter and the like start in another place."""
    return "iperf3" if "iperf3" in argv else os.path.basename(argv[0])  # noqa: PTH119 - a word of a command, not a file


def _end(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    for number in (signal.SIGTERM, signal.SIGKILL):
        _send(process, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=_GRACE_S)
    return b"", b""


def _send(process: subprocess.Popen[bytes], number: int) -> None:
    # The group outlives its leader where that left children behind, and its number is not reused while they are there.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
