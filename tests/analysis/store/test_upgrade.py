"""A store that an older program wrote, read by this one: its files lie in `recorded/version-1` as that one put them.

Four nights, `night-00` to `night-03`, three of them packed. Tool and transport were one column then, `protocol`.
"""

import contextlib
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.sql import database
from analysis.stats import run
from analysis.stats.nights import history
from analysis.store import compaction
from analysis.store.files.file_content import ContentError, check_schema
from analysis.store.integrity.audit import EVERY
from analysis.store.migrations import UPGRADES, migrated_relation
from analysis.store.schema import FIRST_VERSION, SCHEMA_VERSION, arrow_schema
from analysis.store.store import Store
from analysis.summary.run.summary import from_json, to_json
from steps.catalogue.options import method
from tests.analysis import synthetic
from tests.analysis.synthetic import ENTRIES, Recipe, nights, summarise

RECORDED = Path(__file__).parent / "recorded/version-1"
OLD = [f"night-{number:02}" for number in range(4)]
RECIPE = Recipe(
    trigger="nightly",
    environment="tiger",
    entries=ENTRIES[:3:2],
    cells=(
        ("pod-to-service", "tcp", "forward"),
        ("pod-to-service", "tcp", "reverse"),
        ("pod-to-service", "udp", "forward"),
        ("pod-to-service", "connect", "forward"),
    ),
    rounds=2,
    within=0.01,
)
"""What the recorded nights were made from."""

NIGHTS = nights(7, {"gamma": (4, 0.7)}, RECIPE)
TEXTS_OF_THE_OLD_PROGRAM = (
    "pod-to-service tcp forward, gamma: the night of 2026-03-05 (run night-04), −29 % [−32, −26], 4.59 → 3.27 ",
    "pod-to-service udp, gamma: the night of 2026-03-05 (run night-04), −29 % [−33, −25], +59 % → ",
    "pod-to-service, connect time, median, gamma: the night of 2026-03-05 (run night-04), +40 % [33, 46], 148 → ",
    "pod-to-service udp, UDP loss, gamma: the night of 2026-03-05 (run night-04), +7.5 % points [7.3, 7.7], 17.5 ",
)
"""Of the same seven nights; the third interval as it is since a run's series share their noise."""

PROTOCOLS = {"tcp": ("iperf3", "tcp"), "udp": ("iperf3", "udp"), "connect": ("tcp_connect", "tcp")}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return copied(tmp_path / "results")


def copied(folder: Path) -> Store:
    shutil.copytree(RECORDED, folder)
    return Store(str(folder))


@pytest.fixture
def con(store: Store) -> Iterator[database.Connection]:
    with closing(database.connect(store)) as con:
        yield con


