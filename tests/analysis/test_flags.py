"""What each flag does to figures, in every view, question, verdict, table and chart."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from analysis import charts, database, flags, metrics, run
from analysis.charts import Chart, Data
from analysis.figures import key_figures
from analysis.flags import COLUMNS, FLAGS, KINDS, MARKED, NODE_FIELDS, Kind
from analysis.schema import NODE_USAGE, TRIALS
from analysis.store import Store
from analysis.summary import summarise, to_json
from tests.analysis import synthetic
from tests.analysis.synthetic import ENTRIES, Recipe

RECIPE = Recipe(rounds=3, entries=ENTRIES[:2], repetitions=2)
VOIDS = {flag.name: next(iter(sorted(flag.voids))) for flag in FLAGS if flag.voids}
POISON = 1e6
OF_VISITS = {"connections_broken", "switching"}
"""Charts of visits, of which no trial's flag says anything."""

QUESTIONS_OF_VISITS = {"canary", "evidence", "failures", "runs", "switches"}
"""Questions that show no figure of a trial."""

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
    return database.connect(store)


def every(number: int, flag: str) -> Change:
    """Flags every so many trials; of six cells, five is a number that reaches all."""

    def change(trial: dict[str, Any]) -> None:
        if trial["trial"] % number == 0:
            trial["flags"] = [*trial["flags"], flag]

    return change


def spoilt(kind: Kind, *, by: float | None) -> Change:
    """Multiplies the figures of a kind in flagged trials, or takes them away."""

    def change(trial: dict[str, Any]) -> None:
        if not flags.voids(trial["flags"], kind):
            return
        for name in COLUMNS[kind]:
            trial[name] = None if by is None or trial[name] is None else trial[name] * by
        for node in trial["nodes"] or ():
            for name in NODE_FIELDS.get(kind, ()):
                value = node[name]
                scaled = [v * by for v in value] if isinstance(value, list) and by is not None else value
                node[name] = None if by is None else scaled if isinstance(value, list) else value * by

    return change


def answers(con: database.Connection) -> dict[str, Any]:
    """Everything that the run is turned into, as text."""
    said = summarise(con, "run-1")
    data = Data(con, run.load(con, "run-1"), said.comparisons, said.changes)
    found: dict[str, Any] = {q.name: database.ask(con, q.name).to_pylist() for q in database.questions()}
    with charts._data.narrowed(con, "run-1"):
        found |= {chart.__name__: chart.frame(data).to_pylist() for chart in charts.catalogue()}
    directions = dict.fromkeys(synthetic.BASE_BPS, "forward")
    found |= {"summary": json.loads(to_json(said)), "key figures": key_figures(con, "run-1", directions)}
    return {name: comparable(answer) for name, answer in found.items()}


def comparable(answer: Any) -> Any:  # noqa: ANN401 - whatever an answer holds
    """Sums in another order differ in the last digit."""
    if isinstance(answer, dict):
        return {name: comparable(value) for name, value in answer.items()}
    if isinstance(answer, list):
        return [comparable(value) for value in answer]
    return f"{answer:.6g}" if isinstance(answer, float) else answer


@pytest.mark.parametrize("flag", [flag for flag in FLAGS if flag.voids], ids=lambda flag: flag.name)
def test_a_figure_that_a_flag_voids_enters_nothing_at_all(flag: flags.Flag, tmp_path: Path) -> None:
    """With figures a million times too high in flagged trials every answer is as if those figures were not there."""
    marked = every(5, f"{flag.name}: for a reason")
    wrong = [spoilt(kind, by=POISON) for kind in sorted(flag.voids)]
    gone = [spoilt(kind, by=None) for kind in sorted(flag.voids)]
    assert answers(opened(tmp_path / "wrong", marked, *wrong)) == answers(opened(tmp_path / "gone", marked, *gone))


def test_the_rows_themselves_keep_what_was_measured(tmp_path: Path) -> None:
    con = opened(tmp_path, every(1, "steal"))
    kept = run.rows(con, "select count(cpu_s_per_gbit) as n, count(nodes[1].busy_ratio) as busy from trials")
    used = run.rows(con, "select count(cpu_s_per_gbit) as n, count(nodes[1].busy_ratio) as busy from measurements")
    assert (kept[0]["n"], kept[0]["busy"], used) == (72, 84, [{"n": 0, "busy": 0}])


