"""Compile the eBPF programs and write down what they were compiled from, so that a stale object is found without clang.

`python -m steps.cluster.lab.bpf` writes dataplane.bpf.o and dataplane.bpf.json beside the source.
"""

import hashlib
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Final

from analysis.console.sanitizing import strip_controls

HERE: Final = Path(__file__).resolve().parent
SOURCE: Final = HERE / "dataplane.bpf.c"
OBJECT: Final = HERE / "dataplane.bpf.o"
RECORD: Final = HERE / "dataplane.bpf.json"
COMMAND: Final = (
    *("clang", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-target", "bpf", "-mcpu=v3"),
    *("-fdebug-compilation-dir=.", "-c", SOURCE.name, "-o"),
)
STRIP: Final = ("llvm-strip", "-g")


def compile_to(target: Path) -> None:
    """Compile the source; the type information stays, the debugging information, which names paths, goes.

    Raises:
        subprocess.CalledProcessError: clang or llvm-strip refused; they have said why.
    """
    headers = f"-I/usr/include/{platform.machine()}-linux-gnu"
    subprocess.run((*COMMAND, str(target), headers), check=True, cwd=HERE)
    subprocess.run((*STRIP, str(target)), check=True)


def record() -> dict[str, str]:
    """The checksums of source and object, and the command that made one of the other."""
    return {
        "source_sha256": hashlib.sha256(SOURCE.read_bytes()).hexdigest(),
        "object_sha256": hashlib.sha256(OBJECT.read_bytes()).hexdigest(),
        "command": " ".join((*COMMAND, OBJECT.name, "&&", *STRIP, OBJECT.name)),
    }


def main() -> int:
    """Compile and record."""
    try:
        compile_to(OBJECT)
    except FileNotFoundError as missing:
        lacking = f"{missing.filename} is not installed: "
        remedy = "type `sudo apt-get install -y clang llvm libbpf-dev linux-libc-dev`."
        print(strip_controls(lacking + remedy), file=sys.stderr)  # noqa: T201
        return 2
    except subprocess.CalledProcessError as failed:
        return failed.returncode
    RECORD.write_text(json.dumps(record(), indent=2) + "\n")
    return 0
