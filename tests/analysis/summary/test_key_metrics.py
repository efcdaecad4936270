"""A run's key figures: what monitoring shows after it is of this run, and of none before."""

from pathlib import Path

from analysis.summary.run.key_metrics import key_figures
from tests.analysis import synthetic
from tests.analysis.synthetic import ENTRIES, Recipe, summarise

FAILING = Recipe(
    rounds=2, cells=synthetic.QUICK[1:3], entries=ENTRIES[:2], fail=frozenset({("beta", "pod-to-service")})
)


def trials(root: Path, recipe: Recipe) -> dict[str, float]:
    with synthetic.database(root, recipe) as con:
        figures = key_figures(con, summarise(con, recipe.run_id), {})
    return {name.removeprefix("trials "): value for name, value in figures.items() if name.startswith("trials ")}


def test_every_outcome_has_its_number_of_trials_so_that_no_gauge_keeps_that_of_the_night_before(tmp_path: Path) -> None:
    total = len(synthetic.rows(FAILING)["trials"])
    failing = trials(tmp_path / "failing", FAILING)
    assert 0 < failing["failed"] == total - failing["measured"]
    sound = Recipe(rounds=FAILING.rounds, cells=FAILING.cells, entries=FAILING.entries)
    assert trials(tmp_path / "sound", sound) == {"measured": total, "failed": 0, "not-run": 0}
    stopped = Recipe(rounds=FAILING.rounds, cells=FAILING.cells, entries=FAILING.entries, stop_after=3)
    assert trials(tmp_path / "stopped", stopped) == {"measured": 3, "failed": 0, "not-run": total - 3}


def test_trials_of_an_unproven_visit_are_failed_ones_as_in_the_report(tmp_path: Path) -> None:
    unproven = Recipe(
        rounds=FAILING.rounds, cells=FAILING.cells, entries=FAILING.entries, unproven=frozenset({1, 2, 3, 4})
    )
    assert trials(tmp_path, unproven)["measured"] == 0
