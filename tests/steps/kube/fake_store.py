"""Kubernetes' API semantics on objects in memory: what a request does, and what the answer is. No sockets."""

import copy
import itertools
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Object = dict[str, Any]
Key = tuple[str, str, str, str]
"""Group, plural, namespace (empty for the cluster's) and name."""

_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)
_REASONS = {404: "NotFound", 409: "Conflict", 403: "Forbidden", 410: "Expired", 415: "UnsupportedMediaType"}


@dataclass
class Answer:
    """One HTTP answer; `watch` is set where the body is a stream of events from that version on."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    watch: "Watch | None" = None


@dataclass(frozen=True)
class Watch:
    """What a watch follows."""

    group: str
    plural: str
    namespace: str
    selects: Callable[[Object], bool]
    version: int
    timeout_s: float


@dataclass(frozen=True)
class Request:
    """One request as it came in; `verb` as RBAC calls it."""

    verb: str
    group: str
    plural: str
    namespace: str
    name: str
    sub: str


class Store:
    """Objects, their versions and events. `after` is called after each write, as controllers are."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.objects: dict[Key, Object] = {}
        self.kinds: dict[tuple[str, str], tuple[str, str]] = {}
        self.events: list[tuple[int, str, Key, Object]] = []
        self.compacted = 0
        self.logs: dict[tuple[str, str], list[tuple[datetime, str]]] = {}
        self.requests: list[Request] = []
        self.tried: list[Request] = []
        self.denied: Callable[[Request], bool] = lambda _request: False
        self.admission: Callable[[Request, Any], str | None] = lambda _request, _body: None
        self.after: Callable[[], None] = lambda: None
        self.shift = timedelta()
        self.stopped: datetime | None = None
        self.page = 500
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
            meta.setdefault("creationTimestamp", _stamp(self.now()))
            meta.setdefault("generation", 1)
            self._note("MODIFIED" if key in self.objects else "ADDED", key, found)
            return found

    def take(self, group: str, plural: str, namespace: str, name: str) -> None:
        """Have an object no more."""
        with self.changed:
            key = (group, plural, namespace, name)
            if found := self.objects.pop(key, None):
                self._note("DELETED", key, found, keep=False)

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

    def handle(self, method: str, target: str, body: bytes = b"", content: str = "") -> Answer:
        """Answer one request."""
        parts = urlsplit(target)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        with self.changed:
            kept = self._kept() if query.get("dryRun") == "All" else None
            answer = self._answer(method, parts.path, query, json.loads(body) if body else None, content)
            if kept is not None:
                self._keep(*kept)
            elif method in {"POST", "PATCH", "PUT", "DELETE"} and answer.status < 300:
                self.after()
        answer.headers.setdefault("Content-Type", "application/json")
        answer.headers["Date"] = format_datetime(self.now().replace(microsecond=0), usegmt=True)
        return answer

    def _kept(self) -> tuple[dict[Key, Object], int]:
        return dict(self.objects), len(self.events)

    def _keep(self, objects: dict[Key, Object], events: int) -> None:
        """What a dry run did is undone: the server answers as if, and keeps nothing."""
        self.objects = objects
        del self.events[events:]

    def stream(self, watch: Watch) -> Iterator[Object]:
        """The events of a watch as they happen, until its time is up."""
        version = watch.version
        end = datetime.now(UTC) + timedelta(seconds=watch.timeout_s)
        while datetime.now(UTC) < end:
            with self.changed:
                if version < self.compacted:
                    yield {"type": "ERROR", "object": _status(410, "too old resource version")}
                    return
                new = [e for e in self.events if e[0] > version]
                if not new:
                    self.changed.wait(0.05)
                    continue
            for version, kind, key, found in new:  # noqa: B007 - the last version is where to go on
                fits = key[:2] == (watch.group, watch.plural) and watch.namespace in {"", key[2]}
                if fits and watch.selects(found):
                    yield {"type": kind, "object": found}

    def compact(self) -> None:
        """Forget events, so that a watch from an earlier version is told 410."""
        self.compacted = next(self._versions)
        self.events.clear()

    def _answer(self, method: str, path: str, query: dict[str, str], body: Any, content: str) -> Answer:  # noqa: ANN401
        matched = _PATH.fullmatch(path)
        if matched is not None:
            return self._resource(method, matched, query, body, content)
        if path == "/version":
            return _json(200, {"gitVersion": "v1.35.4"})
        return _json(200, {"kind": "APIGroupList", "groups": self._groups()}) if path == "/apis" else _unknown()

    def _resource(
        self,
        method: str,
        matched: re.Match[str],
        query: dict[str, str],
        body: Any,  # noqa: ANN401 - JSON
        content: str,
    ) -> Answer:
        group, plural = matched["group"] or "", matched["plural"]
        namespace, name = unquote(matched["namespace"] or ""), unquote(matched["name"] or "")
        verb = _verb(method, name, query)
        request = Request(verb, group, plural, namespace, name or _name_of(body), matched["sub"] or "")
        (self.tried if query.get("dryRun") == "All" else self.requests).append(request)
        if plural == "selfsubjectaccessreviews":
            return self._review(body)
        if (group, plural) not in self.kinds:
            return _unknown()
        if (refusal := self.admission(request, body)) and method in {"POST", "PATCH", "PUT", "DELETE"}:
            return _json(403 if "denied" in refusal else 400, _status(400, refusal))
        if self.denied(request):
            text = (
                f'{plural} "{name}" is forbidden: User "test" cannot {verb} resource "{plural}" in API group "{group}"'
            )
            return _json(403, _status(403, text))
        key = (group, plural, namespace, name)
        if matched["sub"] == "log":
            return self._log(namespace, name, query)
        manager = query.get("fieldManager", "")
        answers: dict[str, Callable[[], Answer]] = {
            "list": lambda: self._list(group, plural, namespace, query),
            "watch": lambda: self._list(group, plural, namespace, query),
            "get": lambda: self._one(key),
            "create": lambda: self._create(group, plural, namespace, body, manager),
            "patch": lambda: self._patch(key, body, content, manager),
            "delete": lambda: self._delete(key, body),
        }
        return answers.get(verb, lambda: _json(405, _status(405, "the server does not allow this method")))()

    def _groups(self) -> list[Object]:
        found = {group: version for (group, _plural), (version, _kind) in self.kinds.items() if group}
        return [
            {"name": group, "preferredVersion": {"groupVersion": f"{group}/{version}", "version": version}}
            for group, version in sorted(found.items())
        ]

    def _review(self, body: Object) -> Answer:
        asked = body["spec"]["resourceAttributes"]
        request = Request(
            asked["verb"],
            asked.get("group", ""),
            asked["resource"],
            asked.get("namespace", ""),
            asked.get("name", ""),
            asked.get("subresource", ""),
        )
        return _json(201, {**body, "status": {"allowed": not self.denied(request)}})

    def _log(self, namespace: str, name: str, query: dict[str, str]) -> Answer:
        if ("", "pods", namespace, name) not in self.objects:
            return _json(404, _status(404, f'pods "{name}" not found'))
        since = datetime.fromisoformat(query["sinceTime"]) if "sinceTime" in query else None
        lines = [entry for entry in self.logs.get((namespace, name), []) if since is None or entry[0] >= since]
        lines = lines[-int(query["tailLines"]) :] if "tailLines" in query else lines
        stamped = query.get("timestamps") == "true"
        text = "".join(f"{_nano(at)} {line}\n" if stamped else f"{line}\n" for at, line in lines)
        return Answer(200, text.encode(), {"Content-Type": "text/plain"})

    def _list(self, group: str, plural: str, namespace: str, query: dict[str, str]) -> Answer:
        selects = _selector(query)
        version = query.get("resourceVersion", "")
        if query.get("watch") == "true":
            if version and int(version) < self.compacted:
                return _json(410, _status(410, f"too old resource version: {version}"))
            timeout_s = float(query.get("timeoutSeconds", "60"))
            return Answer(200, watch=Watch(group, plural, namespace, selects, int(version or 0), timeout_s))
        items = [found for found in self.all(group, plural, namespace) if selects(found)]
        start = int(query.get("continue", "0"))
        size = min(int(query.get("limit", self.page)), self.page)
        meta: Object = {"resourceVersion": str(self._latest())}
        if start + size < len(items):
            meta["continue"] = str(start + size)
        return _json(200, {"kind": "List", "metadata": meta, "items": items[start : start + size]})

    def _one(self, key: Key) -> Answer:
        found = self.objects.get(key)
        return _json(200, found) if found else _missing(key)

    def _create(self, group: str, plural: str, namespace: str, body: Object, manager: str) -> Answer:
        found = copy.deepcopy(body)
        meta = found.setdefault("metadata", {})
        if "name" not in meta:
            meta["name"] = meta["generateName"] + uuid.uuid4().hex[:5]
        if namespace:
            meta["namespace"] = namespace
        key = (group, plural, namespace, meta["name"])
        if key in self.objects:
            return _json(409, {**_status(409, f'{plural} "{meta["name"]}" already exists'), "reason": "AlreadyExists"})
        if meta.get("resourceVersion"):
            return _json(400, _status(400, "resourceVersion should not be set on objects to be created"))
        meta["managedFields"] = [{"manager": manager, "operation": "Update", "time": _stamp(self.now())}]
        return _json(201, self.put(group, plural, found))

    def _patch(self, key: Key, body: Object, content: str, manager: str) -> Answer:
        found = self.objects.get(key)
        if content == "application/apply-patch+yaml":
            return self._apply(key, found, body, manager)
        if found is None:
            return _missing(key)
        if content not in {"application/merge-patch+json", "application/strategic-merge-patch+json"}:
            return _json(415, _status(415, f"the body of the request was in an unknown format: {content}"))
        wanted = (body.get("metadata") or {}).get("resourceVersion")
        if wanted is not None and wanted != found["metadata"]["resourceVersion"]:
            text = f'Operation cannot be fulfilled on {key[1]} "{key[3]}": the object has been modified'
            return _json(409, _status(409, text))
        patch = copy.deepcopy(body)
        (patch.get("metadata") or {}).pop("resourceVersion", None)
        merged = merged_with(found, patch, strategic="strategic" in content)
        if merged == found:
            return _json(200, found)
        if merged.get("spec") != found.get("spec"):
            merged["metadata"]["generation"] = found["metadata"].get("generation", 1) + 1
        others = [m for m in found["metadata"].get("managedFields", []) if m.get("manager") != manager]
        own = {"manager": manager, "operation": "Update", "time": _stamp(self.now())}
        merged["metadata"]["managedFields"] = [*others, own]
        return _json(200, self._note("MODIFIED", key, merged))

    def _apply(self, key: Key, found: Object | None, body: Object, manager: str) -> Answer:
        """Server-side apply, without its bookkeeping: who set which field is not known, so nobody conflicts."""
        if found is None:
            return self._create(key[0], key[1], key[2], body, manager)
        merged = merged_with(found, copy.deepcopy(body))
        return _json(200, found if merged == found else self._note("MODIFIED", key, merged))

    def _delete(self, key: Key, body: Object | None) -> Answer:
        found = self.objects.get(key)
        if found is None:
            return _missing(key)
        uid = ((body or {}).get("preconditions") or {}).get("uid")
        if uid and uid != found["metadata"]["uid"]:
            return _json(409, _status(409, f"Precondition failed: UID in precondition: {uid}"))
        self.take(*key)
        return _json(200, {"kind": "Status", "status": "Success"})

    def _note(self, kind: str, key: Key, found: Object, *, keep: bool = True) -> Object:
        version = next(self._versions)
        found = copy.deepcopy(found)
        found["metadata"]["resourceVersion"] = str(version)
        if keep:
            self.objects[key] = found
        self.events.append((version, kind, key, found))
        self.changed.notify_all()
        return found

    def _latest(self) -> int:
        return max([self.compacted, *(version for version, *_ in self.events)])


