"""Kubernetes' API semantics on objects in memory: what a request does, and what the answer is. No sockets."""

import json
import re
import uuid
from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.steps.kube.fakes import answers
from tests.steps.kube.fakes.answers import Answer, Key, Object, Request, Watch, of_json
from tests.steps.kube.fakes.objects import Objects
from tests.steps.kube.fakes.patches import Ownership, copied, fields, merged_with
from tests.steps.kube.fakes.requests import name_of, nano, selector, stamp, verb_of

_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_BAD_NAME = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character"
)
_RBAC = "rbac.authorization.k8s.io"
_BUILT_IN = frozenset({"", "apps", "batch", _RBAC, "apiextensions.k8s.io", "discovery.k8s.io", "networking.k8s.io"})
"""Groups whose kinds are the API server's own; all others' are custom resources."""

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


class Store(Objects):
    """Objects that are reached by requests."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.tried: list[Request] = []
        self.denied: Callable[[Request], bool] = lambda _request: False
        self.admission: Callable[[Request, Any], str | None] = lambda _request, _body: None
        self.page = 500

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

    def _kept(self) -> tuple[dict[Key, Object], int, dict[Key, Ownership]]:
        return dict(self.objects), len(self.events), {key: each.copied() for key, each in self.ownership.items()}

    def _keep(self, objects: dict[Key, Object], events: int, ownership: dict[Key, Ownership]) -> None:
        """What a dry run did is undone: the server answers as if, and keeps nothing."""
        self.objects, self.ownership = objects, ownership
        del self.events[events:]

    def _answer(self, method: str, path: str, query: dict[str, str], body: Any, content: str) -> Answer:  # noqa: ANN401
        matched = _PATH.fullmatch(path)
        if matched is not None:
            return self._resource(method, matched, query, body, content)
        if path == "/version":
            return of_json(200, {"gitVersion": "v1.35.4"})
        if (group := re.fullmatch(r"/apis/([^/]+)/[^/]+", path)) and any(group[1] == known for known, _ in self.kinds):
            served = [{"name": plural} for known, plural in self.kinds if known == group[1]]
            return of_json(200, {"kind": "APIResourceList", "resources": served})
        return (
            of_json(200, {"kind": "APIGroupList", "groups": self._groups()})
            if path == "/apis"
            else answers.unknown(group_is_served=False)
        )

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
        verb = verb_of(method, name, query)
        request = Request(verb, group, plural, namespace, name or name_of(body), matched["sub"] or "")
        (self.tried if query.get("dryRun") == "All" else self.requests).append(request)
        if plural == "selfsubjectaccessreviews":
            return self._review(body)
        if (group, plural) not in self.kinds:
            return answers.unknown(group_is_served=group in {"", *(known for known, _ in self.kinds)})
        if (refusal := self.admission(request, body)) and method in {"POST", "PATCH", "PUT", "DELETE"}:
            code, reason = (403, "Forbidden") if "denied" in refusal else (400, "BadRequest")
            return answers.refusal(code, reason, refusal)
        if self.denied(request):
            return answers.forbidden(request, name)
        key = (group, plural, namespace, name)
        if matched["sub"] == "log":
            return self._log(namespace, name, query)
        manager = query.get("fieldManager", "")
        by_verb: dict[str, Callable[[], Answer]] = {
            "list": lambda: self._list(group, plural, namespace, query),
            "watch": lambda: self._list(group, plural, namespace, query),
            "get": lambda: self._one(key),
            "create": lambda: self._create(group, plural, namespace, body, manager),
            "patch": lambda: (
                self._apply(key, body, manager, force=query.get("force") == "true")
                if content == APPLY
                else self._patch(key, body, content, manager)
            ),
            "delete": lambda: self._delete(key, body),
            "deletecollection": lambda: self._delete_all(group, plural, namespace, query, body),
        }
        not_allowed = "the server does not allow this method on the requested resource"
        return by_verb.get(verb, lambda: answers.refusal(405, "MethodNotAllowed", not_allowed))()

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
        return of_json(201, {**body, "status": {"allowed": not self.denied(request)}})

    def _log(self, namespace: str, name: str, query: dict[str, str]) -> Answer:
        if ("", "pods", namespace, name) not in self.objects:
            return answers.missing(("", "pods", namespace, name))
        if self._is_on_a_node(("", "pods", namespace, name), self.down):
            return answers.refusal(500, "InternalError", "dial tcp 10.250.0.12:10250: connect: no route to host")
        if (namespace, name) in self.initializing:
            container = query.get("container", "main")
            waits = f'container "{container}" in pod "{name}" is waiting to start: PodInitializing'
            return answers.refusal(400, "BadRequest", waits)
        since = datetime.fromisoformat(query["sinceTime"]) if "sinceTime" in query else None
        lines = [entry for entry in self.logs.get((namespace, name), []) if since is None or entry[0] >= since]
        lines = lines[-int(query["tailLines"]) :] if "tailLines" in query else lines
        stamped = query.get("timestamps") == "true"
        text = "".join(f"{nano(at)} {line}\n" if stamped else f"{line}\n" for at, line in lines)
        return Answer(200, text.encode(), {"Content-Type": "text/plain"})

    def _list(self, group: str, plural: str, namespace: str, query: dict[str, str]) -> Answer:
        selects = selector(query)
        version = query.get("resourceVersion", "")
        if query.get("watch") == "true":
            if version and int(version) < self.compacted:
                return answers.refusal(410, "Expired", f"too old resource version: {version}")
            timeout_s = float(query.get("timeoutSeconds", "60"))
            return Answer(200, watch=Watch(group, plural, namespace, selects, int(version or 0), timeout_s))
        items = [found for found in self.all(group, plural, namespace) if selects(found)]
        start = int(query.get("continue", "0"))
        size = min(int(query.get("limit", self.page)), self.page)
        meta: Object = {"resourceVersion": str(self._latest())}
        if start + size < len(items):
            meta |= {"continue": str(start + size), "remainingItemCount": len(items) - start - size}
        api_version, kind = self.kinds[group, plural]
        page = items[start : start + size]
        if group in _BUILT_IN:
            page = [
                {name: value for name, value in each.items() if name not in {"kind", "apiVersion"}} for each in page
            ]
        api_version = f"{group}/{api_version}" if group else api_version
        return of_json(200, {"kind": f"{kind}List", "apiVersion": api_version, "metadata": meta, "items": page})

    def _one(self, key: Key) -> Answer:
        found = self.objects.get(key)
        return of_json(200, found) if found else answers.missing(key)

    def _create(
        self, group: str, plural: str, namespace: str, body: Object, manager: str, operation: str = "Update"
    ) -> Answer:
        found = copied(body)
        meta = found.setdefault("metadata", {})
        if "name" not in meta:
            meta["name"] = meta["generateName"] + uuid.uuid4().hex[:5]
        if namespace:
            meta["namespace"] = namespace
        key = (group, plural, namespace, meta["name"])
        if (refused := self._refused(key, meta)) is not None:
            return refused
        meta["managedFields"] = [self._managed(manager, operation)]
        self.put(group, plural, found)
        ownership = self.ownership[key] = Ownership()
        if operation == "Apply":
            ownership.owned[manager, operation] = set(fields(body))
        else:
            ownership.note_update(manager, {}, found)
        return of_json(201, self.objects[key])

    def _refused(self, key: Key, meta: Object) -> Answer | None:
        group, plural, namespace, name = key
        if ("", "namespaces") in self.kinds and namespace and not self.find("", "namespaces", "", namespace):
            return answers.missing(("", "namespaces", "", namespace))
        if group != _RBAC and not _NAME.fullmatch(name):
            return answers.invalid(key, self.kinds[group, plural][1], "metadata.name", name, _BAD_NAME)
        if meta.get("resourceVersion"):
            return answers.refusal(500, "", "resourceVersion should not be set on objects to be created")
        return answers.exists(key) if key in self.objects else None

    def _managed(self, manager: str, operation: str) -> Object:
        return {"manager": manager, "operation": operation, "time": stamp(self.now())}

    def _patch(self, key: Key, body: Object, content: str, manager: str) -> Answer:
        found = self.objects.get(key)
        if content not in {MERGE, *((STRATEGIC,) if key[0] in _BUILT_IN else ())}:
            return answers.unsupported(custom=key[0] not in _BUILT_IN)
        if found is None:
            return answers.missing(key)
        meta = body.get("metadata") or {}
        if meta.get("resourceVersion") not in {None, found["metadata"]["resourceVersion"]}:
            return answers.modified(key)
        if meta.get("uid") not in {None, found["metadata"]["uid"]}:
            return answers.invalid(key, self.kinds[key[:2]][1], "metadata.uid", meta["uid"], "field is immutable")
        patch = copied(body)
        (patch.get("metadata") or {}).pop("resourceVersion", None)
        merged = merged_with(found, patch, strategic=content == STRATEGIC)
        if merged == found:
            return of_json(200, found)
        self.ownership.setdefault(key, Ownership()).note_update(manager, found, merged)
        return self._change(key, found, merged, self._managed(manager, "Update"))

    def _apply(self, key: Key, body: Object, manager: str, *, force: bool) -> Answer:
        """Server-side apply. What was put here by `put` is owned by nobody."""
        found = self.objects.get(key)
        if found is None:
            return self._create(key[0], key[1], key[2], body, manager, "Apply")
        ownership = self.ownership.setdefault(key, Ownership())
        if not force and (conflicts := ownership.conflicts(manager, found, body)):
            return answers.applied_by_others(conflicts, found["apiVersion"])
        before = ownership.copied().owned
        merged = ownership.apply(manager, found, body)
        if merged == found and ownership.owned == before:
            return of_json(200, found)
        return self._change(key, found, merged, self._managed(manager, "Apply"))

    def _change(self, key: Key, found: Object, merged: Object, managed: Object) -> Answer:
        """Keep what a patch made of an object; one whose last finalizer it took out is gone by that."""
        meta = merged["metadata"]
        if merged.get("spec") != found.get("spec"):
            meta["generation"] = found["metadata"].get("generation", 1) + 1
        by = (managed["manager"], managed["operation"])
        others = [m for m in found["metadata"].get("managedFields", []) if (m.get("manager"), m.get("operation")) != by]
        meta["managedFields"] = [*others, managed]
        if found["metadata"].get("finalizers") and not meta.get("finalizers") and meta.get("deletionTimestamp"):
            self.take(*key)
            return of_json(200, merged)
        return of_json(200, self._note(key, merged))

    def _delete(self, key: Key, body: Object | None) -> Answer:
        found = self.objects.get(key)
        if found is None:
            return answers.missing(key)
        uid, demanded = found["metadata"]["uid"], (body or {}).get("preconditions") or {}
        if (wanted := demanded.get("uid")) and uid != wanted:
            return answers.another(key, self.kinds[key[:2]][1], wanted, uid)
        if (wanted := demanded.get("resourceVersion")) and (version := found["metadata"]["resourceVersion"]) != wanted:
            return answers.other_version(key, self.kinds[key[:2]][1], wanted, version)
        waits = self._is_on_a_node(key, self.down | self.stuck) and (body or {}).get("gracePeriodSeconds") != 0
        if found["metadata"].get("finalizers") or waits:
            if not found["metadata"].get("deletionTimestamp"):
                meta = {**found["metadata"], "deletionTimestamp": stamp(self.now())}
                found = self._note(key, {**found, "metadata": meta})
            return of_json(200, found)
        self.take(*key)
        return of_json(200, found) if key[:2] == ("", "pods") else answers.deleted(key, uid)

    def _delete_all(
        self, group: str, plural: str, namespace: str, query: dict[str, str], body: Object | None
    ) -> Answer:
        chosen = [found for found in self.all(group, plural, namespace) if selector(query)(found)]
        for found in chosen:
            self._delete((group, plural, namespace, found["metadata"]["name"]), body)
        return of_json(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def _is_on_a_node(self, key: Key, nodes: set[str]) -> bool:
        return key[:2] == ("", "pods") and (self.objects[key].get("spec") or {}).get("nodeName") in nodes
