"""Which runs a text names, and the sentences of those that name none or too many."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from analysis.errors import BadInput
from analysis.sql import database
from analysis.stats.contrasts.run_groups import ListedRun, list_runs, load_group, select
from tests.analysis.contrasted import recipe, stored

RUNS = [
    ListedRun(run_id, environment, datetime(2026, 3, day, tzinfo=UTC), label)
    for run_id, environment, day, label in (
        ("prod-c", "prod", 9, "after"),
        ("lab-b", "lab", 8, "with,comma"),
        ("prod-b", "prod", 7, "before"),
        ("lab-a", "lab", 6, "before"),
        ("old", "imported:knb", 5, ""),
        ("prod-a", "prod", 4, "after"),
        ("latest-of-all", "prod", 3, "latest"),
    )
]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("prod-b", "prod-b"),
        ("ol", "old"),
        (" latest ", "prod-c"),
        ("latest~0", "prod-c"),
        ("latest~1", "lab-b"),
        ("lab:latest", "lab-b"),
        ("lab:latest~1", "lab-a"),
        ("imported:knb:latest", "old"),
        ("label=after", "prod-a prod-c"),
        ("prod:label=before", "prod-b"),
        ("label=with,comma", "lab-b"),
        ("prod-a, old ,prod-a", "prod-a old"),
        ("lab:latest,lab:latest~1", "lab-a lab-b"),
        ("latest-of-all", "latest-of-all"),
        ("label=latest", "latest-of-all"),
    ],
)
def test_runs_named_by_a_text_are_in_order_of_time(text: str, names: str) -> None:
    assert select(text, RUNS) == tuple(names.split())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "name the runs to compare: a run's name or its beginning, latest"),
        (",", "no run is called ''"),
        ("x" * 301, "name the runs"),
        ("prod", "3 runs begin with 'prod': prod-c, prod-b, prod-a; give more letters of one"),
        ("nope", "no run is called 'nope'; a side is .*; the latest are prod-c, lab-b, prod-b, lab-a, 3 more"),
        ("latest~7", "latest~7 goes back further than the 7 runs in the store"),
        ("lab:latest~2", "goes back further than the 2 runs of lab"),
        ("moon:latest", "no run is of the environment 'moon'; there are prod, lab, imported:knb"),
        ("label=nope", "no run has the label 'nope'; the labels are after, with,comma, before, latest"),
        ("label=before", "are of lab and prod: write lab:label=before for those of one"),
        ("latest~99999999999999999999", "no run is called"),
        ("latest~-1", "no run is called"),
        ("../etc/passwd", "no run is called"),
        ("'; drop table runs; --", "no run is called"),
        ("\x1b]0;title\x07", "no run is called"),
    ],
)
def test_run_name_of_no_run_or_too_many_is_a_sentence(text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        select(text, RUNS)


def test_message_of_an_empty_store() -> None:
    with pytest.raises(BadInput, match="make run"):
        select("latest", [])


def test_runs_of_a_store_are_listed_the_latest_first_with_their_labels(tmp_path: Path) -> None:
    store = stored(tmp_path, recipe("one"), recipe("two", at=1), parameters={"two": {"label": "after"}})
    with database.connect(store, asking="") as con:
        assert [(run.run_id, run.label) for run in list_runs(con)] == [("two", "after"), ("one", "")]


def test_continued_run_is_a_part_of_its_group(tmp_path: Path) -> None:
    recipes = (recipe("one"), recipe("two", at=0.1), recipe("three", at=0.2))
    store = stored(tmp_path, *recipes, parameters={"two": {"continues": "one"}})
    with database.connect(store, asking="") as con:
        group = load_group(con, "one,two,three", ("one", "two", "three"))
    assert [run.run_id for run in group.runs] == ["two", "three"]
    assert group.pieces == (("two", "one"), ("three",))
    assert group.run_ids == ("two", "one", "three")


def test_run_group_is_of_one_environment(tmp_path: Path) -> None:
    store = stored(tmp_path, recipe("one"), recipe("two", environment="prod"))
    with database.connect(store, asking="") as con, pytest.raises(BadInput, match="are of lab and prod"):
        load_group(con, "one,two", ("one", "two"))
