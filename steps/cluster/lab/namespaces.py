"""Network namespaces by name: run programs in one, enter one with a thread, find and end the processes in one."""

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from analysis.errors import Problem
from steps.catalogue.tools import TOOLS

T = TypeVar("T")

DIRECTORY: Final = Path("/run/netns")
_CLONE_NEWNET: Final = 0x40000000
_SHOWN: Final = 300
_NOT_FOUND: Final = 127
"""What nsenter, like a shell, ends with when there is no such program."""

_DEATH_S: Final = 5.0
_POLL_S: Final = 0.002

PACKAGES: Final = {
    "ip": "iproute2",
    "bridge": "iproute2",
    "tc": "iproute2",
    "iptables-nft-restore": "iptables",
    "iptables-nft": "iptables",
    "nft": "nftables",
    "bpftool": "bpftool",
    "ethtool": "ethtool",
    **{program: package for tool in TOOLS for program, package in tool.packages.items()},
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "umount": "mount",
}
"""The programs that the lab runs, and the Debian package that brings each."""


def path(name: str) -> Path:
    """The file that holds the namespace open."""
    return DIRECTORY / name


def argv_inside(name: str, *argv: str) -> tuple[str, ...]:
    """The argument vector that runs a program in a namespace."""
    return ("nsenter", f"--net={path(name)}", *argv)


@dataclass(frozen=True, slots=True)
class Job:
    """A program to run in a namespace (None: where we are), with what it reads from standard input."""

    namespace: str | None
    argv: tuple[str, ...]
    text: str = ""

    @property
    def full(self) -> tuple[str, ...]:
        """The argument vector, namespace included."""
        return self.argv if self.namespace is None else argv_inside(self.namespace, *self.argv)


def run_all(jobs: Iterable[Job]) -> list[str]:
    """Run programs side by side and hand back what each printed.

    Raises:
        Problem: one is not installed, or failed; all have ended by then.
    """
    listed = list(jobs)
    with ThreadPoolExecutor(max_workers=max(1, len(listed))) as pool:
        return [f.result() for f in [pool.submit(run_one, job) for job in listed]]


def output_or_none(job: Job) -> str | None:
    """What a program printed; None if it said no, as one does that is asked for a chain that is not there.

    Raises:
        Problem: it is not installed.
    """
    try:
        done = subprocess.run(job.full, text=True, capture_output=True, check=False)
    except FileNotFoundError:
        raise Problem(_missing(job.full[0])) from None
    if done.returncode == _NOT_FOUND:
        raise Problem(_missing(job.argv[0]))
    return done.stdout if done.returncode == 0 else None


def run_one(job: Job) -> str:
    """Run one program and hand back what it printed.

    Raises:
        Problem: it is not installed, or failed.
    """
    try:
        done = subprocess.run(job.full, input=job.text, text=True, capture_output=True, check=False)
    except FileNotFoundError:
        raise Problem(_missing(job.full[0])) from None
    if done.returncode == 0:
        return done.stdout
    if done.returncode == _NOT_FOUND:
        raise Problem(_missing(job.argv[0]))
    place = "" if job.namespace is None else f" in namespace {job.namespace}"
    output = " ".join(done.stderr.split())[:_SHOWN] or "it said nothing"
    raise Problem(f"{shlex.join(job.argv)}{place} failed with exit code {done.returncode}: {output}.")


def _missing(program: str) -> str:
    return f"{program} is not installed: type `sudo apt-get install -y {PACKAGES.get(program, program)}`."


def within(name: str, function: Callable[[], T]) -> T:
    """Call a function in a namespace, in a thread of its own: sockets that it makes stay there, we stay here.

    A thread, because an ordinary user who enters a namespace of the lab may not go back to the machine's own.
    """
    with ThreadPoolExecutor(max_workers=1, initializer=_enter, initargs=(name,)) as pool:
        return pool.submit(function).result()


def _enter(name: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with path(name).open("rb") as file:
        if libc.setns(file.fileno(), _CLONE_NEWNET):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path(name)))


def processes(names: Sequence[str]) -> dict[int, str]:
    """The processes in these namespaces, by process id, each with the namespace it is in."""
    by_inode = {path(n).stat().st_ino: n for n in names if path(n).exists()}
    found = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            inode = Path(entry.path, "ns", "net").stat().st_ino
        except OSError:  # it ended, or is not ours to look at, so not one of ours
            continue
        if inode in by_inode:
            found[int(entry.name)] = by_inode[inode]
    return found


def end_processes(names: Sequence[str]) -> int:
    """Kill what runs in these namespaces, and what it starts meanwhile. Returns how many there were.

    Raises:
        Problem: some would not end.
    """
    ended: set[int] = set()
    deadline = time.monotonic() + _DEATH_S
    while alive := processes(names):
        if time.monotonic() > deadline:
            raise Problem(f"processes {sorted(alive)} in the lab's namespaces could not be ended: kill them by hand.")
        for process in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        ended.update(alive)
        time.sleep(_POLL_S)
    return len(ended)
