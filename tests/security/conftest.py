from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.errors import Problem
from steps import documents
from steps.domain import Monitor
from tests.security.entrypoints import STEPS
from tests.steps.builders import placement
from tests.steps.tasks.run_task import Ended, run_task


class Reached(Problem):
    """A step has passed its checks."""


@pytest.fixture
def run_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, dict[str, str]], Ended]:
    """Run a step with inputs. Where it would reach the cluster or measure, it ends with exit code 1."""

    def reached(*_arguments: object, **_more: object) -> None:
        raise Reached("reached")

    for module in ("clear", "configure", "preflight", "restore", "retreat", "settle", "snapshot"):
        monkeypatch.setattr(f"steps.tasks.{module}.connect_cluster", reached)
    for function in ("measure_trials", "measure_references"):
        monkeypatch.setattr(f"steps.tasks.measure.{function}", reached)
    # no server is there, and the step would wait for one as long as a new Service may take
    monkeypatch.setattr("steps.tasks.measure.await_server", lambda *_: True)
    monitor = Monitor(node="node-a", side="client", source="http://10.0.0.1:5203/")
    places = tuple(placement(topology=topology, monitors=(monitor,)) for topology in ("node-to-node", "pod-to-service"))
    documents.write_document(
        tmp_path / "inputs" / "artifacts" / "prepared", documents.Prepare(visit=1, placements=places)
    )

    def run(name: str, inputs: dict[str, str]) -> Ended:
        return run_task(STEPS[name], inputs, tmp_path)

    return run
