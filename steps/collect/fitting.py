"""Rows that no table can take cost themselves only. Pure.

A table is written whole, so one figure beyond its column would take every row of the run with it.
"""

from typing import Final

from analysis.errors import BadInput
from analysis.store.arrow import KEYS, to_table

Row = dict[str, object]

_PLANNED: Final = (
    "run_id",
    "visit",
    "trial",
    "position",
    "topology",
    "tool",
    "transport",
    "direction",
    "streams",
    "offered_bps",
    "repetition",
)
"""What is known of a trial before it is measured."""


def fit(tables: dict[str, list[Row]], run_id: str) -> None:
    """Make every row one that its table takes.

    A trial with a figure that can't be stored, or with such a sample, becomes a failed one with that reason, and loses
    its samples. Of a visit or of the run such a column becomes null, and of a visit its error says so.

    Args:
        tables: `visits`, `trials`, `samples` and `runs` of one run; changed in place.
        run_id: the run.
    """
    tables["runs"] = [_without_faults("runs", run_id, row)[0] for row in tables["runs"]]
    if _fault("visits", run_id, tables["visits"]):
        tables["visits"] = [_visit(run_id, row) for row in tables["visits"]]
    faults: dict[object, str] = {}
    for table in ("samples", "trials"):
        if not _fault(table, run_id, tables[table]):
            continue
        for row in tables[table]:
            if (fault := _fault(table, run_id, [row])) is not None:
                faults.setdefault(row["trial"], fault)
    if faults:
        tables["samples"] = [row for row in tables["samples"] if row["trial"] not in faults]
        tables["trials"] = [_failed(row, faults.get(row["trial"])) for row in tables["trials"]]


def _failed(row: Row, fault: str | None) -> Row:
    if fault is None:
        return row
    return {**{name: row[name] for name in _PLANNED}, "outcome": "failed", "error": f"it can't be stored: {fault}"}


def _visit(run_id: str, row: Row) -> Row:
    kept, faults = _without_faults("visits", run_id, row)
    return {**kept, "error": kept.get("error") or f"it can't be stored: {faults[0]}"} if faults else row


def _without_faults(table: str, run_id: str, row: Row) -> tuple[Row, list[str]]:
    """The row without the columns that can't be stored, and why they can't."""
    if _fault(table, run_id, [row]) is None:
        return row, []
    keys = {name: row[name] for name in KEYS[table]}
    faults = {
        name: fault
        for name, value in row.items()
        if name not in keys and (fault := _fault(table, run_id, [{**keys, name: value}])) is not None
    }
    return {name: value for name, value in row.items() if name not in faults}, list(faults.values())


def _fault(table: str, run_id: str, rows: list[Row]) -> str | None:
    try:
        to_table(table, run_id, rows)
    except BadInput as error:
        return str(error)
    return None
