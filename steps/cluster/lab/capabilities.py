"""What the kernel permits this process, so that a missing right is separated from missing support."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

CAPABILITIES: Final[Mapping[str, int]] = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
"""Those that the lab needs, with their numbers in linux/capability.h."""

_FORBIDDEN: Final = ("operation not permitted", "permission denied", "you must be root")
"""Messages of programs for EPERM and EACCES."""


def is_forbidden(output: str) -> bool:
    """Whether a program's output means that it lacks a permission, rather than that the kernel lacks support."""
    return any(words in output.lower() for words in _FORBIDDEN)


def missing_capabilities(status: str | None = None) -> list[str]:
    """The capabilities of the lab that are not effective in a process.

    `status`: in the form of /proc/PID/status; this process's if None.
    """
    text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace") if status is None else status
    line = next(line for line in text.splitlines() if line.startswith("CapEff:"))
    effective = int(line.split()[1], 16)
    return [name for name, number in CAPABILITIES.items() if not effective >> number & 1]


def in_user_namespace() -> bool:
    """Whether root here is not the machine's root."""
    return Path("/proc/self/uid_map").read_text(encoding="ascii").split() != ["0", "0", "4294967295"]


def is_privileged() -> bool:
    """Whether this process is the machine's root, with its capabilities."""
    return os.geteuid() == 0 and "CAP_SYS_ADMIN" not in missing_capabilities() and not in_user_namespace()


def belongs_to_root(uid_map: str | None = None) -> bool:
    """Whether this process is root, perhaps in a user namespace that root made, as in containers.

    `uid_map`: in the form of /proc/PID/uid_map; this process's if None.
    """
    text = Path("/proc/self/uid_map").read_text(encoding="ascii") if uid_map is None else uid_map
    return os.geteuid() == 0 and text.split()[:2] == ["0", "0"]


def capability_remedy(lacking: Sequence[str], *, root: bool | None = None) -> str:
    """What gives a process the capabilities that it lacks; where it lacks none, what else may forbid the operation.

    `root`: whether the process belongs to root; found out if None.
    """
    become = "" if (belongs_to_root() if root is None else root) else "run as root, or "
    if lacking:
        flags = " ".join(f"--cap-add={name.removeprefix('CAP_')}" for name in lacking)
        return f"{become}give this process {' and '.join(lacking)}, in a container by `{flags}`"
    return (
        f"{become}lift what forbids it though the capabilities are there: in a container, try `--security-opt "
        "seccomp=unconfined --security-opt apparmor=unconfined`; else see `dmesg`"
    )
