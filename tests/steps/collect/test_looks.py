"""The looks of a run in its rows: which visits were due, which count, and why the run stopped."""

import json
from pathlib import Path

import pytest

from steps import documents
from steps.catalogue.options import Settings
from steps.collect.looks import Look, OffVisit, look_name, read_looks
from steps.collect.run_rows import run_rows
from steps.domain import Visit
from steps.run_documents import PlannedRun
from steps.settings import schedule
from tests.steps.builders import cut_short, settings, write_run, write_visit

CHOSEN = settings(options="rounds=5 budget=1h")
"""With a budget it looks after each round."""

VISITS = schedule.make_schedule(CHOSEN)
TRIALS = len(VISITS[0].trials)


def of_round(number: int) -> list[Visit]:
    return [visit for visit in VISITS if visit.round == number]


def look(level: int, *following: Visit, **fields: object) -> Look:
    numbers = tuple(visit.visit for visit in following)
    base: dict[str, object] = {"level": level, "round": level, "elapsed_s": 60.0 * level, "compared": 2, "decided": 1}
    return Look.model_validate({**base, "visits": numbers, "reason": "Why.", **fields})


def write(directory: Path, looks: list[Look], visits: list[Visit], chosen: Settings = CHOSEN) -> None:
    """A run of which these looks and visits are there, and no other."""
    empty = CHOSEN.model_copy(update={"rounds": 1})
    write_run(directory, empty)
    shown = documents.read_document(directory / documents.RUN, PlannedRun)
    documents.write_document(directory / documents.RUN, shown.model_copy(update={"settings": chosen}))
    documents.write_document(
        directory / documents.PREFLIGHT, documents.Preflight(findings=(), provenance={}, visits=VISITS)
    )
    for one in looks:
        documents.write_document(directory / look_name(one.level), one)
    for visit in visits:
        write_visit(directory / documents.visit_directory(visit.visit), visit, CHOSEN)


def outcomes(directory: Path) -> dict[int, set[str]]:
    """The outcomes of each visit's trials."""
    found: dict[int, set[str]] = {}
    for row in run_rows(directory)["trials"]:
        found.setdefault(int(str(row["visit"])), set()).add(str(row["outcome"]))
    return found


def test_visits_that_became_unnecessary_are_no_rows(tmp_path: Path) -> None:
    stopped = look(3, stopped="decided", decided=2, dropped=("lab-ebpf",))
    looks = [look(1, *of_round(2)), look(2, *of_round(3)), stopped]
    write(tmp_path, looks, [visit for visit in VISITS if visit.round <= 3])
    rows = run_rows(tmp_path)
    assert [row["visit"] for row in rows["visits"]] == [1, 2, 3, 4, 5, 6]
    assert {row["outcome"] for row in rows["trials"]} == {"measured"}
    found = rows["runs"][0]["parameters"]
    assert isinstance(found, dict)
    assert (found["rounds"], found["rounds_run"], found["planned_visits"]) == (5, 3, 10)
    assert (found["stopped"], found["stopped_reason"], found["decided_after"]) == ("decided", "Why.", {"lab-ebpf": 3})
    assert found["looks"][-1] == {"round": 3, "elapsed_s": 180.0, "compared": 2, "decided": 2, "error": None}


def test_visits_that_a_look_asked_for_and_that_never_began_are_rows(tmp_path: Path) -> None:
    write(tmp_path, [look(1, *of_round(2))], of_round(1))
    assert outcomes(tmp_path) == {1: {"measured"}, 2: {"measured"}, 3: {"not-run"}, 4: {"not-run"}}
    found = run_rows(tmp_path)["runs"][0]["parameters"]
    assert isinstance(found, dict)
    assert (found["stopped"], found["stopped_reason"]) == (None, None)


def test_run_that_ended_between_its_visits_and_their_look_is_incomplete(tmp_path: Path) -> None:
    write(tmp_path, [look(1, *of_round(2), dropped=("lab-ebpf",))], [*of_round(1), *of_round(2)])
    (third,) = (visit.visit for visit in of_round(3) if visit.dataplane == "lab-iptables")
    assert {visit for visit, found in outcomes(tmp_path).items() if found == {"not-run"}} == {third}


@pytest.mark.parametrize(("budget_s", "due"), [(3600, 2), (None, 6)])
def test_run_that_ended_before_its_first_look_had_the_rounds_before_it_due(
    tmp_path: Path, budget_s: int | None, due: int
) -> None:
    write(tmp_path, [], [], CHOSEN.model_copy(update={"budget_s": budget_s}))
    (tmp_path / "visit-02").rename(tmp_path / "elsewhere")
    assert outcomes(tmp_path) == {1: {"measured"}, **{visit: {"not-run"} for visit in range(2, due + 1)}}


def test_damaged_look_hides_nothing_that_was_measured(tmp_path: Path) -> None:
    write(tmp_path, [look(1, *of_round(2)), look(2, stopped="rounds")], [*of_round(1), *of_round(2)])
    cut_short(tmp_path / look_name(1))
    assert read_looks(tmp_path) == ()
    assert {visit for visit, found in outcomes(tmp_path).items() if found == {"measured"}} == {1, 2, 3, 4}


def test_every_planned_visit_was_due_in_a_run_of_a_program_without_looks(tmp_path: Path) -> None:
    write(tmp_path, [], of_round(1))
    path = tmp_path / documents.RUN
    run = json.loads(path.read_text())
    for name in ("margin_ratio", "budget_s", "continues"):
        del run["settings"][name]
    path.write_text(json.dumps(run))
    assert set(outcomes(tmp_path)) == {*range(1, 11)}


@pytest.mark.parametrize("repeated", [True, False])
def test_visit_with_a_reference_that_is_off_counts_by_its_repeat(tmp_path: Path, *, repeated: bool) -> None:
    bad, again = VISITS[0], schedule.repeat(VISITS, VISITS[0])
    off = (OffVisit(visit=1, reason="its reference is 40 % low"),)
    following = (again,) if repeated else ()
    looks = [look(1, *following, off=off, stopped=None if repeated else "budget")]
    write(tmp_path, looks, [*of_round(1), *following])
    rows = run_rows(tmp_path)
    flags = {row["visit"]: row["flags"] for row in rows["trials"] if row["outcome"] == "measured"}
    assert ("repeated" in str(flags[bad.visit])) == repeated
    assert ("reference-off" in str(flags[bad.visit])) == (not repeated)
    assert "reference-off" not in str(flags.get(again.visit, ()))
    found = rows["runs"][0]["parameters"]
    assert isinstance(found, dict)
    assert found["repeats"] == [
        {
            "visit": 1,
            "repeated_as": 11 if repeated else None,
            "dataplane": bad.dataplane,
            "round": 1,
            "reason": "its reference is 40 % low",
        }
    ]
