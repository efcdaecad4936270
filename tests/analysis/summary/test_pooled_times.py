"""The times until changes worked, of all visits together."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from analysis import report
from analysis.console.terminal import Terminal
from analysis.flags import MARKED
from analysis.sql import database
from analysis.store.store import Store
from analysis.summary.figures import pooled_times
from analysis.summary.figures.pooled_times import pooled
from analysis.summary.run.document import run_document
from analysis.summary.run.markdown import to_markdown
from analysis.summary.run.summary import from_json, to_json
from tests.analysis import synthetic
from tests.analysis.contrasted import stored
from tests.analysis.stats.test_curves import SEVERAL
from workflows.cli.tables.summary_table import print_summary


@pytest.mark.parametrize(
    ("seconds", "failed", "figures"),
    [
        ([0.01 * n for n in range(1, 100)], 0, (0.5, None, 0.99)),
        ([0.01 * n for n in range(1, 101)], 0, (0.5, 0.99, 1.0)),
        ([0.01 * n for n in range(1, 100)], 1, (0.5, 0.99, None)),
        ([0.01 * n for n in range(1, 99)], 2, (0.5, None, None)),
        ([1.0], 2, (None, None, None)),
    ],
)
def test_change_that_never_worked_is_later_than_all_others(
    seconds: list[float], failed: int, figures: tuple[float | None, ...]
) -> None:
    found = pooled("a new Service", "ebpf", 3, seconds, failed)
    assert (found.p50_s, found.p99_s, found.worst_s) == pytest.approx(figures)
    assert found.texts[:4] == ("a new Service", "ebpf", str(len(seconds) + failed), str(failed))


@pytest.mark.usefixtures("without_charts")
def test_all_visits_of_a_dataplane_have_a_percentile_that_one_has_not(tmp_path: Path) -> None:
    recipe = replace(SEVERAL, environment="prod", cells=(("pod-to-service", "service-added", "forward"),), rounds=4)
    with synthetic.database(tmp_path, recipe) as con:
        summary = synthetic.summarise(con, recipe.run_id)
        page = report.render_pages(con, recipe.run_id, summary).report
    assert from_json(to_json(summary)).programming == summary.programming
    (*_, found) = run_document(summary, "report.html").programming
    assert (found.visits, found.observed, found.failed) == (4, 120, 0)
    assert found.p50_s is not None
    assert found.p99_s is not None
    assert found.worst_s is not None
    assert found.p50_s < found.p99_s < found.worst_s
    printed = io.StringIO()
    print_summary(summary, Terminal(printed, width=400))
    for shown in (page, to_markdown(summary), printed.getvalue()):
        assert pooled_times.TITLE in shown
        assert summary.programming[-1].texts[5] in shown


def test_visits_of_runs_that_a_run_continues_count_too(tmp_path: Path) -> None:
    first = replace(SEVERAL, environment="prod", cells=(("pod-to-service", "service-added", "forward"),), rounds=2)
    second = replace(first, run_id="continues-it", seed=first.seed + 1)
    store = stored(tmp_path, first, second, parameters={second.run_id: {"continues": first.run_id}})
    with database.connect(store) as con:
        alone, together = (synthetic.summarise(con, each.run_id).programming[-1] for each in (first, second))
    assert (alone.visits, together.visits) == (2, 4)
    assert together.observed == 2 * alone.observed


@pytest.mark.usefixtures("without_charts")
def test_run_without_such_changes_says_nothing_of_them(tmp_path: Path) -> None:
    with synthetic.database(tmp_path, SEVERAL) as con:
        summary = synthetic.summarise(con, SEVERAL.run_id)
        assert pooled_times.TITLE not in report.render_pages(con, SEVERAL.run_id, summary).report
    assert summary.programming == ()


@pytest.mark.usefixtures("without_charts")
def test_times_of_voided_trials_do_not_count_and_flagged_ones_are_marked(tmp_path: Path) -> None:
    recipe = replace(SEVERAL, environment="prod", cells=(("pod-to-service", "service-added", "forward"),), rounds=4)
    rows = synthetic.rows(recipe)
    dataplanes = {visit["visit"]: visit["dataplane_requested"] for visit in rows["visits"]}
    (first, second, third) = (entry["name"] for entry in recipe.entries)
    repeated = min(visit for visit, name in dataplanes.items() if name == second)
    for trial in rows["trials"]:
        name = dataplanes[trial["visit"]]
        trial["flags"] = {first: ["foreign-cpu"], third: ["repeated"]}.get(name, [])
        if trial["visit"] == repeated:
            trial |= {"flags": ["repeated"], "programming_s": [100 * each for each in trial["programming_s"]]}
    store = Store(str(tmp_path))
    store.write(recipe.run_id, rows)
    with database.connect(store) as con:
        summary = synthetic.summarise(con, recipe.run_id)
        page = report.render_pages(con, recipe.run_id, summary).report
    marked, partly, void = summary.programming[-3:]
    assert (marked.observed, marked.visits, marked.doubt.flagged) == (120, 4, 4)
    assert (partly.observed, partly.visits, partly.doubt.left_out) == (90, 3, 1)
    assert (void.observed, void.visits, void.p50_s, void.doubt.left_out) == (0, 0, None, 4)
    assert partly.worst_s is not None
    assert partly.worst_s < 1
    assert all(item.flagged for item in run_document(summary, "report.html").programming)
    printed = io.StringIO()
    print_summary(summary, Terminal(printed, width=400))
    for shown in (page, to_markdown(summary), printed.getvalue()):
        assert marked.texts[3].endswith(MARKED)
        assert marked.texts[4] in shown
        text = " ".join(shown.replace("\u00a0", " ").split())
        assert "12 of 36 trials are flagged and 15 of 36 trials are left out (foreign-cpu, repeated)" in text


def test_trial_none_of_whose_changes_worked_counts_them(tmp_path: Path) -> None:
    recipe = replace(SEVERAL, environment="prod", cells=(("pod-to-service", "service-added", "forward"),), rounds=2)
    rows = synthetic.rows(recipe)
    for trial in rows["trials"]:
        if trial["visit"] == rows["visits"][0]["visit"]:
            trial |= {"programming_s": None, "programming_observed": 0, "programming_failed": 30}
    store = Store(str(tmp_path))
    store.write(recipe.run_id, rows)
    with database.connect(store) as con:
        found = synthetic.summarise(con, recipe.run_id).programming
    assert {one.failed for one in found} == {0, 30}
