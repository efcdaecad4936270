"""The verbs of a cluster's API on JSON objects; each call must be in the table of permissions."""

import copy
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, Self

from steps.cluster.kube.api import encoding, permissions, watch
from steps.cluster.kube.api.errors import ApiError
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK, CLUSTER, Permission, Resource
from steps.cluster.kube.api.transport import ApiTransport
from steps.settings.environment import in_context, make_command, restore_command

Objects = list[Object]

MERGE: Final = "application/merge-patch+json"
_PAGE: Final = 500
_JSON: Final = "application/json"
_METADATA: Final = f"{_JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class Client:
    """Calls to one cluster.

    Args:
        transport: to the cluster's API server.
        namespace: of the benchmark, for which BENCHMARK stands in each call.
        owner_reference: to the workflow of this process, for objects in its namespace; None: there is none.
    """

    def __init__(self, transport: ApiTransport, namespace: str, owner_reference: Object | None = None) -> None:
        self.namespace = namespace
        self.where, self.context = transport.where, transport.context
        self.owner_reference = owner_reference
        self._transport = transport

    def in_namespace(self, namespace: str) -> Self:
        """The same client, for which BENCHMARK is this namespace; what it creates there has no owner."""
        other = copy.copy(self)
        other.namespace, other.owner_reference = namespace, None
        return other

    @property
    def throttled(self) -> int:
        """How many requests the API server's limits (priority and fairness) have refused so far; all were repeated."""
        return self._transport.throttled

    @property
    def restore_command(self) -> str:
        """What a user types to put this cluster back."""
        return restore_command(self.context or self.where)

    @property
    def kubectl(self) -> str:
        """The beginning of a command of kubectl for this cluster."""
        return in_context("kubectl", self.context)

    @property
    def argo(self) -> str:
        """The beginning of a command of argo for this cluster."""
        return in_context("argo", self.context)

    def make(self, verb: str, **variables: str) -> str:
        """What a user types for a verb on this cluster, such as deploy; empty variables are left out."""
        return make_command(verb, self.context, **variables)

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """One object; None if the object or its kind does not exist."""
        path = self._permitted("get", resource, namespace, name)
        return self._json("GET", path, f"{resource.kind} {name}", missing=True)

    def list(self, resource: Resource, namespace: str | None = None, *, labels: str = "") -> Objects:
        """All objects that the selectors choose; none if the cluster does not know their kind."""
        return self._list(resource, namespace, labels)[0]

    def metadata(self, resource: Resource, namespace: str, *, labels: str = "") -> Objects:
        """The metadata alone of all objects that the selector chooses."""
        return self._list(resource, namespace, labels, accept=_METADATA)[0]

    def count(self, resource: Resource) -> int | None:
        """How many objects of a kind the cluster has; None: it does not know the kind.

        Raises:
            DeniedError: the permission is missing.
        """
        path = self._permitted("list", resource, CLUSTER) + encoding.query({"limit": "1"})
        page = self._json("GET", path, f"the list of {resource.plural}", missing=True)
        if page is None:
            return None
        return len(page.get("items") or []) + int(page.get("metadata", {}).get("remainingItemCount") or 0)

    def create(
        self, resource: Resource, body: Object, namespace: str | None = None, *, dry_run: bool = False
    ) -> Object:
        """Create an object. `dry_run`: the API server validates it and stores nothing.

        Raises:
            ConflictError: the name is taken, perhaps by this very call before it was interrupted and repeated.
        """
        path = self._permitted("create", resource, namespace) + encoding.write_query(dry_run=dry_run)
        name = body.get("metadata", {}).get("name", "")
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return self._must("POST", path, f"{resource.kind} {name}".rstrip(), body)

    def patch(
        self, resource: Resource, name: str, patch: Object, namespace: str | None = None, *, dry_run: bool = False
    ) -> Object:
        """Change fields by a JSON merge patch, and return the whole object. `dry_run`: nothing is stored.

        Raises:
            ConflictError: the patch names a metadata.resourceVersion that is no longer the current one.
        """
        path = self._permitted("patch", resource, namespace, name) + encoding.write_query(dry_run=dry_run)
        return self._must("PATCH", path, f"{resource.kind} {name}", patch, content=MERGE)

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        grace_s: int | None = None,
        uid: str = "",
        version: str = "",
        dry_run: bool = False,
    ) -> bool:
        """Delete an object; False if it did not exist.

        `uid`: only the object with it; `version`: only if nobody has changed it since. `dry_run`: delete nothing.

        Raises:
            ConflictError: it is another object, or changed.
        """
        path = self._permitted("delete", resource, namespace, name)
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        wanted = {"uid": uid, "resourceVersion": version}
        if conditions := {name: value for name, value in wanted.items() if value}:
            options["preconditions"] = conditions
        path += encoding.query({"dryRun": "All" if dry_run else ""})
        return self._json("DELETE", path, f"{resource.kind} {name}", options, missing=True) is not None

    def delete_all(self, resource: Resource, namespace: str, labels: str) -> None:
        """Delete all objects that the selector chooses, in one call. Safe to repeat."""
        path = self._permitted("deletecollection", resource, namespace) + encoding.query({"labelSelector": labels})
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        self._json("DELETE", path, f"the {resource.plural} with {labels}", options, missing=True)

    def log(
        self,
        pod: str,
        namespace: str,
        *,
        container: str = "",
        since: datetime | None = None,
        tail_lines: int | None = None,
        timestamps: bool = True,
        limit_bytes: int = 64 * 2**20,
    ) -> bytes:
        """A container's log; empty if the pod does not exist, or the container has not started.

        `container`: the only one if empty. Left out are lines before `since`, all but the last `tail_lines`, and what
        is beyond `limit_bytes`. `timestamps`: whether each line begins with its time.
        """
        path = self._permitted("get", permissions.PODS, namespace, pod, "log")
        query = {"timestamps": str(timestamps).lower(), "container": container, "limitBytes": str(limit_bytes)}
        if since is not None:
            query["sinceTime"] = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if tail_lines is not None:
            query["tailLines"] = str(tail_lines)
        try:
            return (
                self._transport.call("GET", f"{path}/log{encoding.query(query)}", f"the log of pod {pod}", missing=True)
                or b""
            )
        except ApiError as error:
            if error.status == HTTPStatus.BAD_REQUEST and "is waiting to start" in str(error):
                return b""
            raise

    def allows(self, permission: Permission) -> bool:
        """Whether this client has the permission, by SelfSubjectAccessReview."""
        attributes = {
            "verb": permission.verb,
            "group": permission.resource.group,
            "resource": permission.resource.plural,
            "subresource": permission.subresource,
            "namespace": self._real(permission.namespace) or "",
        }
        reviews = (
            self.create(permissions.ACCESS_REVIEWS, {"spec": {"resourceAttributes": {**attributes, "name": name}}})
            for name in permission.names or ("",)
        )
        return all(review.get("status", {}).get("allowed") for review in reviews)

    def groups(self) -> dict[str, str]:
        """The API groups of the cluster, each with its preferred version."""
        found = self._must("GET", "/apis", "the list of API groups").get("groups", [])
        return {group["name"]: group["preferredVersion"]["version"] for group in found}

    def version(self) -> str | None:
        """Of the API server, such as v1.35.4."""
        return self._must("GET", encoding.VERSION, "the server's version").get("gitVersion")

    def now(self) -> datetime:
        """The API server's clock, to the second.

        Raises:
            ApiError: the answer has no Date header.
        """
        if stamp := self._transport.header(encoding.VERSION, "the server's clock", "Date"):
            return parsedate_to_datetime(stamp).astimezone(UTC)
        raise ApiError(f"{self.where}: the API server's answers have no Date header: a proxy may remove it.", 0)

    def until(
        self,
        resource: Resource,
        namespace: str | None,
        ready: Callable[[Objects], bool],
        timeout_s: float,
        *,
        labels: str = "",
        every_s: float = watch.LONGEST_S,
    ) -> Objects | None:
        """Watch objects until `ready` accepts them, and return them; None after the timeout.

        `ready` is called with all of them after each change, and at least every `every_s`, for conditions that depend
        on time.
        """

        def list_objects() -> tuple[Objects, str]:
            return self._list(resource, namespace, labels)

        def events(version: str, seconds: int) -> Iterator[Object]:
            return self._watch(resource, namespace, version, seconds, labelSelector=labels)

        return next((found for found in watch.changes(list_objects, events, timeout_s, every_s) if ready(found)), None)

    def _list(self, resource: Resource, namespace: str | None, labels: str, accept: str = _JSON) -> tuple[Objects, str]:
        path = self._permitted("list", resource, namespace)

        def page(token: str) -> Object | None:
            query = encoding.query({"labelSelector": labels, "limit": str(_PAGE), "continue": token})
            return self._json("GET", path + query, f"the list of {resource.plural}", missing=True, accept=accept)

        items, version = encoding.all_pages(page)
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        return [{**kind, **item} for item in items], version

    def _watch(
        self, resource: Resource, namespace: str | None, version: str, seconds: int, **selectors: str
    ) -> Iterator[Object]:
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(seconds), **selectors}
        path = self._permitted("watch", resource, namespace) + encoding.query(query)
        what = f"the watch of {resource.plural}"
        lines = self._transport.lines(path, what, read_s=seconds + watch.SLACK_S)
        return watch.parsed(lines, f"{self.where}: {what}")

    def _permitted(
        self, verb: str, resource: Resource, namespace: str | None, name: str = "", subresource: str = ""
    ) -> str:
        """The path of a call that the table of permissions has."""
        self._permit(verb, resource, namespace, name, subresource)
        return self._path(resource, namespace, name)

    def _permit(self, verb: str, resource: Resource, namespace: str | None, name: str, subresource: str) -> None:
        if not permissions.covered(verb, resource, namespace, name, subresource):
            raise LookupError(f"{verb} {resource.plural} {name} in {namespace} is not in the table of permissions")

    def _real(self, namespace: str | None) -> str | None:
        return self.namespace if namespace == BENCHMARK else namespace

    def _path(self, resource: Resource, namespace: str | None, name: str = "") -> str:
        return encoding.path(resource, self._real(namespace), name)

    def _must(self, method: str, path: str, what: str, body: Object | None = None, *, content: str = "") -> Object:
        return self._json(method, path, what, body, content=content) or {}

    def _json(
        self,
        method: str,
        path: str,
        what: str,
        body: Object | None = None,
        *,
        content: str = "",
        missing: bool = False,
        accept: str = _JSON,
    ) -> Object | None:
        text = self._transport.call(method, path, what, body, content=content, missing=missing, accept=accept)
        return None if text is None else encoding.decode(text, path, f"{self.where}: {what}")
