"""The tables of the report: figures as text with three significant digits, one unit for each column."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from analysis import flags, formatting
from analysis.charts import ChartData
from analysis.domain import CELL
from analysis.flags import FigureKind
from analysis.metrics import METRICS

_FOLD: Final = 250
"""A table with more trials than this is folded by round."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A column of the table of trials: header with unit, SQL over `trials`, kind (None: not measured), divisor."""

    header: str
    sql: str
    kind: FigureKind | None
    divisor: float


def _figures() -> Iterator[Figure]:
    """The offered rate, then the metrics that have a table column."""
    yield Figure("offered, Gbit/s", "offered_bps", None, formatting.multiple("Gbit/s"))
    shown = [(metric.table, metric) for metric in METRICS if metric.table is not None]
    for column, metric in sorted(shown, key=lambda pair: pair[0].place):
        header = f"{column.header}, {column.unit}" if column.unit else column.header
        yield Figure(header, metric.trial_sql, metric.kind, formatting.multiple(column.unit))


_FIGURES: Final = tuple(_figures())


def trials(data: ChartData) -> dict[str, Any]:
    """Every trial; columns without any figure are left out.

    Returns:
        `headers` of the figures, and `folds`: a title (empty for an unfolded table) and its rows.
    """
    columns = ", ".join(f"cast({figure.sql} as double) as figure_{n}" for n, figure in enumerate(_FIGURES))
    found = data.query(
        f"""select t.trial, t.visit, v.round, v.dataplane_requested as dataplane, {CELL},
                   t.position, t.repetition, t.outcome,
                   coalesce(t.error, case when v.proof is distinct from 'proven' then v.proof_reason end)
                   as error, t.flags, {columns}
            from trials t left join visits v using (run_id, visit) where t.run_id = $run_id order by t.trial"""  # noqa: S608 - the columns are this module's
    )
    used = [n for n in range(len(_FIGURES)) if any(row[f"figure_{n}"] is not None for row in found)]
    rows = [
        {
            **row,
            "dataplane": row["dataplane"] or "–",
            "path": data.path(row),
            "error": row["error"] if row["outcome"] == "measured" or row["error"] else row["outcome"],
            "flags": ", ".join(row["flags"] or ()),
            "figures": [
                _figure(row[f"figure_{n}"], _FIGURES[n].divisor, _mark(row["flags"], _FIGURES[n].kind)) for n in used
            ],
        }
        for row in found
    ]
    headers = [_FIGURES[n].header for n in used]
    if len(rows) <= _FOLD:
        return {"headers": headers, "folds": [{"title": "", "rows": rows}] if rows else []}
    folds: dict[int | None, list[dict[str, Any]]] = {}
    for row in rows:
        folds.setdefault(row["round"], []).append(row)
    return {
        "headers": headers,
        "folds": [{"title": f"Round {n}: {formatting.count(len(r), 'trial')}", "rows": r} for n, r in folds.items()],
    }


def _mark(carried: Sequence[str] | None, kind: FigureKind | None) -> str:
    if kind is None:
        return ""
    return flags.VOID if flags.is_voided(carried, kind) else flags.MARKED if flags.is_marked(carried, kind) else ""


def _figure(value: float | None, divisor: float, mark: str = "") -> str:
    return "" if value is None else formatting.digits(value / divisor) + mark


def visits(data: ChartData) -> list[dict[str, Any]]:
    """Every visit."""
    found = data.query("select * from visits where run_id = $run_id order by visit")
    return [
        {
            **row,
            "requested": row["dataplane_requested"] or "–",
            "observed": row["dataplane_observed"] or "unknown",
            "proof": row["proof"] or "not checked",
            "reason": row["error"] or row["proof_reason"],
            "switch": _figure(row["switch_s"], 1.0),
            "settle": _figure(row["settle_s"], 1.0),
            "dropped": _dropped(row),
            "before": _figure(row["canary_before_bps"], 1e9),
            "after": _figure(row["canary_after_bps"], 1e9),
        }
        for row in found
    ]


def _dropped(row: dict[str, Any]) -> str:
    dropped, held = row["connections_dropped"], row["connections_held"]
    return "" if dropped is None else str(dropped) if held is None else f"{dropped} of {held}"


def flat(document: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A document as rows of name and value; missing values are `unknown`."""
    rows: list[tuple[str, str]] = []
    for key, value in document.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, dict) and value:
            rows += flat(value, f"{name}: ")
        elif value is None or value in ({}, []):
            rows.append((name, "unknown"))
        elif isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
            rows.append((name, ", ".join(str(item) for item in value)))
        else:
            rows.append((name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    return rows
