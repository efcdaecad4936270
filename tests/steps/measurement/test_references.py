"""The references of the host network and the idle baseline."""

from collections.abc import Callable
from pathlib import Path

import pytest

from steps import documents
from steps.measurement import results
from steps.measurement.references import measure_references
from steps.tools.failure import Failure
from steps.tools.iperf3.iperf3 import IperfReport
from tests.steps.builders import placement
from tests.steps.measuring import CHOSEN, Servers, needs_iperf3


def measured(folder: Path, *positions: int, port: int = 1) -> tuple[list[documents.CanaryDocument], list[str]]:
    said: list[str] = []
    place = placement(port=port, topology="node-to-node")
    measure_references(place, positions, CHOSEN, folder, said.append, lambda *_: None)
    names = map(documents.trial_name, positions)
    return [documents.read_document(folder / name, documents.CanaryDocument) for name in names], said


@needs_iperf3
def test_idle_baseline_comes_before_the_first_reference(server: Servers, tmp_path: Path) -> None:
    found, said = measured(tmp_path, 1, 3, 4, port=server.port)
    assert [document.moment for document in found] == ["before", "between", "after"]
    idle = found[0].idle["host"]
    assert len(idle) == 2
    assert idle[1].at_s - idle[0].at_s == pytest.approx(CHOSEN.idle_s, abs=0.2)
    assert (found[1].idle, found[2].idle) == ({}, {})
    for document in found:
        assert document.attempt is not None
        assert isinstance(results.read_canary(document.attempt), IperfReport)
    assert [line.partition(":")[0] for line in said] == [f"host network {n}/3" for n in (1, 2, 3)]


def test_failed_reference_is_recorded(instead: Callable[[str], Path], tmp_path: Path) -> None:
    instead("exit 1")
    (_, last), _ = measured(tmp_path / "raw", 1, 2)
    assert last.error == "iperf3 printed nothing, exit code 1"
    assert last.attempt is not None
    assert isinstance(results.read_canary(last.attempt), Failure)
