"""What the kernel lets this process do, so that a refusal can be told from something that isn't there."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

CAPABILITIES: Final[Mapping[str, int]] = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
"""Those that the lab needs, with their numbers in linux/capability.h."""

_FORBIDDEN: Final = ("operation not permitted", "permission denied", "you must be root")
"""What programs print of EPERM and EACCES. Of a module that is missing they say something else."""


def is_forbidden(output: str) -> bool:
    """Whether what a program printed means that it may not, rather than that there is no such thing."""
    return any(words in output.lower() for words in _FORBIDDEN)


def missing_capabilities(status: str | None = None) -> list[str]:
    """The capabilities of the lab that are not effective in this process.

    Args:
        status: of a process, as /proc/PID/status has it; this one's if None.
    """
    text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace") if status is None else status
    line = next(line for line in text.splitlines() if line.startswith("CapEff:"))
    effective = int(line.split()[1], 16)
    return [name for name, number in CAPABILITIES.items() if not effective >> number & 1]


def belongs_to_root(uid_map: str | None = None) -> bool:
    """Whether this is root, perhaps in a user namespace that root made: for want of a capability, as in containers.

    Args:
        uid_map: as /proc/PID/uid_map has it; this process's if None.
    """
    text = Path("/proc/self/uid_map").read_text(encoding="ascii") if uid_map is None else uid_map
    return os.geteuid() == 0 and text.split()[:2] == ["0", "0"]


def capability_remedy(lacking: Sequence[str], *, root: bool | None = None) -> str:
    """What gives a process the capabilities that it lacks, or what else may forbid it where it lacks none.

    Args:
        lacking: from `missing`.
        root: whether it is root, who need not be told to be it; found out if None.
    """
    become = "" if (belongs_to_root() if root is None else root) else "run as root, or "
    if lacking:
        flags = " ".join(f"--cap-add={name.removeprefix('CAP_')}" for name in lacking)
        return f"{become}give this process {' and '.join(lacking)}, in a container by `{flags}`"
    return (
        f"{become}lift what forbids it though the capabilities are there: in a container, try `--security-opt "
        "seccomp=unconfined --security-opt apparmor=unconfined`; else see `dmesg`"
    )
