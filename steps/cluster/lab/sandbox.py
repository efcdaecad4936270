"""The sandbox: namespaces around a run, so that nothing of the lab outlives it, even after SIGKILL.

The sandbox has mounts and process ids of its own: the names of the lab's network namespaces, its pinned eBPF programs
and its state are on a /run of its own, and the kernel ends every process in it when its first one ends. It keeps the
machine's network, for a store anywhere. An ordinary user's sandbox is a user namespace too.
"""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from analysis.errors import Problem, Unsupported
from steps.cluster.lab.capabilities import is_privileged

MARK: Final = Path("/run/dataplane-benchmark.box")
"""On the sandbox's own /run, with the same random token as the environment. Either alone is no sandbox."""

TOKEN: Final = "DATAPLANE_BENCHMARK_BOX"  # noqa: S105 - the variable's name
HOST_PROC: Final = Path("/run/hostproc")
"""The machine's own /proc in the sandbox, for the CPU use of foreign processes."""

TEMPORARY: Final = "/run/tmp"
"""The folder for temporary files in the sandbox, which ends with it."""

_INIT: Final = Path(__file__).with_name("sandbox_init.py")
_READY: Final = b"ready\n"
_FORWARDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SIGNALLED: Final = 128

# The new /run is assembled on /tmp, in this mount namespace alone. /run/hostrun and the links to it keep the machine's
# own /run visible, such as the resolver's configuration.
_SET_UP: Final = f"""
set -eu
mount -n -t tmpfs -o mode=755 tmpfs /tmp
mkdir /tmp/hostrun
mount -n --rbind /run /tmp/hostrun
mount -n --move /tmp /run
mkdir /run/netns /run/bpf /run/lab {TEMPORARY} {HOST_PROC}
for entry in /run/hostrun/*; do
  name=${{entry##*/}}
  [ -e "/run/$name" ] || [ "$name" = mount ] || [ "$name" = xtables.lock ] || ln -s "hostrun/$name" "/run/$name"
done
mount -n --rbind /proc {HOST_PROC}
mount -n -t proc proc /proc
mount -n -t bpf bpf /run/bpf 2>/dev/null || true
rm -f {MARK}
echo "${TOKEN}" > {MARK}
exec "$@"
"""


def is_inside() -> bool:
    """Whether this process is in a sandbox: the same token is in its environment and on its /run."""
    token = os.environ.get(TOKEN)
    with suppress(OSError):
        return bool(token) and MARK.read_text(encoding="ascii").strip() == token
    return False


class SandboxKilledError(Problem):
    """The sandbox was killed from outside, and the program with it."""

    exit_code = _SIGNALLED + signal.SIGKILL


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """How a program in a sandbox ended.

    Attributes:
        signal: that ended the program, or the whole sandbox; None: the program exited.
        sandbox_killed: the signal ended the whole sandbox.
    """

    exit_code: int
    signal: int | None = None
    sandbox_killed: bool = False

    @classmethod
    def of(cls, code: int) -> "SandboxResult":
        """The end of a program by its exit code, which is minus the signal's number if one ended it."""
        return cls(code) if code >= 0 else cls(_SIGNALLED - code, -code)


def run_in_sandbox(argv: Sequence[str], *, hold_interrupts: bool = False) -> int:
    """Run a program as `start_in_sandbox` does; its exit code, or 128 and the signal's number if a signal ended it.

    Raises:
        Unsupported: no sandbox is possible here.
        SandboxKilledError: the sandbox was killed, and the program with it.
    """
    ended = start_in_sandbox(argv, hold_interrupts=hold_interrupts)
    if ended.sandbox_killed:
        raise SandboxKilledError(
            "The lab's sandbox was killed from outside, by a user or for lack of memory; nothing of it is left."
        )
    return ended.exit_code