def merged_with(found: Any, patch: Any, *, strategic: bool = False) -> Any:  # noqa: ANN401 - JSON
    """RFC 7386; strategic: lists of named objects are merged by name."""
    if isinstance(patch, list) and strategic and isinstance(found, list) and all(_named(e) for e in [*patch, *found]):
        by_name = {e["name"]: e for e in found}
        return [
            *{**by_name, **{e["name"]: merged_with(by_name.get(e["name"]), e, strategic=True) for e in patch}}.values()
        ]
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(found) if isinstance(found, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged_with(result.get(key), value, strategic=strategic)
    return copy.deepcopy(result)


def _named(entry: object) -> bool:
    return isinstance(entry, dict) and "name" in entry


def _verb(method: str, name: str, query: dict[str, str]) -> str:
    if method == "GET" and not name:
        return "watch" if query.get("watch") == "true" else "list"
    return {"GET": "get", "POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}[method]


def _name_of(body: object) -> str:
    return str((body.get("metadata") or {}).get("name", "")) if isinstance(body, dict) else ""


def _selector(query: dict[str, str]) -> Callable[[Object], bool]:
    labels = [pair.split("=", 1) for pair in query.get("labelSelector", "").split(",") if "=" in pair]
    present = [key for key in query.get("labelSelector", "").split(",") if key and "=" not in key]
    fields = [pair.split("=", 1) for pair in query.get("fieldSelector", "").split(",") if pair]

    def selects(found: Object) -> bool:
        own = found["metadata"].get("labels") or {}
        return (
            all(own.get(key) == value.lstrip("=") for key, value in labels)
            and all(key in own for key in present)
            and all(_by_path(found, path) == value.lstrip("=") for path, value in fields)
        )

    return selects


def _by_path(found: Object, path: str) -> object:
    here: Any = found
    for key in path.split("."):
        here = here.get(key) if isinstance(here, dict) else None
    return here


def _unknown() -> Answer:
    return _json(404, _status(404, "the server could not find the requested resource"))


def _json(status: int, body: Object) -> Answer:
    return Answer(status, json.dumps(body).encode())


def _status(code: int, message: str) -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": _REASONS.get(code, "Unknown"),
        "code": code,
    }


def _missing(key: Key) -> Answer:
    return _json(404, _status(404, f'{key[1]} "{key[3]}" not found'))


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _nano(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
