"""Run the programs that the lab needs, each in a network namespace, and name what is missing."""

import platform
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from analysis.errors import Problem
from steps.catalogue.tools import TOOLS
from steps.namespaces import command_in

_SHOWN: Final = 300
_VERSION_S: Final = 5
"""How long a program may take to print its version."""

_NOT_FOUND: Final = 127
"""The exit code of nsenter, as of a shell, where there is no such program."""

PACKAGES: Final = {
    "ip": "iproute2",
    "bridge": "iproute2",
    "tc": "iproute2",
    "iptables-nft-restore": "iptables",
    "iptables-nft": "iptables",
    "iptables-nft-save": "iptables",
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
"""The programs that the lab runs, and the Debian package of each."""

ON_UBUNTU: Final = {"bpftool": "linux-tools-common linux-tools-$(uname -r)"}
"""Those that Ubuntu has in other packages: bpftool in those of each kernel."""


def os_release() -> dict[str, str]:
    """What this system says of itself; empty if nothing."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def package_of(program: str) -> str:
    """What apt-get installs here to have a program, as a person types it."""
    system = os_release()
    known = {system.get("ID"), *system.get("ID_LIKE", "").split()}
    return (PACKAGES | ON_UBUNTU if "ubuntu" in known else PACKAGES).get(program, program)


@dataclass(frozen=True, slots=True)
class Job:
    """A program to run in a namespace (None: this process's own), with the text for its standard input."""

    namespace: str | None
    argv: tuple[str, ...]
    text: str = ""

    @property
    def full(self) -> tuple[str, ...]:
        """The argument vector, namespace included."""
        return command_in(self.namespace, self.argv)


def run_all(jobs: Iterable[Job]) -> list[str]:
    """Run programs side by side and return the output of each.

    Raises:
        Problem: one is not installed, or failed; all have ended by then.
    """
    listed = list(jobs)
    with ThreadPoolExecutor(max_workers=max(1, len(listed))) as pool:
        return [f.result() for f in [pool.submit(run_one, job) for job in listed]]


def run_one(job: Job) -> str:
    """Run one program and return its output.

    Raises:
        Problem: it is not installed, or failed.
    """
    done = _run(job)
    if done.returncode == 0:
        return done.stdout
    place = "" if job.namespace is None else f" in namespace {job.namespace}"
    output = " ".join(done.stderr.split())[:_SHOWN] or "it printed no reason"
    raise Problem(f"{shlex.join(job.argv)}{place} failed with exit code {done.returncode}: {output}.")


def output_or_none(job: Job) -> str | None:
    """The output of a program; None if it failed, as one that lists a chain does where there is no such chain.

    Raises:
        Problem: it is not installed.
    """
    done = _run(job)
    return done.stdout if done.returncode == 0 else None


def _run(job: Job) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(job.full, input=job.text, text=True, capture_output=True, check=False)
        missing = job.argv[0] if done.returncode == _NOT_FOUND else None
    except FileNotFoundError:
        missing = job.full[0]
    if missing is not None:
        raise Problem(f"{missing} is not installed: type `sudo apt-get install -y {package_of(missing)}`.")
    return done


def version_line(argv: Sequence[str]) -> str | None:
    """The first line of what a program prints of its version; None if it is unavailable."""
    try:
        done = subprocess.run(argv, text=True, capture_output=True, check=False, timeout=_VERSION_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else None
