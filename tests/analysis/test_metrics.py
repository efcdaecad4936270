"""Metrics: each is one entry, from which view, table, comparison, chart, JSON and key figures follow."""

import json
from pathlib import Path

from analysis.metrics import BY_NAME, LEADING, METRICS
from analysis.store.schema import TRIALS
from tests.analysis import synthetic
from tests.steps.extensions.copy import Copy

SHOW = """
import json
from analysis import charts, report
from analysis.sql import database
from analysis.summary.run import key_metrics
from analysis.stats import run
from analysis.stats.nights import history
from analysis.charts import ChartData
from analysis.report import reference, tables
from analysis.store.store import Store
from analysis.summary.run.summary import to_json
from tests.analysis.synthetic import summarise
from workflows.template import metrics
NEW = {"datagrams", "round_trip"}
with database.connect(Store(STORE)) as con:
    about = run.load_run(con, "night-01")
    summary = summarise(con, about.run_id)
    data = ChartData(con, about, summary.comparisons)
    print(json.dumps({
        "view": run.query_rows(con, "select datagrams_per_s as d from visit_means where transport = 'udp'")[0]["d"],
        "table": tables.trials(data)["headers"],
        "charts": {c.name: charts.draw_all([c], data)[0].variants[0] for c in charts.catalogue() if c.name in NEW},
        "column": sorted({row["c"] for row in run.query_rows(con, "select reordered_packets as c from trials")}),
        "question": database.answer_question(con, "retransmits").to_pylist(),
        "reference": reference.text(),
        "named": ["`datagrams_per_s`", "`reordered_packets`", "| Round trip |", "`retransmits` | How many"],
        "report": report.render_pages(con, about.run_id, summary).report,
        "verdict": to_json(summary),
        "nights": sorted({s.metric.name for s in history.nightly_series(con, about, ["night-00", "night-01"])}),
        "key": sorted(key_metrics.key_figures(con, summary, {"pod-to-service": "forward"})),
        "argo": sorted({gauge.name for gauge in metrics.build_metrics()}),
    }))
"""


def test_guide_adds_a_metric_a_column_a_chart_and_a_question(tmp_path: Path) -> None:
    copied = Copy(tmp_path / "copy")
    for heading in ("A metric", "A column", "A chart", "A question"):
        copied.follow(heading)
    synthetic.stored(
        tmp_path / "store",
        *synthetic.nights(2, {}, synthetic.Recipe(environment="prod", rounds=3, entries=synthetic.ENTRIES[:2])),
    )
    found = copied.run(SHOW.replace("STORE", repr(str(tmp_path / "store"))))
    assert found["view"] == 100_000
    assert found["table"].index("datagrams, 1/s") == found["table"].index("lost, %") + 1
    assert "Datagrams sent a second" in found["charts"]["datagrams"]
    assert "round trip, ms" in found["charts"]["round_trip"]
    assert "<h3>Datagram rate</h3>" in found["report"]
    one = next(c for c in json.loads(found["verdict"])["comparisons"] if c["metric"] == "datagrams_per_s")
    assert (one["unit"], one["better"]) == ("1/s", "higher")
    assert "datagrams_per_s" in found["nights"]
    assert "datagrams alpha pod-to-service" in found["key"]
    assert "dataplane_benchmark_datagrams_per_second" in found["argo"]
    assert found["column"] == [None], "a store of before has no value in it"
    assert found["question"][0]["retransmits"] == 12
    assert {name for name in found["named"] if name not in found["reference"]} == set()


def test_metric_of_one_stored_column_has_that_column_s_unit() -> None:
    units = {column.name: column.unit for column in TRIALS}
    assert [m.name for m in METRICS if m.name in units and units[m.name] != m.unit] == []
    assert {m.name for m in METRICS} >= {"received_bps", "cpu_s_per_gbit"}


def test_every_column_that_a_metric_is_made_of_is_stored_and_of_one_kind() -> None:
    stored = {column.name for column in TRIALS}
    assert {name for m in METRICS for name in (*m.made_of, m.needed_column)} <= stored
    kinds: dict[str, set[str]] = {}
    for metric in METRICS:
        for name in metric.made_of:
            kinds.setdefault(name, set()).add(metric.kind)
    assert [name for name, found in kinds.items() if len(found) > 1] == []


def test_names_and_places_of_metrics_are_their_own() -> None:
    for values in (
        [metric.name for metric in METRICS],
        [metric.table.place for metric in METRICS if metric.table],
        [metric.chart.name for metric in METRICS if metric.chart],
        [metric.export.figure for metric in METRICS if metric.export],
        [metric.needed_column for metric in LEADING],
    ):
        assert len(set(values)) == len(values)


def test_share_is_stored_as_a_number_without_a_unit_and_written_in_per_cent() -> None:
    loss = BY_NAME["loss_ratio"]
    assert (loss.unit, loss.shown_unit) == ("1", "%")
    assert {m.unit for m in METRICS if m.unit in {"", "%"}} == set()
