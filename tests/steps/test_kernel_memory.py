"""What the kernel holds, on a node of a cluster and above the bare lab."""

from pathlib import Path

import pytest

from steps.cluster.kube.probe.agent_metrics import KERNEL
from steps.cluster.lab import kernel_memory
from steps.kernel_memory import held_bytes

MEBIBYTE = 1 << 20


def _meminfo(slab_kib: int) -> str:
    return f"MemTotal: 8 kB\nSlab:   900 kB\nSUnreclaim: {slab_kib} kB\nVmallocUsed: 20 kB\nPercpu:  4 kB\n"


def test_kernel_memory_is_the_sum_of_fields(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(_meminfo(100))
    assert held_bytes(KERNEL, meminfo) == 924 * 1024
    meminfo.write_text("Slab: 100 kB\n")
    assert held_bytes(KERNEL, meminfo) is None
    assert held_bytes(KERNEL, tmp_path / "absent") is None


def test_kernel_memory_of_a_lab_node_is_half_of_what_is_above_the_bare_lab(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(_meminfo(1000))
    bare_bytes = kernel_memory.settled_bytes(meminfo)
    assert bare_bytes == 1024 * 1024
    meminfo.write_text(_meminfo(5096))
    assert kernel_memory.of_node_bytes(bare_bytes, meminfo) == 2 * MEBIBYTE
    meminfo.write_text(_meminfo(990))
    assert kernel_memory.of_node_bytes(bare_bytes, meminfo) is None, "less than nothing says nothing"
    assert kernel_memory.of_node_bytes(None, meminfo) is None
    assert kernel_memory.of_node_bytes(bare_bytes, tmp_path / "absent") is None


def test_kernel_memory_of_an_earlier_lab_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = [90 * MEBIBYTE, 50 * MEBIBYTE, 10 * MEBIBYTE, 10 * MEBIBYTE + 5]
    monkeypatch.setattr(kernel_memory, "held_bytes", lambda *_: readings.pop(0))
    monkeypatch.setattr(kernel_memory, "_POLL_S", 0.0)
    assert kernel_memory.settled_bytes(tmp_path) == 10 * MEBIBYTE + 5
    assert not readings
