"""The step after a failed settle: it leaves the dataplane, and decides whether another visit may try it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from analysis.errors import Problem
from steps import documents
from steps.domain import Change, Moment, Sign, Visit
from steps.proof.wait import FOR_GOOD
from steps.tasks import retreat as task
from tests.steps.builders import NODES, settings, sign

CHOSEN = settings(options="rounds=1", dataplanes="lab-iptables,lab-ebpf+twin")
FALLBACK = sign("node-b").model_copy(update={"looked_at": FOR_GOOD, "seen": "Felix fell back"})


class Cluster:
    """Shows one look, and keeps why it was left."""

    measured_nodes = NODES

    def __init__(self, signs: list[Sign] | None) -> None:
        self._signs = signs
        self.calls: list[tuple[str, str | None]] = []

    def observe(self, _visit: Visit, moment: Moment) -> list[Sign]:
        assert moment == "before"
        if self._signs is None:
            raise Problem("prod: the API server can't be reached.")
        return self._signs

    def turns(self, _visit: Visit) -> None:
        return None

    def retreat(self, visit: Visit, reason: str | None) -> list[Change]:
        self.calls.append((visit.dataplane, reason))
        return [Change(what="back", command="kubectl patch")]


@pytest.mark.parametrize(
    ("signs", "reason"),
    [([FALLBACK], "node-b: Felix fell back"), ([sign("node-b")], None), (None, None)],
    ids=["fallback", "late", "unreachable"],
)
def test_retreat_excludes_a_dataplane_only_if_its_proof_is_impossible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signs: list[Sign] | None, reason: str | None
) -> None:
    cluster = Cluster(signs)
    monkeypatch.setattr(task, "connect_cluster", lambda _environment: cluster)
    document = tmp_path / documents.RETREAT
    began = datetime.now(UTC)
    task.retreat(CHOSEN.model_dump_json(), "01", document)
    ((dataplane, given),) = cluster.calls
    assert dataplane in CHOSEN.dataplanes
    assert given == reason
    done = documents.read_document(document, documents.Configure)
    assert [change.command for change in done.changes] == ["kubectl patch"]
    assert done.started_at >= began
