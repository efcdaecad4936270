"""A calendar of runs: months of weeks of days, each day with its runs and its most urgent status. Pure."""

import calendar
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Final

from analysis.site.contents.runs import STATUSES, RunLine, RunStatus

WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_URGENCY: Final = {status: place for place, status in enumerate(STATUSES)}


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a month, with the runs that began on it, in UTC."""

    date: date
    runs: tuple[RunLine, ...] = ()

    @property
    def status(self) -> RunStatus | None:
        """The most urgent status of its runs; None: there were none."""
        return min((line.status for line in self.runs), key=_URGENCY.__getitem__, default=None)

    @property
    def chief(self) -> RunLine:
        """The last run of that status."""
        return next(line for line in reversed(self.runs) if line.status == self.status)


@dataclass(frozen=True, slots=True)
class Month:
    """A month: its weeks from Monday on, with None for the days of other months."""

    first: date
    weeks: tuple[tuple[Day | None, ...], ...]

    @property
    def title(self) -> str:
        """`March 2026`."""
        return f"{self.first:%B} {self.first.year}"


def months(lines: Iterable[RunLine]) -> list[Month]:
    """The months from the latest run back to the first; a month without any run is left out."""
    by_day: dict[date, list[RunLine]] = defaultdict(list)
    for line in lines:
        if line.started_at is not None:
            by_day[line.started_at.date()].append(line)
    wanted = sorted({(day.year, day.month) for day in by_day}, reverse=True)
    return [_month(year, month, by_day) for year, month in wanted]


def by_year(found: Iterable[Month]) -> list[tuple[int, list[Month]]]:
    """The months of each year, the latest first."""
    return [(year, list(each)) for year, each in groupby(found, key=lambda month: month.first.year)]


def _month(year: int, month: int, by_day: dict[date, list[RunLine]]) -> Month:
    weeks = calendar.Calendar().monthdayscalendar(year, month)
    return Month(
        date(year, month, 1),
        tuple(tuple(_day(date(year, month, number), by_day) if number else None for number in week) for week in weeks),
    )


def _day(day: date, by_day: dict[date, list[RunLine]]) -> Day:
    return Day(day, tuple(by_day.get(day, ())))
