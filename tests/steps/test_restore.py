"""The exit handler's first task: which snapshot it works from, whatever an earlier life of the run has left."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from steps import raw
from steps.model import Change
from steps.tasks import restore as task

AT = datetime(2026, 11, 26, 10, 0, tzinfo=UTC)
SNAPSHOT: dict[str, object] = {"dataplane": "iptables"}


class Cluster:
    """Keeps what it is asked to put back."""

    def __init__(self) -> None:
        self.given: list[dict[str, object] | None] = []

    def left(self, _snapshot: dict[str, object] | None) -> list[str]:
        return []

    def restore(self, snapshot: dict[str, object] | None) -> list[Change]:
        self.given.append(snapshot)
        return []


@pytest.mark.parametrize(
    ("before", "given"),
    [
        ("nothing", SNAPSHOT),
        ("restored", None),
        ("failed", SNAPSHOT),
        ("damaged", SNAPSHOT),
    ],
)
def test_after_argos_retry_a_snapshot_that_was_restored_before_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, given: dict[str, object] | None
) -> None:
    cluster = Cluster()
    monkeypatch.setenv("BENCHMARK_ENVIRONMENT", "prod")
    monkeypatch.setattr(task, "connect", lambda _environment: cluster)
    raw.write(tmp_path / raw.SNAPSHOT, raw.Snapshot(taken_at=AT, snapshot=SNAPSHOT))
    if before == "damaged":
        (tmp_path / raw.RESTORE).write_text('{"finished_at": ')
    elif before != "nothing":
        error = "prod: something else sets it" if before == "failed" else None
        raw.write(tmp_path / raw.RESTORE, raw.Restore(finished_at=AT, error=error))
    task.put_back(tmp_path, tmp_path / "now" / raw.RESTORE)
    assert cluster.given == [given]
    assert raw.read(tmp_path / "now" / raw.RESTORE, raw.Restore).error is None
