"""Runs that wait for no other run of this machine: the files of the mutexes are their own, by a mount namespace.

Needs root. What such a run measures may be disturbed by the others, so its figures are not looked at.
"""

import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.runs.whole_runs import start_command
from workflows.local.execution.mutex import lock_path
from workflows.template.benchmark import build_template

_SCRIPT = """
while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 125; shift 2; done
shift
exec "$@"
"""


def with_own_locks(*argv: str, group: str = "") -> list[str]:
    """A command whose runs wait for those alone that this process starts in the same group. It keeps its process id."""
    bound = [str(path) for pair in _locks(group) for path in pair]
    return ["unshare", "--mount", "sh", "-c", _SCRIPT, "sh", *bound, "--", *argv]


def start_run(*flags: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """A run with these flags that waits for those alone that this process starts likewise."""
    return start_command(*with_own_locks(sys.executable, "-m", "workflows", "run", *flags), env=env)


@functools.cache
def _locks(_group: str) -> list[tuple[Path, Path]]:
    """For each mutex of the workflow a file of this process and this group, and the file that it stands for."""
    folder = Path(tempfile.mkdtemp(prefix="own-locks-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    found = [(lock_path(name, folder), lock_path(name)) for name in sorted(set(_mutexes(build_template().to_dict())))]
    assert found
    for own, shared in found:
        own.touch()
        if not shared.exists():
            shared.touch()
    return found


def _mutexes(part: Any) -> Iterator[str]:  # noqa: ANN401 - any part of a workflow
    if isinstance(part, list):
        for inner in part:
            yield from _mutexes(inner)
    elif isinstance(part, dict):
        yield from (mutex["name"] for mutex in part.get("mutexes", ()))
        for inner in part.values():
            yield from _mutexes(inner)
