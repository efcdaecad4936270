"""The views and questions over runs with a known truth."""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.errors import BadInput, Unsupported
from analysis.metrics import METRICS
from analysis.sql import database, table_views
from analysis.sql.view_statements import VIEWS
from analysis.store.schema import TABLES, arrow_schema
from analysis.store.store import Store
from tests.analysis import synthetic

NAMES = [question.name for question in database.questions()]


def query_rows(con: database.Connection, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = database.query(con, sql).to_pylist()
    return found


LAB = synthetic.Recipe(
    run_id="lab-1", rounds=2, cells=synthetic.LATENCY, fail=frozenset({("beta", "pod-to-pod")}), unproven=frozenset({3})
)
CLUSTER = synthetic.Recipe(run_id="prod-1", environment="prod", rounds=2, seed=3, cells=synthetic.LATENCY)


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[database.Connection]:
    with synthetic.database(tmp_path_factory.mktemp("database") / "results", LAB, CLUSTER) as con:
        yield con


@pytest.fixture(scope="module")
def lab_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[database.Connection]:
    with synthetic.database(tmp_path_factory.mktemp("lab"), LAB) as con:
        yield con


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[database.Connection]:
    with database.connect(Store(str(tmp_path_factory.mktemp("empty")))) as con:
        yield con


def test_empty_store_has_every_view_without_rows(tmp_path: Path) -> None:
    con = database.connect(Store(str(tmp_path / "none")))
    for table in TABLES:
        found = database.query(con, f"select * from {table}")
        assert found.column_names == arrow_schema(table).names
        # DuckDB names the items of a list otherwise than Arrow does.
        assert [str(f.type).replace("<l: ", "<item: ") for f in found.schema] == [
            str(f.type) for f in arrow_schema(table)
        ]
        assert found.num_rows == 0
    for view in VIEWS:
        assert database.query(con, f"select * from {view}").num_rows == 0
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", NAMES)
def test_every_query_works_on_an_empty_store(name: str, empty: database.Connection) -> None:
    (question,) = (q for q in database.questions() if q.name == name)
    assert "?" in question.question
    assert database.answer_question(empty, name).num_rows == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_query_has_rows_for_a_run(name: str, con: database.Connection) -> None:
    assert database.answer_question(con, name).num_rows > 0


@pytest.mark.parametrize("name", NAMES)
def test_no_query_mixes_environments(name: str, con: database.Connection, lab_alone: database.Connection) -> None:
    alone = database.answer_question(lab_alone, name).to_pylist()
    both = database.answer_question(con, name).to_pylist()
    assert {row["environment"] for row in alone} == {"lab"}
    assert [comparable(row) for row in both if row["environment"] == "lab"] == [comparable(row) for row in alone]


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """Sums in another order differ in the last digit."""
    return {name: f"{value:.9g}" if isinstance(value, float) else value for name, value in row.items()}


def test_measurements_are_measured_trials_of_proven_visits(con: database.Connection) -> None:
    counted = query_rows(con, "select * from measurements where run_id = 'lab-1'")
    stored = [t for t in synthetic.rows(LAB)["trials"] if t["outcome"] == "measured" and t["visit"] != 3]
    assert sorted(row["trial"] for row in counted) == sorted(row["trial"] for row in stored)
    assert {row["dataplane"] for row in counted} == {"alpha", "beta", "gamma", "delta"}


def test_measurements_view_has_the_comparison_columns(con: database.Connection) -> None:
    row = query_rows(con, "select * from measurements where run_id = 'lab-1' and dataplane = 'gamma'")[0]
    assert {name: row[name] for name in ("environment", "baseline", "title", "colour", "profile")} == {
        "environment": "lab",
        "baseline": "alpha",
        "title": "Gamma",
        "colour": "#009E73",
        "profile": "quick",
    }
    assert row["run_started_at"] == LAB.started_at
    assert row["round"] in {1, 2}


def test_dataplanes_recorded_by_name_only(tmp_path: Path) -> None:
    rows = synthetic.rows(LAB)
    rows["runs"][0]["parameters"] = {"dataplanes": ["alpha", "beta"]}
    store = Store(str(tmp_path))
    store.write("lab-1", rows)
    found = query_rows(database.connect(store), "select distinct baseline, dataplane, title, colour from measurements")
    assert {(row["baseline"], row["colour"]) for row in found} == {("alpha", None)}
    assert all(row["title"] == row["dataplane"] for row in found)


def test_visit_mean_is_geometric(tmp_path: Path) -> None:
    recipe = synthetic.Recipe(run_id="lab-2", rounds=2, repetitions=3)
    con = synthetic.database(tmp_path, recipe)
    means = query_rows(
        con, "select * from visit_means where transport = 'tcp' and tool = 'iperf3' order by visit, topology"
    )
    trials = synthetic.rows(recipe)["trials"]
    for mean in means:
        figures = [
            math.log(t["received_bps"])
            for t in trials
            if (t["visit"], t["topology"], t["tool"], t["transport"])
            == (mean["visit"], mean["topology"], "iperf3", "tcp")
        ]
        assert mean["trials"] == len(figures) == 3
        assert mean["received_bps"] == pytest.approx(math.exp(sum(figures) / 3))
    assert len(means) == 8 * 5


def test_geometric_mean_of_zero_is_zero_and_of_nothing_null(con: database.Connection) -> None:
    found = query_rows(
        con,
        """select geometric_mean(x) as zero, geometric_mean(n) as none
           from (values (0.0, null::double), (4.0, null)) v(x, n)""",
    )
    assert found == [{"zero": 0.0, "none": None}]


def test_loss_ratio_is_over_all_packets_of_a_visit(con: database.Connection) -> None:
    found = query_rows(
        con,
        "select loss_ratio from visit_means where run_id = 'prod-1' and dataplane = 'alpha' and transport = 'udp' "
        "and tool = 'iperf3'",
    )
    assert [row["loss_ratio"] for row in found] == [0.28, 0.28]
    others = query_rows(con, "select count(loss_ratio) as n from visit_means where transport <> 'udp'")
    assert others == [{"n": 0}]


def test_switch_without_probes_has_no_share_of_lost_ones(tmp_path: Path) -> None:
    tables = synthetic.rows(CLUSTER)
    for visit in tables["visits"]:
        sent = 0 if visit["dataplane_requested"] == "alpha" else 40
        visit |= {"udp_probe_sent_packets": sent, "udp_probe_lost_packets": sent // 4}
    store = Store(str(tmp_path))
    store.write(CLUSTER.run_id, tables)
    with database.connect(store) as con:
        found = database.answer_question(con, "switches").to_pylist()
    lost = {row["dataplane"]: row["udp_probe_lost_ratio"] for row in found}
    assert lost == {name: None if name == "alpha" else 0.25 for name in lost}
    assert len(lost) > 1


def test_trend_query_is_ordered_by_time_and_takes_a_path(tmp_path: Path) -> None:
    recipes = [
        synthetic.Recipe(run_id=f"n{n}", rounds=2, started_at=LAB.started_at.replace(day=9 - n)) for n in range(3)
    ]
    con = synthetic.database(tmp_path, *recipes)
    answer = database.answer_question(con, "trend", topology="pod-to-pod", dataplane="beta")
    assert answer["run_id"].to_pylist() == ["n2", "n1", "n0"]
    assert set(answer["visits"].to_pylist()) == {2}


def test_failures_query_has_the_error(con: database.Connection) -> None:
    reasons = {row["reason"] for row in database.answer_question(con, "failures", run_id="lab-1").to_pylist()}
    assert reasons == {
        "iperf3: unable to connect to server: Connection refused",
        "no sign on node-b told which dataplane carried the traffic",
    }


def test_dsr_query_separates_return_paths(con: database.Connection) -> None:
    found = {
        row["dataplane"]: row["nat_bytes_per_payload_byte"]
        for row in database.answer_question(con, "dsr", run_id="prod-1").to_pylist()
    }
    assert found["delta"] < 0.1
    assert found["alpha"] > 0.9


def test_evidence_view_has_one_sign_per_row(con: database.Connection) -> None:
    found = database.answer_question(con, "evidence", run_id="lab-1").to_pylist()
    assert len(found) == 8 * 4
    assert [row["moment"] for row in found[:4]] == ["before", "before", "after", "after"]
    assert {row["proof"] for row in found if row["visit"] == 3} == {"unproven"}


def test_node_usage_view_has_one_node_per_row(con: database.Connection) -> None:
    (found,) = query_rows(
        con,
        "select count(*) as n, min(cores) as cores, max(busy_ratio) as busy from node_usage where run_id = 'prod-1'",
    )
    assert found == {"n": 8 * 10, "cores": 2, "busy": 0.93}


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("selec 1", r"this SQL can't be answered: Parser Error: syntax error at or near \"selec\""),
        ("select * from trails", r"Did you mean .*trials"),
        ("select nothing from runs", r"nothing"),
    ],
)
def test_invalid_sql_is_a_problem(sql: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        database.run_sql(Store(str(tmp_path)), sql)


def test_unknown_query_is_named_with_known_ones(con: database.Connection) -> None:
    with pytest.raises(BadInput, match="there is no question 'trnd'; did you mean trend"):
        database.answer_question(con, "trnd")
    with pytest.raises(BadInput, match="the question trend has no parameter 'path'; it has dataplane, environment"):
        database.answer_question(con, "trend", path="x")


def test_store_rewritten_during_a_query_is_an_error_and_can_be_reopened(tmp_path: Path) -> None:
    store = synthetic.stored(tmp_path, LAB)
    con = database.connect(store)
    rows = synthetic.rows(LAB)
    rows["trials"][0]["error"] = "changed"
    store.write(LAB.run_id, rows)
    with pytest.raises(Unsupported, match="rewritten meanwhile; ask again"):
        database.query(con, "select * from trials")
    assert database.query(database.connect(store), "select * from trials").num_rows == len(rows["trials"])


@pytest.mark.parametrize(("rows", "kept"), [(1_000, True), (1, False)])
def test_small_tables_are_read_once_for_many_queries(
    rows: int,
    kept: bool,  # noqa: FBT001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table_views, "MOST_KEPT_ROWS", rows)
    store = synthetic.stored(tmp_path, LAB)
    with database.connect(store, asking="") as con:
        expected = query_rows(con, "select count(*) as n, max(received_bps) as most from trials")
    with database.connect(store, asking="") as con:
        shutil.rmtree(tmp_path / "trials")
        if not kept:
            with pytest.raises(database.ChangedStoreError):
                query_rows(con, "from trials")
            return
        assert query_rows(con, "select count(*) as n, max(received_bps) as most from trials") == expected
        assert query_rows(con, "select count(*) as n from usable_trials")[0]["n"] == expected[0]["n"]


def test_report_is_made_again_where_a_writer_replaced_a_file(tmp_path: Path) -> None:
    store = synthetic.stored(tmp_path, LAB)
    asked = []

    def read() -> list[dict[str, Any]]:
        with database.connect(store, asking="select count(*) as n from visits") as con:
            asked.append(con)
            if len(asked) == 1:
                raise database.ChangedStoreError("a file was replaced")
            return query_rows(con, "select count(*) as n from visits")

    assert database.with_sound_files(store, read)[0]["n"] > 0
    assert len(asked) == 2


def test_sql_statement_without_rows(con: database.Connection) -> None:
    assert database.query(con, "create temp table mine as select 1 as x").num_rows <= 1
    assert database.query(con, "select x from mine").to_pylist() == [{"x": 1}]


def test_every_metric_of_a_visit_is_a_double(tmp_path: Path) -> None:
    """DuckDB sums whole numbers to ones that Python gets as decimals, which no float can be divided by."""
    with synthetic.database(tmp_path, synthetic.Recipe()) as con:
        found = dict(con.execute("select column_name, column_type from (describe visit_means)").fetchall())
    assert {found[metric.name] for metric in METRICS} == {"DOUBLE"}
