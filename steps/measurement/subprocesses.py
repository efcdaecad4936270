"""Run one program at a time within bounds of time and output, and end it when this process is stopped."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_GRACE_S: Final = 1.0
_POLL_S: Final = 0.05
"""How often a program whose outputs are still open is checked for its end."""

_REST_S: Final = 0.5
"""How long the outputs of an ended program are read at most, where its children still print to them."""

_CHUNK_BYTES: Final = 65_536
_KEPT_BYTES: Final = 65_536
"""Of output beyond its bound, as evidence."""

OUTPUT_BYTES: Final = 16 * 1024 * 1024
"""The most that a program may print by default, on each of its outputs."""

_ADMINISTRATORS: Final = ("/usr/sbin", "/sbin")
"""The folders of nft and tc on Debian, which are not in an ordinary user's PATH."""

_LINKED: Final = str(Path(sys.prefix) / "programs")
"""Where setup.sh links a program that a script in PATH would refuse to start."""


def search_everywhere() -> None:
    """Add the folder of linked programs to PATH, before all others, and the administrator's after them. Twice is once.

    For this process and all that it starts.
    """
    known = os.environ.get("PATH", os.defpath).split(os.pathsep)
    wanted = [_LINKED, *(folder for folder in known if folder != _LINKED), *_ADMINISTRATORS]
    os.environ["PATH"] = os.pathsep.join(dict.fromkeys(wanted))


def signal_name(number: int) -> str:
    """`SIGTERM`; of a real-time signal, most of which have no name, `signal 35`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """The outputs and the end of a program. `error`: why it was ended or not started; None: it ended by itself."""

    stdout: bytes
    stderr: bytes
    exit_code: int | None
    error: str | None = None


class Programs:
    """Runs programs until `stopped` is set, which SIGTERM and SIGINT do inside `stoppable`.

    Attributes:
        interrupt: called then, to end what this process waits for beside its program.
    """

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.interrupt: Callable[[], None] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def stoppable(self) -> Iterator[None]:
        """On SIGTERM and SIGINT end the running program; its output so far is kept."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, lambda *_: self.stop()) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """End the running program, and start no other."""
        self.stopped.set()
        if self._process is not None:
            _send(self._process, signal.SIGTERM)
        if self.interrupt is not None:
            self.interrupt()

    def run(self, argv: Sequence[str], timeout_s: float, most_bytes: int = OUTPUT_BYTES) -> ProgramResult:
        """Run a program in a process group of its own and wait for it.

        After `timeout_s` it gets SIGTERM, and a second later it is killed; at more than `most_bytes` on one of its
        outputs it is killed at once.
        """
        if self.stopped.is_set():
            return ProgramResult(b"", b"", None, "stopped before it began")
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
        except FileNotFoundError:
            return ProgramResult(b"", b"", None, f"{argv[0]} is missing: install it")
        except OSError as error:
            return ProgramResult(b"", b"", None, f"{argv[0]} can't be started: {error.strerror or error}")
        with process:
            self._process = process
            try:
                if self.stopped.is_set():
                    _send(process, signal.SIGTERM)
                return self._wait(process, argv, timeout_s, most_bytes)
            finally:
                self._process = None
                _send(process, signal.SIGKILL)

    def _wait(
        self, process: subprocess.Popen[bytes], argv: Sequence[str], timeout_s: float, most_bytes: int
    ) -> ProgramResult:
        error = None
        with _Output(process, most_bytes) as output:
            if not output.follow(timeout_s) and not output.overflowed:
                error = f"{_name(argv)} did not end within {timeout_s:g} s and was killed"
                for number in (signal.SIGTERM, signal.SIGKILL):
                    _send(process, number)
                    if output.follow(_GRACE_S) or output.overflowed:
                        break
        if output.overflowed:
            error = f"{_name(argv)} printed more than {most_bytes / 1e6:.3g} MB and was killed"
            _send(process, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)
        if self.stopped.is_set():
            error = "stopped before it ended"
        stdout, stderr = output.texts()
        return ProgramResult(stdout, stderr, process.returncode, error)


class _Output:
    """The outputs of a program, read as they come and within a bound."""

    def __init__(self, process: subprocess.Popen[bytes], most_bytes: int) -> None:
        self._process = process
        self._most_bytes = most_bytes
        self._parts: dict[int, bytearray] = {}
        self._selector = selectors.DefaultSelector()
        self.overflowed = False
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            self._parts[pipe.fileno()] = bytearray()
            self._selector.register(pipe, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()

    def texts(self) -> list[bytes]:
        """Its standard output and error; only the beginning of one that exceeded the bound."""
        return [bytes(part[:_KEPT_BYTES] if len(part) > self._most_bytes else part) for part in self._parts.values()]

    def follow(self, seconds: float) -> bool:
        """Read until the program has ended and its output is read; False where time or the bound came first.

        Its outputs need not be closed by then: a child that outlives it may keep them open, or print for ever.
        """
        deadline, has_ended = time.monotonic() + seconds, False
        while (left := deadline - time.monotonic()) > 0:
            # Polled before reading, so that nothing that it printed is missed.
            if not has_ended and self._process.poll() is not None:
                has_ended, deadline = True, time.monotonic() + _REST_S
            ready = self._selector.select(0 if has_ended else min(left, _POLL_S)) if self._selector.get_map() else []
            for key, _ in ready:
                self._read(key)
            if self.overflowed:
                return False
            if has_ended and not ready:
                return True
            if not self._selector.get_map() and not has_ended:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(left)
        return has_ended

    def _read(self, key: selectors.SelectorKey) -> None:
        chunk = os.read(key.fd, _CHUNK_BYTES)
        if not chunk:
            self._selector.unregister(key.fileobj)
        self._parts[key.fd] += chunk
        self.overflowed = self.overflowed or len(self._parts[key.fd]) > self._most_bytes


def _name(argv: Sequence[str]) -> str:
    """The program itself, without the nsenter that starts it."""
    word = next((word for word in argv if word != "nsenter" and not word.startswith("-")), argv[0])
    return os.path.basename(word)  # noqa: PTH119 - a word of a command, not a file


def _send(process: subprocess.Popen[bytes], number: int) -> None:
    # The group outlives its leader where it has other members, and its number is not reused meanwhile.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
