"""The step after a settle that failed: it leaves the dataplane, and says whether another visit may try."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from steps import raw
from steps.model import Change, Visit
from steps.tasks import retreat as task
from tests.steps.builders import settings

CHOSEN = settings(options="rounds=1", dataplanes="lab-iptables,lab-ebpf+twin")


class Cluster:
    """Hears what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []

    def retreat(self, visit: Visit, reason: str | None) -> list[Change]:
        self.asked.append((visit.dataplane, reason))
        return [Change(what="back", command="kubectl patch")]


def settled(tmp_path: Path, *, final: bool) -> Path:
    path = tmp_path / raw.SETTLE
    raw.write(path, raw.Evidence(visit=1, nodes=("node-a",), error="node-b: Felix fell back", final=final))
    return path


@pytest.mark.parametrize(("kept", "reason"), [("final", "node-b: Felix fell back"), ("late", None), ("none", None)])
def test_only_what_can_never_be_proven_is_not_to_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str, reason: str | None
) -> None:
    cluster = Cluster()
    monkeypatch.setattr(task, "connect", lambda _environment: cluster)
    document = tmp_path / raw.RETREAT
    found = None if kept == "none" else settled(tmp_path, final=kept == "final")
    began = datetime.now(UTC)
    task.leave(CHOSEN.model_dump_json(), "1", found, document)
    ((dataplane, told),) = cluster.asked
    assert dataplane in CHOSEN.dataplanes
    assert told == reason
    done = raw.read(document, raw.Configure)
    assert [change.command for change in done.changes] == ["kubectl patch"]
    assert done.started_at >= began
