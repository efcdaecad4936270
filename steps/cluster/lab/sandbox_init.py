"""The first process of a sandbox: starts the program, forwards signals, reaps, and ends when either end is gone.

Run as `sandbox_init.py LIFELINE STDERR hold|deliver PROGRAM...`, by file descriptor numbers; `hold` starts the program
with SIGINT blocked. A byte on the lifeline is the number of a signal for the program; its end means that the process
that made the sandbox is gone. When this process ends, the kernel kills all others in the sandbox. It imports only the
standard library, to start fast.

On its standard error it reports `ready`, and at the end `ended CODE`, where CODE is minus the signal's number if a
signal ended the program. Without the second the sandbox was killed.
"""

import contextlib
import os
import select
import signal
import sys

_NOT_FOUND = 127
_SIGNALLED = 128
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _start(argv: list[str], blocked: set[int]) -> int | None:
    try:
        return os.posix_spawnp(argv[0], argv, os.environ, setsigmask=blocked, setsigdef=_FORWARDED)
    except OSError as error:
        sys.stderr.write(f"{argv[0]} can't be started: {error.strerror}.\n")
        return None


def _reap(program: int) -> int | None:
    """Reap all ended processes. Returns the program's exit code, or minus its signal, if it is among them."""
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if ended == 0:
            return None
        if ended == program:
            return os.waitstatus_to_exitcode(status)


def main() -> int:
    """Start the program and stay until it has ended."""
    # This process is started with these blocked. One that came before the sandbox had a session of its own comes by the
    # lifeline, too, so it is discarded here; the program gets the default action back.
    for number in _FORWARDED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
    lifeline, stderr = int(sys.argv[1]), int(sys.argv[2])
    report = os.dup(2)  # not inherited by the program
    os.write(report, b"ready\n")
    os.dup2(stderr, 2)
    os.close(stderr)
    os.set_inheritable(lifeline, False)  # noqa: FBT003 (it takes no keyword)
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    program = _start(sys.argv[4:], {signal.SIGINT} if sys.argv[3] == "hold" else set())
    if program is None:
        os.write(report, b"ended %d\n" % _NOT_FOUND)
        return _NOT_FOUND
    while True:
        code = _reap(program)
        if code is not None:
            with contextlib.suppress(OSError):
                os.write(report, b"ended %d\n" % code)
            return code if code >= 0 else _SIGNALLED - code
        readable, _, _ = select.select([lifeline, woken], [], [])
        if woken in readable:
            os.read(woken, 512)
        if lifeline in readable:
            numbers = os.read(lifeline, 512)
            if not numbers:
                return _SIGNALLED + signal.SIGKILL
            for forwarded in numbers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(program, forwarded)


if __name__ == "__main__":
    sys.exit(main())
