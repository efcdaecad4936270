"""Runs whose trials have flags."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.sql import database
from analysis.store.store import Store
from tests.analysis import synthetic
from tests.analysis.synthetic import ENTRIES, Recipe

RECIPE = Recipe(references=True, rounds=3, entries=ENTRIES[:2], repetitions=2)
FULL = replace(RECIPE, cells=synthetic.LATENCY)

Change = Callable[[dict[str, Any]], None]


def opened(folder: Path, *changes: Change, recipe: Recipe = RECIPE) -> database.Connection:
    """A store with the run of a recipe, each trial changed first."""
    rows = synthetic.rows(recipe)
    for trial in rows["trials"]:
        trial["flags"] = []
        for change in changes:
            change(trial)
    store = Store(str(folder))
    store.write(recipe.run_id, rows)
    return database.connect(store, asking="")


def every(number: int, flag: str) -> Change:
    """Flags every so many trials; of six cells, five is a number that reaches all."""

    def change(trial: dict[str, Any]) -> None:
        if trial["trial"] % number == 0:
            trial["flags"] = [*trial["flags"], flag]

    return change
