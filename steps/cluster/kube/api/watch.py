"""Watch objects of a cluster: one deadline, one pause and one way with errors, for all who wait for objects.

A watch begins with a look at what is there and goes on with the events since. One that breaks, ends, or is refused
because its version is too old (410) begins again with a new look. Calls that fail are the transport's to repeat, so
that an error of a look ends the watch: then the API server was away for longer than the client's patience.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from steps.cluster.kube.api.errors import ExpiredError, TransientError
from steps.cluster.kube.api.retries import LONGEST_PAUSE_S

Object = dict[str, Any]
Objects = list[Object]

LONGEST_S: Final = 60.0
"""When the API server is asked to end a watch, so that a connection that died in silence is noticed."""

SLACK_S: Final = 5.0
"""How much later than that the end may come."""

_FIRST_PAUSE_S: Final = 0.1

Look = Callable[[], tuple[Objects, str]]
"""The objects that are there, and the version to watch from."""

Events = Callable[[str, int], Iterator[Object]]
"""The events since a version, for so many seconds."""


def changes(
    look: Look, events: Events, timeout_s: float | None = None, every_s: float = LONGEST_S
) -> Iterator[Objects]:
    """All objects as they are now, and again after each change, until time is up.

    Args:
        look: what is there.
        events: what happens from then on.
        timeout_s: after this there is one more look; None: there is no limit.
        every_s: they are looked at anew at least so often, to the second, for those who wait for time to pass, too.

    Raises:
        Problem: what a look raises.
    """
    end = None if timeout_s is None else time.monotonic() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while True:
        items, version = look()
        seen = {item["metadata"]["uid"]: item for item in items}
        yield [*seen.values()]
        left_s = LONGEST_S if end is None else end - time.monotonic()
        if left_s <= 0:
            return
        try:
            for event in events(version, max(1, round(min(LONGEST_S, every_s, left_s)))):
                pause_s = _FIRST_PAUSE_S
                _take_in(event, seen)
                yield [*seen.values()]
            pause_s = _FIRST_PAUSE_S
        except (TransientError, ExpiredError):
            pass  # one that breaks before its first event, again and again, gets longer pauses
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def parsed(lines: Iterable[bytes], what: str) -> Iterator[Object]:
    """The events of a watch's answer.

    Args:
        lines: of the answer.
        what: the cluster and what is watched, for sentences.

    Raises:
        TransientError: an event was cut.
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


def _take_in(event: Object, seen: dict[str, Object]) -> None:
    changed = event.get("object", {})
    uid = changed.get("metadata", {}).get("uid")
    if event.get("type") in {"ADDED", "MODIFIED"}:
        seen[uid] = changed
    elif event.get("type") == "DELETED":
        seen.pop(uid, None)