def query_rows(con: database.Connection, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = database.query(con, sql).to_pylist()
    return found


def files(store: Store) -> dict[str, bytes]:
    root = Path(store.files.root)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.parquet")}


def test_every_trial_of_an_old_store_has_its_tool_and_its_transport(store: Store, con: database.Connection) -> None:
    stored = [row for path in (RECORDED / "trials").iterdir() for row in pq.read_table(path).to_pylist()]
    assert {row["protocol"] for row in stored} == set(PROTOCOLS)
    wanted = {(row["run_id"], row["trial"]): PROTOCOLS[row["protocol"]] for row in stored}
    found = query_rows(con, "select * from trials")
    assert {(row["run_id"], row["trial"]): (row["tool"], row["transport"]) for row in found} == wanted
    assert list(found[0]) == arrow_schema("trials").names
    figures = {(row["run_id"], row["trial"]): row["received_bps"] for row in stored}
    assert {(row["run_id"], row["trial"]): row["received_bps"] for row in found} == figures
    assert not store.inventory(EVERY).left_out


def test_old_store_is_read_alike_by_arrow_as_from_a_bucket(store: Store, tmp_path: Path) -> None:
    """A folder whose name is a pattern to DuckDB is read as a bucket is."""
    everything = "select * from trials order by run_id, trial"
    with closing(database.connect(store)) as con, closing(database.connect(copied(tmp_path / "[results]"))) as other:
        assert query_rows(other, everything) == query_rows(con, everything)


def test_reading_an_old_store_writes_none_of_its_files(store: Store, con: database.Connection) -> None:
    summarise(con, OLD[-1])
    assert files(store) == files(Store(str(RECORDED)))


def test_paths_of_an_old_run_keep_their_names(con: database.Connection) -> None:
    about = run.load_run(con, OLD[0])
    assert [about.path(cell) for cell in about.cells] == [
        "pod-to-service tcp forward",
        "pod-to-service tcp reverse",
        "pod-to-service udp",
        "pod-to-service connect",
    ]


def test_nights_before_and_after_the_change_are_one_history(store: Store) -> None:
    for recipe in NIGHTS[len(OLD) :]:
        store.write(recipe.run_id, synthetic.rows(recipe))
    with closing(database.connect(store)) as con:
        about = run.load_run(con, NIGHTS[-1].run_id)
        assert [*history.comparable_runs(con, about, method)] == [recipe.run_id for recipe in NIGHTS]
        series = history.nightly_series(con, about, [recipe.run_id for recipe in NIGHTS])
        assert all(len(each.nights) == len(NIGHTS) for each in series)
        summary = summarise(con, about.run_id)
    assert len(series) == 30
    texts = "\n".join(f"{c.where}, {c.dataplane}: {c.night}, {c.extent}" for c in synthetic.regressions(summary))
    for text in TEXTS_OF_THE_OLD_PROGRAM:
        assert text in texts


def test_stored_verdict_of_an_old_run_can_be_read(con: database.Connection) -> None:
    for row in query_rows(con, "select verdict from runs"):
        summary = from_json(row["verdict"])
        assert {(c.tool, c.transport) for c in summary.comparisons} == set(PROTOCOLS.values())


def test_new_verdict_of_an_old_run_is_kept_and_read(store: Store, con: database.Connection) -> None:
    summary = summarise(con, OLD[-1])
    verdict = database.query(con, f"select verdict from runs where run_id = '{OLD[-1]}'")["verdict"][0].as_py()
    old = from_json(verdict).comparisons
    known = {c.metric for c in old}
    assert [c.figures for c in old] == [
        c.figures for c in summary.comparisons if c.against_baseline and c.metric in known
    ]
    changed = replace(summary, headline="another headline")
    store.keep_verdict(OLD[-1], to_json(changed))
    with closing(database.connect(store)) as again:
        kept = query_rows(again, f"select verdict, schema_version from runs where run_id = '{OLD[-1]}'")[0]
    assert from_json(kept["verdict"]) == changed


def test_old_runs_and_new_ones_are_packed_apart_and_show_the_same(store: Store) -> None:
    for recipe in NIGHTS[len(OLD) :]:
        store.write(recipe.run_id, synthetic.rows(recipe))
    everything = "select * from trials order by run_id, trial"
    with closing(database.connect(store)) as con:
        before = query_rows(con, everything)
    with store.files.lock():
        assert compaction.compact(store.files, pack_at=1, keep_loose=0) == len(NIGHTS) - len(OLD)
    with closing(database.connect(store)) as con:
        assert query_rows(con, everything) == before


@pytest.mark.parametrize("column", ["protocol", "received_bps"])
def test_column_of_another_type_is_found_in_files_of_an_old_version_too(column: str) -> None:
    schema = pq.read_schema(next((RECORDED / "trials").glob("night-03.*")))
    check_schema(schema, "trials", 1)
    wrong = schema.set(schema.get_field_index(column), pa.field(column, pa.list_(pa.int64())))
    with pytest.raises(ContentError, match=f"its column {column} has the type"):
        check_schema(wrong, "trials", 1)


def test_rows_are_upgraded_step_by_step() -> None:
    steps = {
        0: {"trials": "select *, a / 2 as b from {rows}"},
        1: {"trials": "select * replace (b + 1 as b) from {rows}"},
    }
    rows = {
        version: migrated_relation(
            "(select 8 as a, 0 as b)" if version else "(select 8 as a)", "trials", version, steps, 2
        )
        for version in (0, 1, 2)
    }
    with contextlib.closing(duckdb.connect()) as con:
        found = {version: con.sql(f"select b from {source}").fetchall() for version, source in rows.items()}
    assert found == {0: [(5.0,)], 1: [(1,)], 2: [(0,)]}
    assert migrated_relation("rows", "runs", 0, steps, 2) == "rows"


def test_every_older_schema_version_has_an_upgrade() -> None:
    assert set(UPGRADES) == set(range(FIRST_VERSION, SCHEMA_VERSION))
