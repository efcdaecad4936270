"""What flags mean, and the mark that they leave on every question, verdict, table and chart."""

import ast
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from analysis import charts, flags, metrics, report
from analysis.charts import Chart, ChartData, Drawing
from analysis.console.terminal import Terminal
from analysis.domain import StoredScale
from analysis.flags import FLAGS, KINDS, MARKED
from analysis.report import tables
from analysis.sql import database
from analysis.stats import run
from analysis.store.store import Store
from analysis.summary.run.summary import Summary, from_json, to_json
from tests.analysis import synthetic
from tests.analysis.flagged import FULL, RECIPE, every, opened
from tests.analysis.synthetic import ENTRIES, Recipe, summarise
from workflows.cli.tables.summary_table import print_summary

OF_VISITS = {"connections_broken", "switching"}
"""Charts of visits, of which no trial's flag says anything."""

QUESTIONS_OF_VISITS = {"canary", "evidence", "failures", "runs", "switches"}
"""Questions that show no figure of a trial."""


def test_flags_agree_between_database_and_python(tmp_path: Path) -> None:
    names = [*(flag.name for flag in FLAGS), "never-seen: for a reason"]
    each = [carried for name in names for carried in ([name], [f"{name}: why"], [], None, ["udp-fragments", name])]
    cases = [{"carried": carried, "kind": kind} for carried in each for kind in KINDS]
    with database.connect(Store(str(tmp_path))) as con:
        con.register("cases", pa.Table.from_pylist(cases))
        found = run.query_rows(con, "select *, voids(carried, kind) as voids, marks(carried, kind) as marks from cases")
    assert len(found) == len(cases)
    for row in found:
        expected = flags.is_voided(row["carried"], row["kind"]), flags.is_marked(row["carried"], row["kind"])
        assert (row["voids"], row["marks"]) == expected, row


def test_unknown_flag_marks_all_values_and_voids_none() -> None:
    assert all(flags.is_marked(["uneven-moons"], kind) for kind in KINDS)
    assert not any(flags.is_voided(["uneven-moons"], kind) for kind in KINDS)
    assert flags.meaning_of("uneven-moons") == "see the trial's row"


def test_every_metric_has_flag_counts(tmp_path: Path) -> None:
    con = opened(tmp_path, every(5, "foreign-cpu"), every(7, "steal"))
    for kind in {metric.kind for metric in metrics.COMPARED}:
        (found,) = run.query_rows(
            con, f"select sum({kind}_flagged)::int as flagged, sum({kind}_left_out)::int as gone from visit_means"
        )
        counts = {"cpu": (16 - 2, 12), "memory": (16, 0)}  # of which steal says nothing
        assert (found["flagged"], found["gone"]) == counts.get(kind, (16 + 12 - 2, 0))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[database.Connection]:
    with opened(tmp_path_factory.mktemp("plain")) as con:
        yield con


@pytest.fixture(scope="module")
def flagged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[database.Connection]:
    """A run all of whose trials are flagged, and an earlier one without a flag."""
    folder = tmp_path_factory.mktemp("flagged")
    earlier = Recipe(run_id="run-0", rounds=3, entries=ENTRIES[:2], started_at=datetime(2026, 2, 1, tzinfo=UTC))
    synthetic.stored(folder, earlier)
    with opened(folder, every(1, "foreign-cpu"), recipe=FULL) as con:
        yield con


@pytest.fixture(scope="module")
def flagged_charts(flagged: database.Connection, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Drawing]:
    summary = summarise(flagged, "run-1")
    scaled = replace(RECIPE, cells=synthetic.QUICK[6:], scales=(StoredScale(0), StoredScale(1000)))
    with opened(tmp_path_factory.mktemp("scaled"), every(1, "foreign-cpu"), recipe=scaled) as con:
        curves = summarise(con, "run-1").curves
    data = ChartData(flagged, run.load_run(flagged, "run-1"), summary.comparisons, summary.changes, curves)
    drawn = charts.draw_all([chart for chart in charts.catalogue() if chart.name not in OF_VISITS], data)
    return {drawing.chart.name: drawing for drawing in drawn}


@pytest.mark.parametrize("name", sorted({q.name for q in database.questions()} - QUESTIONS_OF_VISITS))
def test_query_of_values_counts_flagged_trials(
    name: str, plain: database.Connection, flagged: database.Connection
) -> None:
    def touched(con: database.Connection) -> int:
        found = database.answer_question(con, name)
        counts = [n for n in found.column_names if re.search(r"flagged|left_out", n)]
        assert counts
        return sum(row[n] or 0 for row in found.to_pylist() for n in counts)

    assert touched(plain) == 0
    assert touched(flagged) > 0


@pytest.mark.parametrize("chart", [c for c in charts.catalogue() if c.name not in OF_VISITS])
def test_chart_with_flagged_trials_has_a_mark_and_its_legend(chart: Chart, flagged_charts: dict[str, Drawing]) -> None:
    drawing = flagged_charts[chart.name]
    assert all(MARKED in variant for variant in drawing.variants)
    assert drawing.variants
    assert drawing.reading.endswith(flags.LEGEND)


