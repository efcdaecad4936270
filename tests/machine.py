"""What a run has on this machine, seen from outside its sandbox: processes, eBPF programs and network namespaces.

Labs of other checkouts may be at work on the same machine. A run's processes inherit its environment, so a variable in
it tells them from others; its eBPF programs are pinned on the /run of its sandbox.
"""

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil


def processes(variable: str) -> list[psutil.Process]:
    """All processes that have this variable in their environment."""
    return [p for p in psutil.process_iter(["cmdline", "environ"]) if variable in (p.info["environ"] or {})]


def network_namespaces(found: Iterable[psutil.Process]) -> set[str]:
    """The namespaces of these processes, such as `net:[4026532177]`, but this process's own."""
    return {link for p in found if (link := _link(p.pid, "net"))} - {_link(os.getpid(), "net")}


def pinned_programs(found: Iterable[psutil.Process]) -> set[int]:
    """The ids of the lab's eBPF programs in the sandboxes of these processes."""
    sandboxes = {link: p.pid for p in found if (link := _link(p.pid, "mnt"))}
    sandboxes.pop(_link(os.getpid(), "mnt"), None)
    return {
        program
        for pid in sandboxes.values()
        for path in _listed(Path(f"/proc/{pid}/root/run/bpf"))
        for program in _ids("pinned", str(path))
    }


def stray_programs() -> set[int]:
    """The ids of the lab's eBPF programs in the kernel that are in no sandbox with a process in it."""
    return _ids() - pinned_programs(psutil.process_iter())


class NewStrayPrograms:
    """The eBPF programs of labs that ended since this was made and that every look so far has found in the kernel.

    Labs of other tests end meanwhile too, and the kernel frees their programs some time after their last process, so a
    single look may find one of theirs. An id is never given twice: what is left in the end has stayed all the time.
    """

    def __init__(self) -> None:
        self._before = stray_programs()
        self._left: set[int] | None = None

    def look(self) -> set[int]:
        """The ids of those that this look and every earlier one has found."""
        found = stray_programs() - self._before
        self._left = found if self._left is None else self._left & found
        return self._left


def loaded(programs: set[int]) -> set[int]:
    """Those of these programs, by id, that the kernel still has."""
    return programs & _ids()


def _link(pid: int, kind: str) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/{kind}").readlink())
    except OSError:  # it has ended
        return ""


def _listed(bpf: Path) -> list[Path]:
    try:
        return list(bpf.glob("*/from_*"))
    except OSError:  # the sandbox has ended
        return []


def _ids(*which: str) -> set[int]:
    done = subprocess.run(["bpftool", "--json", "prog", "show", *which], text=True, capture_output=True, check=False)
    if done.returncode != 0:  # what was pinned is gone
        assert which, done.stderr
        return set()
    found: dict[str, Any] | list[dict[str, Any]] = json.loads(done.stdout)
    programs = found if isinstance(found, list) else [found]
    return {int(program["id"]) for program in programs if str(program.get("name", "")).startswith("from_")}
