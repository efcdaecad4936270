"""Watches of a cluster's objects, with one deadline and one way to handle errors.

A watch begins with a list and continues with the events since. When it breaks, ends, or its version is too old (410),
it begins again with a new list. The transport retries the list, so that an error of it ends the watch: the API server
was unreachable for longer than the client's patience.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from steps.cluster.kube.api.errors import ExpiredError, TransientError
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.retries import LONGEST_PAUSE_S

Objects = list[Object]

LONGEST_S: Final = 60.0
"""The longest watch that is requested, so that a silently broken connection is noticed."""

SLACK_S: Final = 5.0
"""How much later the end may come."""

_FIRST_PAUSE_S: Final = 0.1

ListObjects = Callable[[], tuple[Objects, str]]
"""The objects, and the version to watch from."""

Events = Callable[[str, int], Iterator[Object]]
"""The events since a version, for so many seconds."""


def changes(
    list_objects: ListObjects, events: Events, timeout_s: float | None = None, every_s: float = LONGEST_S
) -> Iterator[Objects]:
    """All objects now, and again after each change, until the timeout.

    Args:
        list_objects: lists the objects.
        events: the events since a version.
        timeout_s: after it the objects are listed once more; None: no limit.
        every_s: how often the objects are listed at least, for conditions that depend on time.

    Raises:
        Problem: of `list_objects`.
    """
    end = None if timeout_s is None else time.monotonic() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while True:
        items, version = list_objects()
        known = {item["metadata"]["uid"]: item for item in items}
        yield [*known.values()]
        left_s = LONGEST_S if end is None else end - time.monotonic()
        if left_s <= 0:
            return
        try:
            for event in events(version, max(1, round(min(LONGEST_S, every_s, left_s)))):
                pause_s = _FIRST_PAUSE_S
                _apply(event, known)
                yield [*known.values()]
            pause_s = _FIRST_PAUSE_S
        except (TransientError, ExpiredError):
            pass  # watches that break before their first event get longer pauses
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def parsed(lines: Iterable[bytes], what: str) -> Iterator[Object]:
    """The events of a watch's answer.

    `what`: the cluster and what is watched, for messages.

    Raises:
        TransientError: an event is incomplete.
        ExpiredError: the watch fell behind.
    """
    for line in lines:
        try:
            event: Object = json.loads(line)
        except ValueError:
            raise TransientError(f"{what} was cut in the middle of an event.") from None
        if event.get("type") == "ERROR":
            raise ExpiredError(f"{what} fell behind.", event.get("object", {}).get("code", 0))
        yield event


def _apply(event: Object, known: dict[str, Object]) -> None:
    changed = event.get("object", {})
    uid = changed.get("metadata", {}).get("uid")
    if event.get("type") in {"ADDED", "MODIFIED"}:
        known[uid] = changed
    elif event.get("type") == "DELETED":
        known.pop(uid, None)