def test_chart_without_flagged_trials_has_no_mark(plain: database.Connection) -> None:
    summary = summarise(plain, "run-1")
    data = ChartData(plain, run.load_run(plain, "run-1"), summary.comparisons, summary.changes)
    for drawing in charts.draw_all(charts.catalogue(), data):
        assert MARKED not in drawing.reading + "".join(drawing.variants)


def printed(summary: Summary) -> str:
    console = Terminal(record=True, width=100, file=io.StringIO())
    print_summary(summary, console)
    return console.export_text()


@pytest.mark.usefixtures("without_charts")
def test_verdict_with_flagged_trials_is_marked_everywhere(flagged: database.Connection) -> None:
    summary = summarise(flagged, "run-1")
    assert summary.comparisons
    for c in summary.comparisons:
        assert c.estimate.endswith(MARKED)
        assert "; 12 of 12 trials are flagged (foreign-cpu)" in c.sentence
        assert (c.doubt.flagged, c.baseline_doubt.flagged) == (6, 6)
    assert summary.headline.endswith(f".{MARKED}")
    assert from_json(to_json(summary)) == summary
    text = printed(summary)
    assert text.count(MARKED) >= 2 + sum(c.metric in {"received_bps", "cpu_s_per_gbit"} for c in summary.comparisons)
    assert flags.LEGEND in " ".join(text.split())
    page = report.render_pages(flagged, "run-1", summary).report.replace("\u00a0", " ")
    assert all(c.answer.partition(MARKED)[2] in page for c in summary.comparisons)


def test_verdict_without_flagged_trials_has_no_mark(plain: database.Connection) -> None:
    summary = summarise(plain, "run-1")
    assert not any(c.doubts.mark for c in summary.comparisons)
    assert MARKED not in summary.headline + " ".join(c.sentence for c in summary.comparisons) + printed(summary)


def test_flag_marks_only_verdicts_of_its_kind(tmp_path: Path) -> None:
    summary = summarise(opened(tmp_path, every(1, "connect-errors")), "run-1")
    assert {c.metric for c in summary.comparisons if c.doubts.mark} == {
        "connect_p50_s",
        "connect_p99_s",
        "connects_per_s",
    }
    assert summary.answer is not None
    marked = {kind.title for kind in summary.answer.kinds for c in kind.cells if any(s.mark for s in c.standings)}
    assert marked == {"pod to service, connect"}


def test_trials_table_of_the_report_marks_flagged_and_voided_values(tmp_path: Path) -> None:
    con = opened(tmp_path, every(5, "steal"), every(7, "udp-counters"))
    summary = summarise(con, "run-1")
    data = ChartData(con, run.load_run(con, "run-1"), summary.comparisons, summary.changes)
    found = tables.trials(data)
    place = {header: number for number, header in enumerate(found["headers"])}
    for row in found["folds"][0]["rows"]:
        marks = {header: row["figures"][number][-1:] for header, number in place.items()}
        assert (marks["CPU, s/Gbit"] == flags.VOID) == ("steal" in row["flags"] and "connect" not in row["path"])
        assert (marks["received, Gbit/s"] == MARKED) == ("steal" in row["flags"] and "connect" not in row["path"])
        assert marks["offered, Gbit/s"] == "" if "offered, Gbit/s" in marks else True
        if "udp" in row["path"]:
            assert (marks["lost, %"] == MARKED) == bool(row["flags"])


def test_change_sentence_counts_flagged_nights(tmp_path: Path) -> None:
    recipe = Recipe(rounds=2, cells=synthetic.QUICK[:2], entries=ENTRIES[:2])
    store = Store(str(tmp_path))
    for night in synthetic.nights(12, {"beta": (9, 0.5)}, recipe):
        rows = synthetic.rows(night)
        for trial in rows["trials"]:
            trial["flags"] = ["foreign-cpu"] if night.run_id in {"night-03", "night-10", "night-11"} else []
        store.write(night.run_id, rows)
    summary = summarise(database.connect(store, asking=""), "night-11")
    (change,) = (c for c in summary.changes if c.metric == "received_bps" and c.status == "regression")
    assert (change.nights_before, change.nights_after, change.nights_flagged) == (9, 3, 3)
    assert change.estimate.endswith(MARKED)
    assert "(3 of 12 nights have flagged trials)" in summary.alarm


def test_every_flag_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "flags.md").read_text(encoding="utf-8")
    assert [flag.name for flag in FLAGS if f"| `{flag.name}` |" not in text] == []


def test_every_flag_set_by_a_step_is_known() -> None:
    steps = Path(__file__).parents[2] / "steps"
    named = {
        name
        for path in steps.rglob("*.py")
        if "flags" in (text := path.read_text(encoding="utf-8"))  # to parse all takes long
        for function in ast.walk(ast.parse(text))
        if isinstance(function, ast.FunctionDef)
        for line in ast.unparse(function).splitlines()
        if re.search(r"\bflags\b", line) or function.name.endswith("_flags")
        for name in re.findall(r"f?['\"]([a-z]+(?:-[a-z]+)+)['\":]", line)
    }
    assert {"foreign-cpu", "monitor-lost", "cpu-idle", "cpu-columns", "udp-counters"} <= named
    assert named - set(flags.BY_NAME) == set()
