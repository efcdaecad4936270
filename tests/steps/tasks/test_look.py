"""The step after each round, as its pod runs it."""

import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from analysis.errors import Problem
from steps import documents
from steps.catalogue.options import Settings
from steps.collect import comparing
from steps.collect.looks import Look, look_name
from steps.run_documents import PlannedRun
from steps.settings import environment, schedule
from tests.steps import builders
from tests.steps.builders import RUN_ID, settings, write_run
from tests.steps.tasks.run_task import Ended, run_task

CHOSEN = settings(options="rounds=5 protocols=tcp", topologies="pod-to-service")
VISITS = schedule.make_schedule(CHOSEN)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """The documents of a run of which three of five rounds are measured, all visits alike."""
    place = tmp_path / "inputs" / "artifacts" / "raw"
    write_run(place, CHOSEN.model_copy(update={"rounds": 3}), RUN_ID)
    run = documents.read_document(place / documents.RUN, PlannedRun)
    documents.write_document(place / documents.RUN, run.model_copy(update={"settings": CHOSEN}))
    documents.write_document(
        place / documents.PREFLIGHT, documents.Preflight(findings=(), provenance={}, visits=VISITS)
    )
    return place


def look(home: Path, level: str = "01", chosen: Settings = CHOSEN) -> tuple[Ended, dict[str, Any], Look]:
    """The step's end, its outputs and its document."""
    inputs = {"settings": chosen.model_dump_json(), "level": level}
    ended = run_task("steps.tasks.look:look", inputs, home, {environment.ENVIRONMENT: "lab"})
    outputs = {name: ended.parameter(name) for name in ("next", "visits", "level", "title", "reason")}
    return ended, outputs, documents.read_document(ended.outputs / "artifacts" / "document", Look)


def test_run_stops_when_its_visits_are_alike(raw: Path, tmp_path: Path) -> None:
    ended, outputs, found = look(tmp_path)
    assert raw.exists()
    assert (ended.code, outputs["next"], json.loads(outputs["visits"])) == (0, "stop", [])
    assert (found.stopped, found.round, found.compared, found.decided) == ("decided", 3, 1, 1)
    assert found.reason == outputs["reason"] == "After 3 rounds the one comparison is decided."


def test_run_goes_on_where_nothing_can_be_compared(raw: Path, tmp_path: Path) -> None:
    for visit in VISITS[:6]:
        (raw / documents.visit_directory(visit.visit) / documents.SETTLE).write_text("{")
    _, outputs, found = look(tmp_path)
    assert (outputs["next"], outputs["level"], outputs["title"]) == ("rounds", "02", "round-4")
    assert [int(item["visit"]) for item in json.loads(outputs["visits"])] == [7, 8]
    assert (found.visits, found.stopped, found.compared) == ((7, 8), None, 0)


def test_run_goes_on_where_the_store_can_not_be_used(raw: Path, tmp_path: Path) -> None:
    problem = Problem("the store is full")
    assert raw.exists()
    with mock.patch.object(comparing, "compare_rows", side_effect=problem):
        _, outputs, found = look(tmp_path)
    assert outputs["next"] == "rounds"
    assert found.error == "the store is full"


def test_visit_off_its_dataplanes_others_is_repeated_once(raw: Path, tmp_path: Path) -> None:
    with mock.patch.object(comparing, "visits_off", return_value={2: "the host network had less"}):
        _, outputs, found = look(tmp_path)
        (again,) = json.loads(outputs["visits"])
        assert (outputs["next"], again["visit"], again["round"]) == ("rounds", "12", "1")
        assert [off.visit for off in found.off] == [2]
        documents.write_document(raw / look_name(1), found)
        repeat = schedule.repeat(VISITS, VISITS[1])
        builders.write_visit(raw / documents.visit_directory(12), repeat, CHOSEN)
        _, outputs, found = look(tmp_path, "02")
    assert (outputs["next"], found.off, found.stopped) == ("stop", (), "decided")


def test_budget_counts_from_the_beginning_of_the_run(raw: Path, tmp_path: Path) -> None:
    assert raw.exists()
    chosen = CHOSEN.model_copy(update={"budget_s": 3600})
    with mock.patch.object(comparing, "compare_rows", return_value=()):
        _, outputs, found = look(tmp_path, chosen=chosen)  # the run began long ago
    assert (outputs["next"], found.stopped) == ("stop", "budget")
    assert "the budget is 1 h" in found.reason


@pytest.mark.parametrize(("level", "code"), [("42", 2), ("07", 2)])
def test_level_that_the_run_does_not_have_is_refused(raw: Path, tmp_path: Path, level: str, code: int) -> None:
    assert raw.exists()
    inputs = {"settings": CHOSEN.model_dump_json(), "level": level}
    ended = run_task("steps.tasks.look:look", inputs, tmp_path, {environment.ENVIRONMENT: "lab"})
    assert ended.code == code
    assert "submit the workflow by its own entrypoint" in ended.message
