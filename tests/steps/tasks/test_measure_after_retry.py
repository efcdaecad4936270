"""Argo's Retry repeats the measuring steps of a visit whose servers went when the run was put back."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from steps import documents
from steps.tasks.measure import measure
from tests.steps.builders import placement, settings

PREPARED = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


def run_step(folder: Path, prepared_at: datetime | None, restored: str | None) -> float:
    """Measure; the seconds that it took. There is no iperf3 and no server."""
    file, ended = folder / "prepare.json", folder / "restore.json"
    places = tuple(placement(topology=name, namespace="pod-a") for name in ("pod-to-service", "node-to-node"))
    documents.write_document(file, documents.Prepare(visit=1, prepared_at=prepared_at, placements=places))
    if restored is not None:
        ended.write_text(restored)
    chosen = settings(topologies="pod-to-service").model_dump_json()
    began_s = time.monotonic()
    measure(
        chosen, "01", "pod-to-service", "node-a", "pod", "60s", "title", file, ended if restored else None,
        folder / "raw",
    )  # fmt: skip
    return time.monotonic() - began_s


def restore(at: datetime) -> str:
    return documents.Restore(finished_at=at).model_dump_json()


@pytest.fixture(autouse=True)
def without_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BENCHMARK_TERMINATION_LOG", str(tmp_path / "termination-log"))


def test_step_ends_at_once_where_the_run_was_put_back_since(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_step(tmp_path, PREPARED, restore(PREPARED + timedelta(seconds=90)))
    sentence = capsys.readouterr().err
    assert "the servers of visit 1 went when the run was put back at 12:01:30 UTC" in sentence
    assert list((tmp_path / "raw").iterdir()) == [], "what was measured before is not replaced"


@pytest.mark.parametrize(
    ("prepared_at", "restored"),
    [
        (PREPARED, None),
        (PREPARED, restore(PREPARED - timedelta(seconds=90))),  # a visit that began after Retry
        (PREPARED, "{"),
        (PREPARED, json.dumps({"finished_at": "soon"})),
        (None, restore(PREPARED)),
    ],
)
def test_step_measures_otherwise(tmp_path: Path, prepared_at: datetime | None, restored: str | None) -> None:
    run_step(tmp_path, prepared_at, restored)
    assert list((tmp_path / "raw").iterdir()), "a document for each trial, which failed for want of a program"
