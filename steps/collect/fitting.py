"""Rows that do not fit their table: they become failed rows, so that the others can be stored. Pure."""

from typing import Final

from analysis.errors import BadInput
from analysis.store.files.arrow import KEYS, to_table
from steps.catalogue.factors import Scale
from steps.collect import Row
from steps.domain import Trial

_PLANNED: Final = (
    "run_id",
    *(name for name in Trial.model_fields if name not in {"scale", "duration_s"}),
    *Scale.model_fields,
)
"""The columns of a trial that are known before it is measured."""


def fit(tables: dict[str, list[Row]], run_id: str) -> None:
    """Make every row fit its table.

    A trial with a figure or a sample that can't be stored becomes a failed one with that reason, without samples. In
    the rows of visits and runs such a column becomes null; a visit's error gives the reason. `tables`: `visits`,
    `trials`, `samples` and `runs` of one run; changed in place.
    """
    tables["runs"] = [_without_faults("runs", run_id, row)[0] for row in tables["runs"]]
    if _fault("visits", run_id, tables["visits"]):
        tables["visits"] = [_visit(run_id, row) for row in tables["visits"]]
    faults: dict[object, str] = {}
    for table in ("samples", "trials"):
        # a whole table is checked first, since checking each row takes a hundred times as long
        if _fault(table, run_id, tables[table]):
            for row in tables[table]:
                if (fault := _fault(table, run_id, [row])) is not None:
                    faults.setdefault(row["trial"], fault)
    if faults:
        tables["samples"] = [row for row in tables["samples"] if row["trial"] not in faults]
        tables["trials"] = [
            _failed(row, faults[row["trial"]]) if row["trial"] in faults else row for row in tables["trials"]
        ]


def _failed(row: Row, fault: str) -> Row:
    return {**{name: row[name] for name in _PLANNED}, "outcome": "failed", "error": f"it can't be stored: {fault}"}


def _visit(run_id: str, row: Row) -> Row:
    kept, faults = _without_faults("visits", run_id, row)
    return {**kept, "error": kept.get("error") or f"it can't be stored: {faults[0]}"} if faults else row


def _without_faults(table: str, run_id: str, row: Row) -> tuple[Row, list[str]]:
    """The row without the columns that can't be stored, and the reasons."""
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
