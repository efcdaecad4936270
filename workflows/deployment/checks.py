"""Validation of the flags of `deploy`, before the first call to the cluster.

Most faults would show at night only: Argo accepts any text as a schedule, and a notification without an address is
missed when it is needed.
"""

import re
from typing import Final

from analysis.addresses import parse_webhook, site_problem
from analysis.errors import BadInput
from analysis.store.storage.urls import parse_url
from steps.catalogue.option_fields import items, nearest, shown_option
from steps.settings.environment import ACCEPTED, BESIDE
from workflows.flags.deploy import ADMISSION_MODES, GUARD_OFF, MINUTES_OF_AN_HOUR, DeployFlags

_NODE: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_GATEWAY: Final = re.compile(r"https?://[A-Za-z0-9.\[\]:-]{1,253}(/[A-Za-z0-9./_-]{0,100})?")
_LONGEST_NAME: Final = 253

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)
"""The fields of a schedule: meaning, bounds, and names of the numbers."""

_PART: Final = re.compile(
    r"(?P<low>\*|\?|[0-9]{1,2}|[a-z]{3})(-(?P<high>[0-9]{1,2}|[a-z]{3}))?(/(?P<step>[0-9]{1,2}))?"
)
_SHORT: Final = re.compile(r"@(yearly|annually|monthly|weekly|daily|midnight|hourly)")
_EVERY: Final = "@every "
_TIME: Final = re.compile(r"(?P<number>[0-9]{1,18}(?:\.[0-9]{1,18})?)(?P<unit>ns|us|µs|ms|s|m|h)")
_UNITS_S: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
"""Of Go's durations, by which Argo reads a time."""

_LONGEST_S: Final = 366 * 24 * 3600
_MINUTES: Final = re.compile(r"[1-9][0-9]?")


def check(flags: DeployFlags) -> None:
    """Refuse invalid flags.

    Raises:
        BadInput: a sentence for each fault, one a line.
    """
    faults = []
    if len(flags.environment) > _LONGEST_NAME or not flags.environment.isprintable():
        faults.append(f"ENVIRONMENT must be one line of at most {_LONGEST_NAME} characters.")
    if flags.outside and _NODE.fullmatch(flags.outside) is None:
        faults.append(f"OUTSIDE is {shown_option(flags.outside)}, which is no node's name: use a-z, 0-9, - and dots.")
    faults += [
        f"ACCEPT is {shown_option(word)}: {nearest(word, tuple(ACCEPTED))}"
        for word in items(flags.accept)
        if word not in ACCEPTED
    ]
    if flags.admission.strip() not in {"", *ADMISSION_MODES}:
        faults.append(f"ADMISSION is {shown_option(flags.admission)}: {nearest(flags.admission, ADMISSION_MODES)}")
    if flags.schedule.strip() and (fault := schedule_fault(flags.schedule)):
        faults.append(
            f"SCHEDULE is {shown_option(flags.schedule)}: {fault}, such as `0 2 * * *` for 2:00 UTC every night."
        )
    minutes = flags.guard.strip()
    if minutes not in {"", GUARD_OFF} and not _divides_an_hour(minutes):
        faults.append(
            f"GUARD is {shown_option(flags.guard)}: write {GUARD_OFF}, or a number of minutes that divides an hour, "
            "such as 1 or 5."
        )
    if flags.pushgateway.strip() and _GATEWAY.fullmatch(flags.pushgateway.strip()) is None:
        faults.append("PUSHGATEWAY must be an address such as http://pushgateway.monitoring:9091, without user info.")
    faults += _site_faults(flags.site.strip())
    for read in (
        lambda: flags.results.strip() and parse_url(flags.results),
        lambda: flags.notify_url.strip() and parse_webhook(flags.notify_url.strip(), "NOTIFY_URL"),
    ):
        try:
            read()
        except BadInput as problem:
            faults.append(str(problem))
    if faults:
        raise BadInput("\n".join(faults))


def _site_faults(site: str) -> list[str]:
    if site in {"", BESIDE}:
        return []
    if not site.lower().startswith("s3://"):
        return [
            f"SITE is {shown_option(site)}: write {BESIDE} or s3://BUCKET/PREFIX, since a pod has no folder to keep."
        ]
    try:
        parse_url(site)
    except BadInput as problem:
        return [site_problem(str(problem))]
    return []


def _divides_an_hour(text: str) -> bool:
    return _MINUTES.fullmatch(text) is not None and MINUTES_OF_AN_HOUR % int(text) == 0


def schedule_fault(text: str) -> str | None:
    """Why a schedule is invalid, by the syntax of cron that Argo accepts; None: it is valid."""
    text = text.strip()
    if text.startswith(_EVERY):
        return _time_fault(text.removeprefix(_EVERY))
    if text.startswith("@"):
        return None if _SHORT.fullmatch(text) else "write @daily, @hourly, @weekly, or five fields"
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"it has {len(fields)} fields, and cron has five: minute, hour, day, month, day of the week"
    for value, (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        for part in value.lower().split(","):
            if not _is_part(part, low, high, names):
                return f"its {name} {shown_option(value)} is none: write *, or numbers from {low} to {high}"
    return None


def _time_fault(text: str) -> str | None:
    parts = list(_TIME.finditer(text))
    whole = "".join(part[0] for part in parts)
    total_s = sum(float(part["number"]) * _UNITS_S[part["unit"]] for part in parts)
    if whole == text and 1 <= round(total_s, 9) <= _LONGEST_S:
        return None
    return "write a time of at least 1 s and at most a year, by the units ns, us, ms, s, m and h: @every 12h"


def _is_part(part: str, low: int, high: int, names: tuple[str, ...]) -> bool:
    matched = _PART.fullmatch(part)
    if matched is None or (matched["low"] in {"*", "?"} and matched["high"]):
        return False
    if matched["step"] and int(matched["step"]) == 0:
        return False
    ends = [end for end in (matched["low"], matched["high"]) if end and end not in {"*", "?"}]
    numbers = [int(end) if end.isdigit() else low + names.index(end) if end in names else -1 for end in ends]
    return all(low <= number <= high for number in numbers) and numbers == sorted(numbers)
