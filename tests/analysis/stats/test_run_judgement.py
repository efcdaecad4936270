"""What a stored run is judged by: its own rounds, those of runs that it continues, and earlier nights."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.sql.database import connect
from analysis.stats import run
from analysis.stats.verdicts.judgement import Plan
from analysis.stats.verdicts.run_judgement import RunJudgement, judge_run, plan_of
from analysis.store.store import Store
from steps.catalogue.options import method
from tests.analysis import synthetic
from tests.analysis.synthetic import ENTRIES, QUICK, Recipe

SMALL = Recipe(rounds=4, cells=QUICK[1:3], entries=ENTRIES[:2])


def written(store: Store, recipe: Recipe, **parameters: object) -> dict[str, list[dict[str, Any]]]:
    rows = synthetic.rows(recipe)
    rows["runs"][0]["parameters"] = json.dumps(json.loads(rows["runs"][0]["parameters"]) | parameters)
    store.write(recipe.run_id, rows)
    return rows


def judged(store: Store, run_id: str = SMALL.run_id) -> RunJudgement:
    with connect(store) as con:
        return judge_run(con, run.load_run(con, run_id), method)


def rounds(judgement: RunJudgement) -> set[int]:
    return {c.rounds for c in judgement.comparisons if c.metric == "received_bps"}


@pytest.mark.parametrize(
    ("parameters", "before", "plan"),
    [
        ({"rounds": 6}, 0, Plan()),  # by a version that did not look
        ({"rounds": 6, "margin_ratio": 0.05}, 0, Plan(6, 0.05, ("run-0", "run-1"))),
        ({"rounds": 6, "margin_ratio": 0.1}, 4, Plan(10, 0.1, ("run-0", "run-1"))),
        ({"margin_ratio": 0.1}, 0, Plan(None, 0.1, ("run-0", "run-1"))),
    ],
)
def test_plan_of_a_run(tmp_path: Path, parameters: Mapping[str, object], before: int, plan: Plan) -> None:
    with synthetic.database(tmp_path, SMALL) as con:
        about = replace(run.load_run(con, SMALL.run_id), parameters=dict(parameters))
    assert plan_of(about, ["run-0"], before) == plan


def test_run_that_continues_others_is_judged_by_the_rounds_of_all(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    written(store, SMALL, margin_ratio=0.1)
    written(store, replace(SMALL, run_id="run-2", seed=8, rounds=3), margin_ratio=0.1, continues="run-1")
    written(store, replace(SMALL, run_id="run-3", seed=9, rounds=2), margin_ratio=0.1, continues="run-2")
    found = [judged(store, run_id) for run_id in ("run-1", "run-2", "run-3")]
    assert [rounds(one) for one in found] == [{4}, {7}, {9}]
    errors = [{family.error for family in one.families} for one in found]
    assert errors == [{0.05}, {0.07}, {0.07}], "each run of a chain has spent an error of its own"
    with connect(store) as con:
        answers = [synthetic.summarise(con, run_id).answer for run_id in ("run-1", "run-2")]
    said = [one.certainty.basis for one in answers if one is not None]
    assert ["In 95 % of such runs" in said[0], "In 93 % of such runs" in said[1]] == [True, True]


@pytest.mark.parametrize("continued", ["run-1", "run-none"])
def test_run_that_continues_nothing_that_is_stored_stands_alone(tmp_path: Path, continued: str) -> None:
    store = Store(str(tmp_path))
    written(store, SMALL, margin_ratio=0.1, continues=continued)
    assert rounds(judged(store)) == {4}


def test_repeated_visit_counts_as_far_as_it_was_measured(tmp_path: Path) -> None:
    """Visit 9 repeats visit 2 of the first round, and has lost one of its two paths."""
    store = Store(str(tmp_path))
    rows = synthetic.rows(SMALL)
    first = next(v for v in rows["visits"] if v["visit"] == 2)
    rows["visits"].append({**first, "visit": 9})
    for trial in [t for t in rows["trials"] if t["visit"] == 2]:
        repeated = {**trial, "visit": 9, "trial": trial["trial"] + 100, "received_bps": 2 * trial["received_bps"]}
        if trial["topology"] == "pod-to-service":
            repeated |= {"outcome": "failed", "received_bps": None, "error": "it was cut short"}
        rows["trials"].append(repeated)
    store.write(SMALL.run_id, rows)
    plain = Store(str(tmp_path / "plain"))
    written(plain, SMALL)
    changed = {
        c.path: (c.change, c.rounds) != (d.change, d.rounds)
        for c, d in zip(judged(store).comparisons, judged(plain).comparisons, strict=True)
        if c.metric == "received_bps"
    }
    assert changed == {"pod-to-pod tcp": True, "pod-to-service tcp": False}


def test_earlier_nights_help_to_judge_a_nightly_run_alone(tmp_path: Path) -> None:
    recipes = synthetic.nights(4, {}, replace(SMALL, trigger="nightly", entries=ENTRIES[:3]))
    last = recipes[-1].run_id
    with_nights, alone, by_hand = (Store(str(tmp_path / name)) for name in ("nights", "alone", "hand"))
    for recipe in recipes:
        written(with_nights, recipe)
        written(by_hand, replace(recipe, trigger="local"))
    written(alone, recipes[-1])
    helped, lonely, local = (judged(store, last) for store in (with_nights, alone, by_hand))
    assert [c.change for c in helped.comparisons] == [c.change for c in lonely.comparisons]
    assert [c.low for c in helped.comparisons] != [c.low for c in lonely.comparisons]
    assert local == lonely


def test_nights_of_another_method_do_not_help(tmp_path: Path) -> None:
    first, last = synthetic.nights(2, {}, replace(SMALL, trigger="nightly"))
    store, alone = Store(str(tmp_path / "two")), Store(str(tmp_path / "one"))
    written(store, first, streams=8)
    written(store, last)
    written(alone, last)
    assert judged(store, last.run_id) == judged(alone, last.run_id)