def start_in_sandbox(
    argv: Sequence[str], env: Mapping[str, str] | None = None, *, hold_interrupts: bool = False
) -> SandboxResult:
    """Run a program in a sandbox of its own, or right here if this is one already.

    SIGINT, SIGTERM and SIGHUP are forwarded to the program, each as often as it comes: the sandbox has a session of its
    own, so that a terminal's Ctrl-C, which goes to a whole process group, reaches this process alone. When the program
    ends, everything else in the sandbox is killed. `env`: the program's environment; this process's if None.
    `hold_interrupts`: start it with SIGINT blocked, so that none is lost before it has a handler and unblocks it.

    Raises:
        Unsupported: no sandbox is possible here.
    """
    if is_inside():
        return SandboxResult.of(subprocess.run(argv, env=env, check=False).returncode)
    for program in ("setpriv", "unshare"):
        if shutil.which(program) is None:
            raise Unsupported(f"{program} is not installed: type `sudo apt-get install -y util-linux`.")
    report, reporter = os.pipe()
    lifeline, ours = os.pipe()
    stderr = os.dup(2)
    command = (
        *("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "--pid", "--kill-child"),
        *(() if is_privileged() else ("--user", "--map-root-user")),
        *("sh", "-c", _SET_UP, "sh", sys.executable, "-I", "-S", str(_INIT)),
        *(str(lifeline), str(stderr), "hold" if hold_interrupts else "deliver", *argv),
    )
    try:
        with _forwarding(ours):
            try:
                with _blocked(_FORWARDED):
                    sandbox = subprocess.Popen(
                        command,
                        env={**(os.environ if env is None else env), "TMPDIR": TEMPORARY, TOKEN: secrets.token_hex(16)},
                        stderr=reporter,
                        pass_fds=(lifeline, stderr),
                        start_new_session=True,
                    )
            finally:
                for descriptor in (reporter, lifeline, stderr):
                    os.close(descriptor)
            # complete when the sandbox's last process has ended
            reported = b"".join(iter(lambda: os.read(report, 4096), b""))
            code = sandbox.wait()
    finally:
        os.close(ours)
        os.close(report)
    if _READY not in reported:
        raise Unsupported(_why_not(reported.decode(errors="replace")))
    return _ended(reported, code)


def _ended(reported: bytes, code: int) -> SandboxResult:
    """The end of the program, as the sandbox's first process reported it; without a report the sandbox was killed."""
    found = re.search(rb"^ended (-?\d+)$", reported, re.MULTILINE)
    if found is None:
        number = -code if code < 0 else int(signal.SIGKILL)
        return SandboxResult(_SIGNALLED + number, number, sandbox_killed=True)
    return SandboxResult.of(int(found[1]))


@contextmanager
def _forwarding(lifeline: int) -> Iterator[None]:
    """Write the number of each signal into the lifeline, from which the sandbox's first process forwards it.

    SIGHUP stays ignored where it is, as by nohup.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return

    def forward(number: int, _frame: FrameType | None) -> None:
        with suppress(BrokenPipeError):  # the program has just ended
            os.write(lifeline, bytes((number,)))

    taken = (n for n in _FORWARDED if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN)
    before = {number: signal.signal(number, forward) for number in taken}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _blocked(numbers: Iterable[signal.Signals]) -> Iterator[None]:
    """Block these signals, here and in a process that is started meanwhile.

    Between its fork and its new session that process is still in this process group, where the signal of a Ctrl-C
    would end it. The sandbox's first process discards a signal that came so, and unblocks them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _why_not(reported: str) -> str:
    reason = " ".join(reported.split()) or "its set-up ended without a message"
    container = "in a container, give it CAP_SYS_ADMIN"
    if is_privileged():
        return f"no sandbox is possible for the lab here ({reason}): make what it names available; {container}."
    remedy = "run as root"
    restricted = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    if restricted.exists() and restricted.read_text().strip() == "1":
        remedy += ", or allow user namespaces by `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"
    return f"no sandbox is possible for the lab here ({reason}): {remedy}; {container}."
