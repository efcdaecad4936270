"""Made-up stores with runs to compare, for tests of the comparison of runs."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from analysis.sql import database
from analysis.stats.contrasts.contrast import Contrast
from analysis.stats.contrasts.run_groups import list_runs, load_group, select
from analysis.store.store import Store
from analysis.summary.contrast.run_contrast import RunContrast, contrast_groups
from steps.settings.compared import COMPARED
from tests.analysis import copies, synthetic
from tests.analysis.synthetic import ENTRIES, Recipe

SMALL = Recipe(rounds=5, entries=ENTRIES[:3], cells=(synthetic.QUICK[1], synthetic.QUICK[2], synthetic.QUICK[6]))
AT = SMALL.started_at


def recipe(run_id: str, at: float = 0.0, **changed: Any) -> Recipe:  # noqa: ANN401 - the fields of a recipe
    """A small run that begins so many days after the first, with a seed of its own."""
    seed = sum(map(ord, run_id))
    return replace(SMALL, run_id=run_id, started_at=AT + timedelta(days=at), seed=seed, **changed)


def gained(beta: float, gamma: float, alpha: float = 1.0) -> dict[str, float]:
    """The true throughput of the three dataplanes."""
    return {"alpha": alpha, "beta": beta, "gamma": gamma}


def stored(root: Path | str, *recipes: Recipe, parameters: Mapping[str, Mapping[str, object]] | None = None) -> Store:
    """A store with these runs; `parameters`: run -> what it recorded beside the usual."""

    def write(store: Store) -> None:
        for one in recipes:
            rows = synthetic.rows(one)
            own = json.loads(rows["runs"][0]["parameters"]) | (parameters or {}).get(one.run_id, {})
            rows["runs"][0]["parameters"] = json.dumps(own)
            store.write(one.run_id, rows)

    if isinstance(root, Path):
        return copies.stored(root, (recipes, parameters), write)
    write(store := Store(root))
    return store


def compared(store: Store, a: str, b: str, *, any_method: bool = False) -> RunContrast:
    """The comparison of two sides, as they are named."""
    with database.connect(store, asking="") as con:
        listed = list_runs(con)
        sides = [load_group(con, text, select(text, listed)) for text in (a, b)]
        return contrast_groups(con, sides[0], sides[1], replace(COMPARED, any_method=any_method))


def one(
    found: RunContrast, dataplane: str, against: str | None, topology: str = "pod-to-pod", metric: str = "received_bps"
) -> Contrast:
    """A contrast by what it is of."""
    (only,) = (
        c
        for c in found.contrasts
        if (c.dataplane, c.against, c.topology, c.metric) == (dataplane, against, topology, metric)
    )
    return only
