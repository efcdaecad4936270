"""What was asked of a deployment, held against what each flag may say before anything is asked of the cluster.

Whatever is wrong here would be found at night only: Argo takes any text for a schedule, and a notification that has no
address is missed when it would be needed.
"""

import re
from typing import Final

from analysis.addresses import parse_webhook
from analysis.errors import BadInput
from steps.catalogue.option_fields import items, nearest, shown_option
from workflows.flags.deploy import DeployFlags

_ACCEPTED: Final = ("gitops",)
_NODE: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
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
"""Of a schedule: what each field is, its bounds, and the names that its numbers have."""

_PART: Final = re.compile(
    r"(?P<low>\*|\?|[0-9]{1,2}|[a-z]{3})(-(?P<high>[0-9]{1,2}|[a-z]{3}))?(/(?P<step>[0-9]{1,2}))?"
)
_SHORT: Final = re.compile(r"@(yearly|annually|monthly|weekly|daily|midnight|hourly|every [0-9a-zµ.]{2,20})")


def check(asked: DeployFlags) -> None:
    """Refuse what no deployment can be given.

    Raises:
        BadInput: a sentence for each fault, one a line.
    """
    faults = []
    if len(asked.environment) > _LONGEST_NAME or not asked.environment.isprintable():
        faults.append(f"ENVIRONMENT must be one line of at most {_LONGEST_NAME} characters.")
    if asked.outside and _NODE.fullmatch(asked.outside) is None:
        faults.append(f"OUTSIDE is {shown_option(asked.outside)}, which is no node's name: use a-z, 0-9, - and dots.")
    faults += [
        f"ACCEPT is {shown_option(word)}: {nearest(word, _ACCEPTED)}"
        for word in items(asked.accept)
        if word not in _ACCEPTED
    ]
    if asked.schedule.strip() and (fault := schedule_fault(asked.schedule)):
        faults.append(
            f"SCHEDULE is {shown_option(asked.schedule)}: {fault}, such as `0 2 * * *` for 2:00 UTC every night."
        )
    if asked.notify_url.strip():
        try:
            parse_webhook(asked.notify_url.strip(), "NOTIFY_URL")
        except BadInput as problem:
            faults.append(str(problem))
    if faults:
        raise BadInput("\n".join(faults))


def schedule_fault(text: str) -> str | None:
    """Why a schedule is none that cron, as Argo reads it, takes; None if it is one."""
    if text.strip().startswith("@"):
        return None if _SHORT.fullmatch(text.strip()) else "write @daily, @hourly, @weekly, or five fields"
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"it has {len(fields)} fields, and cron has five: minute, hour, day, month, day of the week"
    for value, (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        for part in value.lower().split(","):
            if not _is_part(part, low, high, names):
                return f"its {name} {shown_option(value)} is none: write *, or numbers from {low} to {high}"
    return None


def _is_part(part: str, low: int, high: int, names: tuple[str, ...]) -> bool:
    matched = _PART.fullmatch(part)
    if matched is None or (matched["low"] in {"*", "?"} and matched["high"]):
        return False
    if matched["step"] and int(matched["step"]) == 0:
        return False
    ends = [end for end in (matched["low"], matched["high"]) if end and end not in {"*", "?"}]
    numbers = [int(end) if end.isdigit() else low + names.index(end) if end in names else -1 for end in ends]
    return all(low <= number <= high for number in numbers) and numbers == sorted(numbers)
