"""What differs between two groups of runs beside the figures: method, provenance, load and time."""

import json
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import duckdb

from analysis import formatting
from analysis.stats import run
from analysis.stats.contrasts.run_groups import RunGroup
from analysis.stats.nights.history import Method
from analysis.stats.run import StoredRun

BesideKind = Literal["method", "provenance", "load", "time"]

UNKNOWN: Final = "unknown"

_NAMED_BEFORE: Final = frozenset({"environment", "profile"})
"""Parameters of a method that say nothing beyond the others."""

_LONGEST: Final = 160
_CLOSE_POINTS: Final = 0.01
"""Shares of CPU and of flagged trials that differ by less are alike."""

_CLOSE_RATIO: Final = 0.03
_DAY_H: Final = 24
_CLOSE_H: Final = 2


@dataclass(frozen=True, slots=True)
class Beside:
    """One thing that differs. `a`, `b`: what it is on either side, as text."""

    kind: BesideKind
    name: str
    a: str
    b: str

    @property
    def text(self) -> str:
        """In a line: `kernel 6.18.5 → 6.18.6`."""
        return f"{self.name} {self.a} → {self.b}"


def method_differences(a: RunGroup, b: RunGroup, method: Method, typed: Mapping[str, str]) -> dict[str, Beside]:
    """The options that decide what a trial measures, and are not the same in all runs, by the names of their fields.

    `typed`: field -> the option as it is typed, by which it is called here.
    """
    sides = [[method(one.parameters) for one in group.runs] for group in (a, b)]
    names = dict.fromkeys(name for side in sides for one in side for name in one if name not in _NAMED_BEFORE)
    found = {}
    for name in names:
        values = [_several(one.get(name, "none") for one in side) for side in sides]
        if values[0] != values[1] or len({_text(one.get(name, "none")) for one in sides[0]}) > 1:
            found[name] = Beside("method", typed.get(name, name), *values)
    return found


def provenance_differences(a: RunGroup, b: RunGroup, named: Collection[str]) -> list[Beside]:
    """The facts on machines and versions that differ between the sides, but for options that are named already."""
    sides = [[dict(_flat(one.provenance)) for one in group.runs] for group in (a, b)]
    names = dict.fromkeys(name for side in sides for one in side for name in one)
    found = [(name, *(_several(one.get(name) for one in side) for side in sides)) for name in names]
    return [Beside("provenance", name, one, two) for name, one, two in found if one != two and name not in named]


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, object]]:
    """A document's values by their names, those of nested documents and lists included."""
    for key, value in document.items():
        name = f"{prefix}{str(key)[:_LONGEST]}".replace("_", " ")
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{name}: ")
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            for place, item in enumerate(value, 1):
                yield from _flat(item, f"{name} {place}: ")
        else:
            yield name, value


def _several(values: Iterable[object]) -> str:
    """The values of a side's runs: one, or all of them with `or` between."""
    return " or ".join(dict.fromkeys(map(_text, values)))


def _text(value: object) -> str:
    if value is None or value in ("", [], {}):
        return UNKNOWN
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def load_differences(con: duckdb.DuckDBPyConnection, a: RunGroup, b: RunGroup) -> list[Beside]:
    """How busy others were, how many trials are flagged, and the level of the host network, where these differ."""
    (one, two) = (_load(con, group.run_ids) for group in (a, b))
    found = []
    for column, name in (("foreign", "CPU used by others"), ("flagged", "trials with a flag")):
        x, y = one[column], two[column]
        if x is not None and y is not None and abs(x - y) >= _CLOSE_POINTS:
            found.append(Beside("load", name, *(formatting.percent(value, sign=False) for value in (x, y))))
    found += filter(None, (_trials(one, two, name) for name in ("failed", "never ran")))
    x, y = one["canary"], two["canary"]
    if x and y and abs(y / x - 1) >= _CLOSE_RATIO:
        figures = [formatting.quantity(value, "bit/s") for value in (x, y)]
        found.append(Beside("load", "host network, mean of the visits' canaries", *figures))
    return found


def _trials(one: Mapping[str, Any], two: Mapping[str, Any], what: str) -> Beside | None:
    """How many trials failed, or never ran, as the reports of the runs count them; None where the shares are alike."""
    sides = [(side[what], side["trials"]) for side in (one, two)]
    if not all(total for _, total in sides):
        return None
    x, y = (count / total for count, total in sides)
    if abs(x - y) < _CLOSE_POINTS:
        return None
    return Beside("load", f"trials that {what}", *(f"{count} of {total}" for count, total in sides))


def _load(con: duckdb.DuckDBPyConnection, run_ids: Sequence[str]) -> dict[str, Any]:
    (row,) = run.query_rows(
        con,
        f"""select avg(foreign_cpu_ratio) as foreign,
                  avg((len(flags) > 0)::int) filter (t.outcome = 'measured') as flagged,
                  count(*) as trials,
                  count(*) filter ({run.OUTCOME} = 'failed') as failed,
                  count(*) filter ({run.OUTCOME} = 'not-run') as "never ran",
                  (select avg(coalesce(canary_before_bps, canary_after_bps)) from visits
                   where run_id in (select unnest($runs::varchar[]))) as canary
           from trials t left join visits v using (run_id, visit) left join runs r using (run_id)
           where t.run_id in (select unnest($runs::varchar[]))""",  # noqa: S608 - this program's own SQL
        runs=list(run_ids),
    )
    return row


def time_differences(a: RunGroup, b: RunGroup) -> list[Beside]:
    """When the runs began, and what kind of hour and day that was where it differs."""
    times = [[one.started_at for one in group.runs if one.started_at is not None] for group in (a, b)]
    shown = [_when(group.runs) for group in (a, b)]
    found = [Beside("time", "began", *shown)]
    if not all(times):
        return found
    hours = [statistics.median_high(at.hour + at.minute / 60 for at in side) for side in times]
    apart = abs(hours[0] - hours[1])
    if min(apart, _DAY_H - apart) > _CLOSE_H:
        found.append(Beside("time", "time of day", *(f"about {round(hour) % _DAY_H}:00 UTC" for hour in hours)))
    days = ["weekend" if all(at.isoweekday() > 5 for at in side) else "weekday" for side in times]  # noqa: PLR2004
    if days[0] != days[1]:
        found.append(Beside("time", "day", *days))
    return found


def _when(runs: Sequence[StoredRun]) -> str:
    known = sorted(one.started_at for one in runs if one.started_at is not None)
    if not known:
        return UNKNOWN
    first, last = (f"{at:%Y-%m-%d %H:%M} UTC" for at in (known[0], known[-1]))
    return first if first == last else f"{first} to {last}"
