"""Objects of Kubernetes in memory, their versions, and the events of a watch."""

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from tests.steps.kube.fakes.answers import Key, Object, Watch
from tests.steps.kube.fakes.patches import Ownership, copied
from tests.steps.kube.fakes.requests import stamp


class Objects:
    """Objects, their versions and events. `after` is called after each write, as controllers are."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.objects: dict[Key, Object] = {}
        self.kinds: dict[tuple[str, str], tuple[str, str]] = {}
        self.events: list[tuple[int, Key, Object | None, Object | None]] = []
        """Version, what it is of, what that was before (if it was there) and after (if it is)."""
        self.ownership: dict[Key, Ownership] = {}
        self.compacted = 0
        self.logs: dict[tuple[str, str], list[tuple[datetime, str]]] = {}
        self.initializing: set[tuple[str, str]] = set()
        """Pods whose containers have not started, by namespace and name."""
        self.after: Callable[[], None] = lambda: None
        self.down: set[str] = set()
        """Nodes whose kubelet does not answer: no log can be read there, and no pod ends unless it is forced to."""
        self.stuck: set[str] = set()
        """Nodes that are well, but for pods that do not end unless they are forced to."""
        self.shift = timedelta()
        self.stopped: datetime | None = None
        self._versions = itertools.count(100)

    def now(self) -> datetime:
        """The server's clock: real time, or where `stop_clock` was called only what `advance` adds."""
        return (self.stopped or datetime.now(UTC)) + self.shift

    def stop_clock(self) -> None:
        self.stopped = datetime(2026, 11, 23, 6, 0, 0, tzinfo=UTC)

    def advance(self, seconds: float) -> None:
        """Pass time; what controllers do then is done."""
        self.shift += timedelta(seconds=seconds)
        self.after()

    def serve(self, group: str, version: str, plural: str, kind: str) -> None:
        """Know a kind of objects."""
        self.kinds[group, plural] = (version, kind)

    def put(self, group: str, plural: str, found: Object) -> Object:
        """Have an object, as a controller or an administrator would write it."""
        with self.changed:
            meta = found.setdefault("metadata", {})
            key = (group, plural, meta.get("namespace", ""), meta["name"])
            version, kind = self.kinds[group, plural]
            found.setdefault("apiVersion", f"{group}/{version}" if group else version)
            found.setdefault("kind", kind)
            meta.setdefault("uid", str(uuid.uuid4()))
            meta.setdefault("creationTimestamp", stamp(self.now()))
            meta.setdefault("generation", 1)
            self._note(key, found)
            return found

    def take(self, group: str, plural: str, namespace: str, name: str) -> None:
        """Have an object no more."""
        with self.changed:
            key = (group, plural, namespace, name)
            if found := self.objects.get(key):
                self._note(key, found, is_gone=True)

    def find(self, group: str, plural: str, namespace: str, name: str) -> Object | None:
        return self.objects.get((group, plural, namespace, name))

    def all(self, group: str, plural: str, namespace: str = "") -> list[Object]:
        return [
            found
            for key, found in sorted(self.objects.items())
            if key[:2] == (group, plural) and (not namespace or key[2] == namespace)
        ]

    def say(self, namespace: str, pod: str, line: str) -> None:
        """Add to a pod's log."""
        self.logs.setdefault((namespace, pod), []).append((self.now(), line))

    def stream(self, watch: Watch) -> Iterator[Object]:
        """The events of a watch as they happen, until its time is up."""
        version = watch.version
        end = datetime.now(UTC) + timedelta(seconds=watch.timeout_s)
        while datetime.now(UTC) < end:
            with self.changed:
                if version < self.compacted:
                    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
                    yield {"type": "ERROR", "object": status}
                    return
                new = [e for e in self.events if e[0] > version]
                if not new:
                    self.changed.wait(0.05)
                    continue
            for version, key, before, after in new:
                if key[:2] != (watch.group, watch.plural) or watch.namespace not in {"", key[2]}:
                    continue
                was, is_ = (found if found and watch.selects(found) else None for found in (before, after))
                if is_ is not None:
                    yield {"type": "ADDED" if was is None else "MODIFIED", "object": is_}
                elif was is not None:  # deleted, or chosen no more
                    yield {
                        "type": "DELETED",
                        "object": {**was, "metadata": {**was["metadata"], "resourceVersion": str(version)}},
                    }

    def compact(self) -> None:
        """Forget events, so that a watch from an earlier version gets 410 Gone."""
        self.compacted = next(self._versions)
        self.events.clear()

    def _note(self, key: Key, found: Object, *, is_gone: bool = False) -> Object:
        version, before = next(self._versions), self.objects.get(key)
        found = copied(found)
        found["metadata"]["resourceVersion"] = str(version)
        if is_gone:
            del self.objects[key]
            self.ownership.pop(key, None)
        else:
            self.objects[key] = found
        self.events.append((version, key, before, None if is_gone else found))
        self.changed.notify_all()
        return found

    def _latest(self) -> int:
        return max([self.compacted, *(version for version, *_ in self.events)])
