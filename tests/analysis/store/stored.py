"""Rows of small runs whose trials say which writing they belong to, and what a store shows of them."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.sql import database
from analysis.stats.run import query_rows
from analysis.store.files.parquet import content_digest, to_parquet
from analysis.store.index.names import file_name
from analysis.store.index.run_entries import FILES
from analysis.store.schema import SCHEMA_VERSION
from analysis.store.store import Store


def rows(run_id: str, writing: str, trials: int = 3, verdict: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """A run; `writing` stands in its row and in each trial, and its row says how many trials it has."""
    return {
        "runs": [
            {
                "run_id": run_id,
                "started_at": datetime(2026, 3, 1, tzinfo=UTC),
                "environment": "lab",
                "parameters": {"writing": writing, "trials": trials, "dataplanes": [{"name": "alpha"}]},
                "verdict": verdict,
            }
        ],
        "visits": [{"run_id": run_id, "visit": 1, "dataplane_requested": "alpha", "proof": "proven"}],
        "trials": [
            {"run_id": run_id, "visit": 1, "trial": n + 1, "outcome": "measured", "error": writing, "received_bps": 1e9}
            for n in range(trials)
        ],
        "samples": [
            {"run_id": run_id, "trial": n + 1, "side": "sender", "offset_s": float(s), "bps": 1e9}
            for n in range(trials)
            for s in range(3)
        ],
    }


_SHOWN = """
with v as (select run_id, count(*) as visits from visits group by all),
     s as (select run_id, count(*) as samples from samples group by all),
     t as (
        select run_id, count(*) as trials, count(distinct trial) as distinct_trials, list(distinct error) as writings
        from trials
        group by all
     )
select
    run_id, r.run_id is null as orphans, r.verdict, r.parameters ->> '$.writing' as writing,
    (r.parameters ->> '$.trials')::int as planned, visits, trials, distinct_trials, writings, samples
from runs as r full join t using (run_id) left join v using (run_id) left join s using (run_id)
"""


def shown(store: Store) -> dict[str, tuple[str, str | None]]:
    """What each run of a store is, (writing, verdict); fails where a run is not whole or is mixed."""
    with database.connect(store) as con:
        return shown_in(con)


def shown_in(con: database.Connection) -> dict[str, tuple[str, str | None]]:
    """What each run of a store is that is open, likewise."""
    found = query_rows(con, _SHOWN)
    for run in found:
        assert not run["orphans"], run
        assert run["visits"] == 1, run
        assert run["trials"] == run["distinct_trials"] == run["planned"], run
        assert run["writings"] == [run["writing"]], run
        assert run["samples"] == 3 * run["planned"], run
    assert len({run["run_id"] for run in found}) == len(found)
    return {run["run_id"]: (run["writing"], run["verdict"]) for run in found}


def write_older(store: Store, run_id: str, version: int = SCHEMA_VERSION) -> None:
    """A run of a program whose trials had no rtt_s, and whose nodes' usage had no steal_ratio."""
    store.write(run_id, rows(run_id, "x"))
    (trials,) = (f"trials/{file.name}" for file in store.files.list("trials") if file.name.startswith(f"{run_id}."))
    table = pq.read_table(pa.BufferReader(store.files.read(trials))).drop_columns(["rtt_s", "nodes"])
    usage = pa.array([[{"node": "a", "busy_ratio": 0.5}]] * table.num_rows)
    content = to_parquet([table.append_column("nodes", usage)])
    store.files.delete(trials)
    older = file_name("trials", run_id, content_digest(content))
    store.files.put(older, content)
    (name,) = (f"runs/{file.name}" for file in store.files.list("runs") if file.name.startswith(f"{run_id}."))
    row = pq.read_table(pa.BufferReader(store.files.read(name)))
    children = [child for child in row[FILES].to_pylist()[0] if not child.startswith("trials/")]
    for column, value in ((FILES, [*children, older]), ("schema_version", version)):
        place = row.column_names.index(column)
        row = row.set_column(place, row.schema.field(place), pa.array([value], row.schema.field(place).type))
    content = to_parquet([row])
    store.files.delete(name)
    store.files.put(file_name("runs", run_id, content_digest(content)), content)
