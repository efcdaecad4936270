"""The eBPF object that is committed is what its source compiles to."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from steps.cluster.lab.bpf import build

HEADER = Path("/usr/include/bpf/bpf_helpers.h")


def test_bpf_source_and_object_match_the_record() -> None:
    assert json.loads(build.RECORD.read_text()) == build.record(), "run `make bpf` and commit what it writes"


def test_bpf_object_contains_no_build_path() -> None:
    assert re.findall(rb"/[\w.-]+/[\w.-]+", build.OBJECT.read_bytes()) == []
    assert build.OBJECT.stat().st_size < 72_000


def test_bpf_source_licence() -> None:
    source = build.SOURCE.read_text()
    assert source.startswith("// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)")
    assert b"Dual BSD/GPL" in build.OBJECT.read_bytes()
    texts = Path(__file__).parents[3] / "LICENSES"
    assert "GNU GENERAL PUBLIC LICENSE" in (texts / "GPL-2.0-only.txt").read_text()
    assert "Redistributions in binary form" in (texts / "BSD-2-Clause.txt").read_text()


def _programs(compiled: Path) -> dict[str, int]:
    """The size of each program, in bytes of instructions."""
    listed = subprocess.run(["llvm-readelf", "-s", str(compiled)], text=True, capture_output=True, check=True).stdout
    return {f[7]: int(f[2]) for line in listed.splitlines() if len(f := line.split()) == 8 and f[3] == "FUNC"}


@pytest.mark.skipif(
    not (all(map(shutil.which, ("clang", "llvm-strip", "llvm-readelf"))) and HEADER.exists()),
    reason="needs clang, llvm and libbpf-dev to compile again",
)
def test_bpf_compilation_is_reproducible(tmp_path: Path) -> None:
    """Compared by program: another clang may choose other instructions, but not wholly other ones."""
    again = tmp_path / "again.o"
    build.compile_to(again)
    committed, fresh = _programs(build.OBJECT), _programs(again)
    assert committed.keys() == fresh.keys() == {"from_pod", "from_tunnel", "from_wire", "from_node", "refused"}
    for name, size in committed.items():
        assert fresh[name] == pytest.approx(size, rel=0.2)
