"""The runs of a store, a line each: what calendars, lists and the search say of them, and a digest of their rows."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import duckdb
from pydantic import BaseModel, ConfigDict, ValidationError

from analysis.site.contents.verdicts import Verdicts
from analysis.site.names import digest
from analysis.statements.execution import rows_of
from analysis.stats.change_points.step_search import RECENT
from analysis.stats.nights.history import Method
from analysis.stats.nights.regressions import LevelChange

RunStatus = Literal["worse", "suspected", "nothing", "failures", "better", "quiet", "unread"]

STATUSES: Final[dict[RunStatus, tuple[str, str]]] = {
    "worse": ("▼", "worse than the nights before"),
    "suspected": ("?", "a change is suspected"),
    "nothing": ("✕", "nothing was measured"),
    "failures": ("!", "measured with failures"),
    "better": ("▲", "better than the nights before"),
    "quiet": ("●", "measured, no news"),
    "unread": ("–", "not analysed"),
}
"""How a run ended, the most urgent first: its sign, and the sign in words."""

_COLUMNS: Final = (
    "run_id",
    "started_at",
    "finished_at",
    "environment",
    "trigger",
    "seed",
    "parameters",
    "provenance",
)


class _Verdict(BaseModel):
    """What is read of a stored summary. Not strict: infinite bounds are stored as texts."""

    model_config = ConfigDict(extra="ignore")

    headline: str
    outcome: Literal["measured", "measured-with-failures", "nothing-measured"]
    interrupted: bool = False
    changes: tuple[LevelChange, ...] = ()


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run in a line.

    Attributes:
        run_id: the run.
        environment: as stored; empty: none was.
        started_at: when it began; None: unknown.
        trigger: local, nightly or submitted; empty: unknown.
        profile: how much it measured; empty: unknown.
        label: the word by which to find it; empty: none.
        dataplanes: their titles.
        headline: the answer's sentence, or why there is none.
        status: how it ended.
        changes: from night to night, as its verdict has them.
        series: alike for the runs of one environment, trigger and method, which are nights of one history.
        digest: of its row in `runs`.
    """

    run_id: str
    environment: str
    started_at: datetime | None
    trigger: str
    profile: str
    label: str
    dataplanes: tuple[str, ...]
    headline: str
    status: RunStatus
    changes: tuple[LevelChange, ...]
    series: str
    digest: str

    @property
    def sign(self) -> str:
        """The sign of its status."""
        return STATUSES[self.status][0]

    @property
    def word(self) -> str:
        """Its status in words."""
        return STATUSES[self.status][1]

    @property
    def when(self) -> str:
        """When it began: `3 March 2026, 22:00`."""
        return f"{self.started_at:%-d %B %Y, %H:%M}" if self.started_at else "time unknown"


def read_lines(con: duckdb.DuckDBPyConnection, verdicts: Verdicts, method: Method) -> list[RunLine]:
    """Every run of the store, the earliest first; runs of unknown time come before all others."""
    columns = ", ".join(_COLUMNS)
    found = rows_of(con, f"select {columns} from runs order by started_at nulls first, run_id")  # noqa: S608 - own columns
    return [_line(row, verdicts.get(row["run_id"]), method) for row in found.to_pylist()]


def _line(row: dict[str, Any], stored: str | None, method: Method) -> RunLine:
    verdict = _verdict(stored)
    parameters = json.loads(row["parameters"] or "{}")  # which the store has checked
    dataplanes = parameters.get("dataplanes") or ()
    measured_by = json.dumps(method(parameters), sort_keys=True, default=str)
    return RunLine(
        run_id=row["run_id"],
        environment=row["environment"] or "",
        started_at=row["started_at"],
        trigger=row["trigger"] or "",
        profile=parameters.get("profile") or "",
        label=(parameters.get("label") or "").strip(),
        dataplanes=tuple(one if isinstance(one, str) else one.get("title") or one["name"] for one in dataplanes),
        headline=verdict.headline if verdict else NO_VERDICT if stored is None else BAD_VERDICT,
        status=_status(verdict),
        changes=verdict.changes if verdict else (),
        series=digest(row["environment"], row["trigger"], measured_by),
        digest=digest(*(row[column] for column in _COLUMNS), stored),
    )


NO_VERDICT: Final = "This run is stored and not analysed yet."
BAD_VERDICT: Final = "The stored verdict of this run can't be read."


def _verdict(text: str | None) -> _Verdict | None:
    try:
        return None if text is None else _Verdict.model_validate_json(text)
    except ValidationError:
        return None


def _status(verdict: _Verdict | None) -> RunStatus:
    if verdict is None:
        return "unread"
    if verdict.outcome == "nothing-measured":
        return "nothing"
    news = {change.status for change in verdict.changes if change.nights_since <= RECENT}
    if "regression" in news:
        return "worse"
    if verdict.interrupted or verdict.outcome == "measured-with-failures":
        return "failures"
    return "suspected" if "suspected" in news else "better" if "improvement" in news else "quiet"
