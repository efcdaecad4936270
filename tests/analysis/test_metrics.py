"""Metrics: each is one entry, from which view, table, comparison, chart, terminal, JSON and key figures follow."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from analysis.stats.metrics import BY_NAME, LEADING, METRICS
from analysis.store.schema import TRIALS
from tests.analysis import synthetic

ROOT = Path(__file__).parents[2]

TOY = """
    ComparedMetric(
        name="datagrams_per_s",
        title="datagram rate",
        unit="1/s",
        kind="loss",
        columns=("total_packets",),
        trial="total_packets / duration_s",
        scale="ratio",
        better="higher",
        more="sends more datagrams",
        less="sends fewer datagrams",
        leads=True,
        table=TableColumn("datagrams", "1/s", 35),
        chart=BarChart(
            name="datagrams",
            title="Datagrams a second",
            reading="Datagrams sent a second.",
            empty="No UDP trial was measured.",
            axis="rate",
            place=65,
        ),
        export=Export("datagrams", "datagrams_per_second", "UDP datagrams a second of the last run.", transport="udp"),
    ),
"""
SHOW = """
import io, json, sys
from analysis import charts, report
from analysis.sql import database
from analysis.summary import key_metrics
from analysis.stats import history, run
from analysis.charts import Data
from analysis.report import tables
from analysis.store.store import Store
from analysis.summary.summary import summarise, to_json
from analysis.console.terminal import Terminal
from workflows.cli import summary_table
from workflows.template import metrics
with database.connect(Store(sys.argv[1])) as con:
    about = run.load_run(con, "night-01")
    said = summarise(con, about.run_id)
    data = Data(con, about, said.comparisons)
    terminal = io.StringIO()
    summary_table.print_summary(said, Terminal(terminal, width=100))
    print(json.dumps({
        "view": run.query_rows(con, "select datagrams_per_s as d from visit_means where transport = 'udp'")[0]["d"],
        "table": tables.trials(data)["headers"],
        "chart": charts.draw(next(c for c in charts.catalogue() if c.name == "datagrams"), data).variants[0],
        "report": report.render(con, about.run_id, said),
        "terminal": terminal.getvalue(),
        "verdict": to_json(said),
        "nights": sorted({s.metric.name for s in history.nightly_series(con, about, ["night-00", "night-01"])}),
        "key": sorted(key_metrics.key_figures(con, about.run_id, {"pod-to-service": "forward"})),
        "argo": sorted({gauge.name for gauge in metrics.build_metrics()}),
    }))
"""


def test_a_metric_that_is_added_as_one_entry_is_everywhere(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "analysis", tmp_path / "tree/analysis")
    for name in ("steps", "workflows"):
        (tmp_path / "tree" / name).symlink_to(ROOT / name)
    entries = tmp_path / "tree/analysis/stats/metrics.py"
    head, beginning, rest = entries.read_text().partition("METRICS: Final[tuple[Metric, ...]] = (\n")
    last = rest.index("\n)\n")
    entries.write_text(f"{head}{beginning}{rest[:last]}{TOY}{rest[last + 1 :]}")
    synthetic.database(tmp_path / "store", *synthetic.nights(2, {}, synthetic.Recipe(environment="prod"))).close()
    argv = [sys.executable, "-c", SHOW, str(tmp_path / "store")]
    done = subprocess.run(argv, cwd=tmp_path / "tree", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["view"] == 100_000
    assert found["table"].index("datagrams, 1/s") == found["table"].index("lost, %") + 1
    assert "Datagrams sent a second." in found["chart"]
    assert "<h3>Datagram rate</h3>" in found["report"]
    assert "datagram rate" in found["terminal"]
    (one,) = [c for c in json.loads(found["verdict"])["comparisons"] if c["metric"] == "datagrams_per_s"][:1]
    assert (one["unit"], one["better"]) == ("1/s", "higher")
    assert "datagrams_per_s" in found["nights"]
    assert "datagrams alpha pod-to-service" in found["key"]
    assert "dataplane_benchmark_datagrams_per_second" in found["argo"]


def test_a_metric_of_one_stored_column_has_that_column_s_unit() -> None:
    units = {column.name: column.unit for column in TRIALS}
    assert [m.name for m in METRICS if m.name in units and units[m.name] != m.unit] == []
    assert {m.name for m in METRICS} >= {"received_bps", "cpu_s_per_gbit"}


def test_every_column_that_a_metric_is_made_of_is_stored_and_of_one_kind() -> None:
    stored = {column.name for column in TRIALS}
    assert {name for m in METRICS for name in (*m.columns, m.needed_column)} <= stored
    kinds: dict[str, set[str]] = {}
    for metric in METRICS:
        for name in metric.columns:
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


def test_a_share_is_stored_as_a_number_without_a_unit_and_written_in_per_cent() -> None:
    loss = BY_NAME["loss_ratio"]
    assert (loss.unit, loss.shown_unit) == ("1", "%")
    assert {m.unit for m in METRICS if m.unit in {"", "%"}} == set()