def test_the_database_and_the_program_agree_on_every_flag(tmp_path: Path) -> None:
    con = database.connect(Store(str(tmp_path)))
    sql = "select voids($f::varchar[], $k) as voids, marks($f::varchar[], $k) as marks"
    for flag in [*(flag.name for flag in FLAGS), "never-seen: for a reason"]:
        for kind in KINDS:
            for carried in ([flag], [f"{flag}: why"], [], None, ["udp-fragments", flag]):
                row = run.rows(con, sql, f=carried, k=kind)
                assert row == [{"voids": flags.voids(carried, kind), "marks": flags.marks(carried, kind)}], carried


def test_a_flag_that_is_not_known_marks_everything_and_voids_nothing() -> None:
    assert all(flags.marks(["uneven-moons"], kind) for kind in KINDS)
    assert not any(flags.voids(["uneven-moons"], kind) for kind in KINDS)
    assert flags.meaning_of("uneven-moons") == "see the trial's row"


def test_every_figure_of_a_trial_has_its_kind() -> None:
    """A new column is one that flags may touch, unless it is named here as what was asked for or counted."""
    settings = {"visit", "trial", "position", "streams", "offered_bps", "repetition", "duration_s", "block_size_bytes"}
    settings |= {"mtu_bytes", "server_mtu_bytes", "services", "attempts", "foreign_cpu_ratio"}
    named = {name for names in COLUMNS.values() for name in names}
    assert {column.name for column in TRIALS if column.unit} - settings == named
    fields = {NODE_USAGE.field(i).name for i in range(NODE_USAGE.num_fields)} - {"node", "side", "cores"}
    assert fields == {name for names in NODE_FIELDS.values() for name in names}


def test_every_metric_has_its_counts_beside_it(tmp_path: Path) -> None:
    con = opened(tmp_path, every(5, "foreign-cpu"), every(7, "steal"))
    for kind in {metric.kind for metric in metrics.METRICS}:
        (found,) = run.rows(
            con, f"select sum({kind}_flagged)::int as flagged, sum({kind}_left_out)::int as gone from visit_means"
        )
        gone = 12 if kind == "cpu" else 0
        assert (found["flagged"], found["gone"]) == ((16 - 2 if gone else 16 + 12 - 2), gone)


@pytest.mark.parametrize("name", sorted({q.name for q in database.questions()} - QUESTIONS_OF_VISITS))
def test_a_question_on_figures_says_how_many_of_its_trials_are_flagged(name: str, tmp_path: Path) -> None:
    def touched(con: database.Connection) -> int:
        counts = [n for n in database.ask(con, name).column_names if re.search(r"flagged|left_out", n)]
        assert counts
        return sum(row[n] or 0 for row in database.ask(con, name).to_pylist() for n in counts)

    assert touched(opened(tmp_path / "plain")) == 0
    assert touched(opened(tmp_path / "flagged", every(1, "foreign-cpu"))) > 0


@pytest.mark.parametrize("chart", [c for c in charts.catalogue() if c.__name__.rpartition(".")[2] not in OF_VISITS])
def test_a_chart_with_flagged_trials_in_it_has_the_mark_and_its_meaning(chart: Chart, tmp_path: Path) -> None:
    def drawn(folder: Path, *changes: Change) -> charts.Drawing:
        con = opened(folder, *changes)
        earlier = synthetic.rows(
            Recipe(run_id="run-0", rounds=3, entries=ENTRIES[:2], started_at=datetime(2026, 2, 1, tzinfo=UTC))
        )
        store = Store(str(folder))
        store.write("run-0", earlier)
        con = database.connect(store)
        said = summarise(con, "run-1")
        return charts.draw(chart, Data(con, run.load(con, "run-1"), said.comparisons, said.changes))

    flagged = drawn(tmp_path / "flagged", every(1, "foreign-cpu"))
    assert all(MARKED in variant for variant in flagged.variants)
    assert flagged.variants
    assert flagged.reading.endswith(flags.LEGEND)
