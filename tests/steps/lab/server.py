"""Call functions of `scripts.py` and `oddities.py` in one sandbox: one for each line of standard input.

Each has a process of its own, and the lab is taken away after it. Run as `python -m tests.steps.lab.server`.
"""

import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from steps.cluster.lab import servers
from steps.cluster.lab.adapter import LabCluster
from steps.cluster.lab.network import topology
from steps.measurement.subprocesses import search_everywhere
from tests.steps.lab import oddities, scripts


def serve() -> None:
    """Answer each request `[NAME, ARGUMENTS]` by `{"returned": VALUE}` or `{"error": TRACEBACK}`."""
    for line in sys.stdin:
        name, arguments = json.loads(line)
        answer = _in_a_process(getattr(scripts, name, None) or getattr(oddities, name), *arguments)
        cleaned = _in_a_process(_clean)
        sys.stdout.write(json.dumps(answer if "error" in answer else cleaned | answer) + "\n")
        sys.stdout.flush()


def _in_a_process(function: Callable[..., object], *arguments: object) -> dict[str, object]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)  # standard output is for answers
        try:
            answer = {"returned": function(*arguments)}
        except BaseException:  # noqa: BLE001 - it is handed to the test
            answer = {"error": traceback.format_exc()}
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        text = file.read()
    _, status = os.waitpid(child, 0)
    found: dict[str, object] = json.loads(text) if text else {"error": f"it ended with status {status}"}
    return found


def _clean() -> None:
    """Leave the sandbox as it was when it was new."""
    LabCluster().restore()
    shutil.rmtree(servers.LOGS, ignore_errors=True)
    shutil.rmtree("/run/without", ignore_errors=True)
    assert not topology.present_namespaces()
    assert not [entry for entry in Path("/run/bpf").iterdir() if entry.is_dir()]


if __name__ == "__main__":
    search_everywhere()
    serve()
