"""The canary and the idle baseline."""

from collections.abc import Callable
from pathlib import Path

import pytest

from steps import documents
from steps.measurement import canary, results
from steps.tools.failure import Failure
from steps.tools.iperf3 import Report
from tests.steps.builders import placement
from tests.steps.measuring import CHOSEN, Servers, needs_iperf3


@needs_iperf3
def test_real_canary_measures_the_idle_baseline_first(server: Servers, tmp_path: Path) -> None:
    output: list[str] = []
    place = placement(port=server.port, topology="node-to-node")
    canary.measure_canary(place, CHOSEN, "before", tmp_path / "before", output.append)
    canary.measure_canary(place, CHOSEN, "after", tmp_path / "after", output.append)
    before = documents.read_document(tmp_path / "before" / documents.CANARY, documents.CanaryDocument)
    after = documents.read_document(tmp_path / "after" / documents.CANARY, documents.CanaryDocument)
    idle = before.idle["host"]
    assert len(idle) == 2
    assert idle[1].at_s - idle[0].at_s == pytest.approx(CHOSEN.idle_s, abs=0.2)
    assert after.idle == {}
    for document in (before, after):
        assert document.attempt is not None
        assert isinstance(results.read_canary(document.attempt), Report)
    assert output[0].startswith("canary before: ")


def test_failed_canary_is_recorded(instead: Callable[[str], Path], tmp_path: Path) -> None:
    instead("exit 1")
    canary.measure_canary(placement(), CHOSEN, "after", tmp_path / "raw", lambda _: None)
    document = documents.read_document(tmp_path / "raw" / documents.CANARY, documents.CanaryDocument)
    assert document.error == "iperf3 printed nothing, exit code 1"
    assert document.attempt is not None
    assert isinstance(results.read_canary(document.attempt), Failure)
