"""What a run says, kept beside its rows."""

import pyarrow as pa

from analysis import summary
from analysis.database import Connection, query
from analysis.schema import TABLES, arrow_schema
from analysis.store import Store
from analysis.summary import Summary


def keep(store: Store, con: Connection, said: Summary) -> None:
    """Put a summary into the row of its run. The run is written whole again, which is how the store stays whole.

    Args:
        store: where the run is.
        con: a connection to that store.
        said: the summary of the run.

    Raises:
        Unfit: the store can't be written.
    """
    tables = {table: _rows(con, table, said.run_id) for table in TABLES}
    runs = tables["runs"]
    index = runs.schema.get_field_index("verdict")
    tables["runs"] = runs.set_column(index, runs.schema.field(index), pa.array([summary.to_json(said)], pa.string()))
    store.write_tables(said.run_id, tables)


def find(store: Store, run_id: str) -> Summary | None:
    """What a run said; None where it came to no verdict, or to no row.

    Raises:
        Unfit: the store can't be read.
    """
    for runs in store.inventory().runs.values():
        for run in runs.select(["run_id", "verdict"]).to_pylist():
            if run["run_id"] == run_id:
                return None if run["verdict"] is None else summary.from_json(str(run["verdict"]))
    return None


def _rows(con: Connection, table: str, run_id: str) -> pa.Table:
    rows = query(con, f"select * from {table} where run_id = $run_id", {"run_id": run_id})  # noqa: S608 - our names
    return rows.cast(arrow_schema(table))
