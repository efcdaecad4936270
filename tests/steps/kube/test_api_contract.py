"""The contract of the API server: what requests of our kinds are answered with, by the fake and by a real one alike.

The fake is always asked; a real kube-apiserver where BENCHMARK_TEST_API names its context in the kubeconfig. The test
needs the rights of an administrator and Argo's custom resources there, makes one namespace contract-*, and deletes it.
Logs, evictions and what controllers do are no part of it.
"""

import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest
import urllib3

from steps.cluster.kube.api.connect import find_access
from steps.cluster.kube.api.transport import Transport
from tests.steps.kube.fake_api import NAMESPACE, Api
from tests.steps.kube.fake_store import Store

Object = dict[str, Any]

CONTEXT = os.environ.get("BENCHMARK_TEST_API", "")
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
KINDS = (
    ("", "v1", "namespaces", "Namespace"),
    ("", "v1", "configmaps", "ConfigMap"),
    ("", "v1", "pods", "Pod"),
    ("", "v1", "nodes", "Node"),
    ("apps", "v1", "daemonsets", "DaemonSet"),
    ("argoproj.io", "v1alpha1", "workflowtemplates", "WorkflowTemplate"),
)


@dataclass
class Answer:
    """Of one request. `body`: of JSON; a text where it is none."""

    code: int
    body: Any
    headers: Any = field(default_factory=dict)

    @property
    def refusal(self) -> tuple[int, str | None, str, Object]:
        """What a Status says, without the causes in detail."""
        details = {k: v for k, v in self.body.get("details", {}).items() if k != "causes"}
        assert (self.body["kind"], self.body["status"], self.body["code"]) == ("Status", "Failure", self.code)
        return self.code, self.body.get("reason"), self.body["message"], details


@dataclass
class Server:
    """One API server, and a namespace in it for this test."""

    url: str
    pool: urllib3.PoolManager
    namespace: str
    headers: dict[str, str]
    nobody: Callable[[], dict[str, str]]
    """From now on we have no permission; the headers by which that is so."""

    def ask(self, method: str, path: str, body: Object | None = None, content: str = "application/json") -> Answer:
        text = None if body is None else json.dumps(body).encode()
        headers = {**self.headers, "Content-Type": content, "Accept": "application/json"}
        with closing(self.pool.request(method, self.url + path, body=text, headers=headers, timeout=30)) as found:
            raw = found.data.decode()
            return Answer(found.status, json.loads(raw) if raw[:1] == "{" else raw, found.headers)

    def path(self, plural: str, name: str = "", namespace: str = "") -> str:
        group, version = next((g, v) for g, v, p, _ in KINDS if p == plural)
        base = f"/apis/{group}/{version}" if group else f"/api/{version}"
        return f"{base}/namespaces/{namespace or self.namespace}/{plural}" + (f"/{name}" if name else "")

    def create(self, body: Object, query: str = "?fieldManager=us") -> Answer:
        plural = next(p for _, _, p, kind in KINDS if kind == body["kind"])
        return self.ask("POST", self.path(plural) + query, body)

    def made(self, body: Object) -> Object:
        answer = self.create(body)
        assert answer.code == 201, answer.body
        found: Object = answer.body
        return found

    def get(self, plural: str, name: str) -> Object:
        answer = self.ask("GET", self.path(plural, name))
        assert answer.code == 200, answer.body
        found: Object = answer.body
        return found

    def patch(self, plural: str, name: str, body: Object, content: str = MERGE, query: str = "") -> Answer:
        return self.ask("PATCH", f"{self.path(plural, name)}?fieldManager=us{query}", body, content)

    def apply(self, body: Object, manager: str = "deploy", query: str = "") -> Answer:
        plural = next(p for _, _, p, kind in KINDS if kind == body["kind"])
        path = f"{self.path(plural, body['metadata']['name'])}?fieldManager={manager}{query}"
        return self.ask("PATCH", path, body, APPLY)

    def list(self, plural: str, query: str = "") -> Object:
        answer = self.ask("GET", self.path(plural) + query)
        assert answer.code == 200, answer.body
        found: Object = answer.body
        return found


@pytest.fixture(scope="module")
def fake() -> Iterator[Api]:
    store = Store()
    for kind in KINDS:
        store.serve(*kind)
    store.put("", "namespaces", {"metadata": {"name": NAMESPACE}})
    with Api(store).running() as api:
        yield api


@pytest.fixture(scope="module")
def real() -> Iterator[Server]:
    if not CONTEXT:
        pytest.skip("no real API server: set KUBECONFIG, and BENCHMARK_TEST_API to the context of one with Argo")
    way = find_access(CONTEXT, os.environ)
    transport = Transport(way.configuration, CONTEXT, 30.0, login=way.login)
    namespace = f"contract-{secrets.token_hex(4)}"
    impersonating = {"Impersonate-User": "contract-nobody"}
    server = Server(
        way.configuration.host.rstrip("/"),
        transport._pool,
        namespace,
        transport._authorisation(),
        lambda: impersonating,
    )
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    assert server.ask("POST", "/api/v1/namespaces", body).code == 201
    try:
        yield server
    finally:
        assert server.ask("DELETE", f"/api/v1/namespaces/{namespace}").code == 200


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each test has names of its own, so that they share a namespace."""
    if request.param == "real":
        given: Server = request.getfixturevalue("real")
        yield Server(given.url, given.pool, given.namespace, given.headers, given.nobody)
        return
    api: Api = request.getfixturevalue("fake")

    def nobody() -> dict[str, str]:
        api.store.denied = lambda _request: True
        return {}

    yield Server(api.url, urllib3.PoolManager(), NAMESPACE, {}, nobody)
    api.store.denied = lambda _request: False


@pytest.fixture
def name() -> str:
    return f"x-{secrets.token_hex(4)}"


def configmap(name: str, data: dict[str, str] | None = None, **metadata: Any) -> Object:  # noqa: ANN401 - JSON
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": data or {"k": "v"}}


def daemonset(name: str) -> Object:
    """One that chooses no node, so that no pod comes of it."""
    labels = {"app": name}
    containers = [{"name": "a", "image": "none.invalid/a", "command": ["a"]}, {"name": "b", "image": "none.invalid/b"}]
    pod = {"metadata": {"labels": labels}, "spec": {"nodeSelector": {"no": "node"}, "containers": containers}}
    spec = {"selector": {"matchLabels": labels}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name}, "spec": spec}


def pod(name: str) -> Object:
    """One that no scheduler looks at."""
    spec = {"schedulerName": "nobody", "containers": [{"name": "c", "image": "none.invalid/c"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "c"}}, "spec": spec}


def workflow_template(name: str, **spec: Any) -> Object:  # noqa: ANN401 - JSON
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": name},
        "spec": {"templates": [], **spec},
    }


def version(found: Object) -> int:
    return int(found["metadata"]["resourceVersion"])


def test_what_is_created_has_an_identity_a_version_and_a_manager(server: Server, name: str) -> None:
    made = server.made(configmap(name, labels={"app": "x"}))
    meta = made["metadata"]
    assert (made["kind"], made["apiVersion"], made["data"]) == ("ConfigMap", "v1", {"k": "v"})
    assert (meta["name"], meta["namespace"], meta["labels"]) == (name, server.namespace, {"app": "x"})
    assert re.fullmatch(r"[0-9a-f-]{36}", meta["uid"])
    assert version(made) > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", meta["creationTimestamp"])
    (managed,) = meta["managedFields"]
    assert (managed["manager"], managed["operation"]) == ("us", "Update")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", managed["time"])
    assert server.get("configmaps", name) == made


def test_a_name_is_made_of_its_beginning(server: Server, name: str) -> None:
    body = configmap(name)
    body["metadata"] = {"generateName": f"{name}-"}
    assert re.fullmatch(rf"{name}-[a-z0-9]{{5}}", server.made(body)["metadata"]["name"])


@pytest.mark.parametrize(
    ("make", "kind", "group"), [(configmap, "configmaps", ""), (daemonset, "daemonsets", "apps")], ids=["core", "group"]
)
def test_what_exists_and_what_does_not_is_called_by_its_full_kind(
    server: Server, name: str, make: Callable[[str], Object], kind: str, group: str
) -> None:
    called = f"{kind}.{group}" if group else kind
    details = {"name": name, "kind": kind, **({"group": group} if group else {})}
    missing = (404, "NotFound", f'{called} "{name}" not found', details)
    assert server.ask("GET", server.path(kind, name)).refusal == missing
    assert server.patch(kind, name, {"metadata": {"labels": {"a": "b"}}}).refusal == missing
    assert server.ask("DELETE", server.path(kind, name)).refusal == missing
    server.made(make(name))
    exists = (409, "AlreadyExists", f'{called} "{name}" already exists', details)
    assert server.create(make(name)).refusal == exists


def test_a_kind_that_is_not_served_is_not_found(server: Server) -> None:
    unknown = server.ask("GET", f"/apis/apps/v1/namespaces/{server.namespace}/things")
    assert unknown.refusal == (404, "NotFound", "the server could not find the requested resource", {})
    group = server.ask("GET", "/apis/nothing.example/v1/things")
    assert (group.code, group.body) == (404, "404 page not found\n"), "of an unknown group there is no Status"


def test_nothing_is_created_in_a_namespace_that_is_not_there(server: Server, name: str) -> None:
    answer = server.ask("POST", server.path("configmaps", namespace=name), configmap(name))
    assert answer.refusal == (404, "NotFound", f'namespaces "{name}" not found', {"name": name, "kind": "namespaces"})


def test_an_invalid_object_is_422_and_says_which_field(server: Server) -> None:
    code, reason, message, details = server.create(configmap("A_B")).refusal
    assert (code, reason, details) == (422, "Invalid", {"name": "A_B", "kind": "ConfigMap"})
    assert message.startswith('ConfigMap "A_B" is invalid: metadata.name: Invalid value: "A_B": a lowercase RFC 1123')


def test_what_is_created_may_have_no_version(server: Server, name: str) -> None:
    code, reason, message, _ = server.create(configmap(name, resourceVersion="3")).refusal
    assert (code, reason, message) == (500, None, "resourceVersion should not be set on objects to be created")


def test_a_list_has_a_version_and_leaves_out_the_kind_of_its_items(server: Server, name: str) -> None:
    made = server.made(configmap(name))
    found = server.list("configmaps", f"?fieldSelector=metadata.name={name}")
    assert (found["kind"], found["apiVersion"]) == ("ConfigMapList", "v1")
    assert version(found) >= version(made)
    assert found["items"] == [{k: v for k, v in made.items() if k not in {"kind", "apiVersion"}}]
    server.made(workflow_template(name))
    (own,) = server.list("workflowtemplates", f"?fieldSelector=metadata.name={name}")["items"]
    assert (own["kind"], own["apiVersion"]) == ("WorkflowTemplate", "argoproj.io/v1alpha1"), "but of custom resources"


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ("app={n}", "ab"),
        ("app={n},part=a", "a"),
        ("app=={n},part", "a"),
        ("app={n},part=z", ""),
    ],
)
def test_a_list_is_of_what_the_labels_choose(server: Server, name: str, selector: str, chosen: str) -> None:
    server.made(configmap(f"{name}-a", labels={"app": name, "part": "a"}))
    server.made(configmap(f"{name}-b", labels={"app": name}))
    server.made(configmap(f"{name}-c"))
    found = server.list("configmaps", f"?labelSelector={selector.format(n=name)}")
    assert [item["metadata"]["name"] for item in found["items"]] == [f"{name}-{letter}" for letter in chosen]


def test_a_long_list_comes_in_pages(server: Server, name: str) -> None:
    for letter in "abc":
        server.made(configmap(f"{name}-{letter}", labels={"app": name}))
    query = f"?labelSelector=app={name}&limit=2"
    first = server.list("configmaps", query)
    assert [item["metadata"]["name"] for item in first["items"]] == [f"{name}-a", f"{name}-b"]
    second = server.list("configmaps", f"{query}&continue={first['metadata']['continue']}")
    assert [item["metadata"]["name"] for item in second["items"]] == [f"{name}-c"]
    assert "continue" not in second["metadata"]


def test_a_watch_is_of_what_the_labels_choose_from_a_version_on(server: Server, name: str) -> None:
    server.made(configmap(f"{name}-before", labels={"app": name}))
    begin = server.list("configmaps")["metadata"]["resourceVersion"]
    server.made(configmap(f"{name}-other"))
    server.made(configmap(name, labels={"app": name}))
    server.patch("configmaps", name, {"data": {"k": "w"}})
    server.patch("configmaps", name, {"metadata": {"labels": {"app": "another"}}})
    server.patch("configmaps", name, {"metadata": {"labels": {"app": name}}})
    assert server.ask("DELETE", server.path("configmaps", name)).code == 200
    query = f"?watch=true&resourceVersion={begin}&timeoutSeconds=1&labelSelector=app={name}"
    with closing(
        server.pool.request("GET", server.url + server.path("configmaps") + query, headers=server.headers, timeout=20)
    ) as answer:
        events = [json.loads(line) for line in answer.data.splitlines()]
        assert answer.status == 200, "it ends in order"
    seen = [(event["type"], event["object"]["metadata"]["name"]) for event in events]
    leaves, comes = ("DELETED", name), ("ADDED", name)
    assert seen == [comes, ("MODIFIED", name), leaves, comes, leaves], "what the labels choose no more is gone"
    assert {event["object"]["kind"] for event in events} == {"ConfigMap"}
    versions = [version(event["object"]) for event in events]
    assert versions == sorted(set(versions)), "of a deletion, too"


def test_a_merge_patch_takes_null_away_and_replaces_lists(server: Server, name: str) -> None:
    made = server.made(daemonset(name))
    patch = {
        "metadata": {"annotations": {"n": "1"}},
        "spec": {"template": {"spec": {"containers": [{"name": "b", "image": "none.invalid/other"}]}}},
    }
    changed = server.patch("daemonsets", name, patch).body
    assert [c["name"] for c in changed["spec"]["template"]["spec"]["containers"]] == ["b"]
    assert changed["metadata"]["annotations"]["n"] == "1"
    assert changed["metadata"]["generation"] == made["metadata"]["generation"] + 1
    without = server.patch("daemonsets", name, {"metadata": {"annotations": {"n": None}}}).body
    assert "n" not in without["metadata"].get("annotations", {})
    assert without["metadata"]["generation"] == changed["metadata"]["generation"], "only the spec counts"


def test_a_patch_that_changes_nothing_leaves_the_version(server: Server, name: str) -> None:
    made = server.made(configmap(name))
    assert server.patch("configmaps", name, {"data": {"k": "v", "none": None}}).body == made


def test_a_patch_notes_who_made_it(server: Server, name: str) -> None:
    server.made(configmap(name))
    path = f"{server.path('configmaps', name)}?fieldManager=them"
    changed = server.ask("PATCH", path, {"data": {"more": "1"}}, MERGE).body
    assert {m["manager"] for m in changed["metadata"]["managedFields"]} == {"us", "them"}


def test_a_patch_of_a_version_that_is_past_is_a_conflict(server: Server, name: str) -> None:
    old = server.made(daemonset(name))["metadata"]["resourceVersion"]
    assert server.patch("daemonsets", name, {"spec": {"minReadySeconds": 1}}).code == 200
    patch = {"metadata": {"resourceVersion": old}, "spec": {"minReadySeconds": 2}}
    assert server.patch("daemonsets", name, patch).refusal == (
        409,
        "Conflict",
        (
            f'Operation cannot be fulfilled on daemonsets.apps "{name}": the object has been modified; '
            "please apply your changes to the latest version and try again"
        ),
        {"name": name, "kind": "daemonsets", "group": "apps"},
    )


def test_a_patch_of_the_version_that_is_there_is_made(server: Server, name: str) -> None:
    made = server.made(configmap(name))  # no controller changes it meanwhile
    patch = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"k": "w"}}
    changed = server.patch("configmaps", name, patch).body
    assert changed["data"] == {"k": "w"}
    assert version(changed) > version(made)


def test_a_patch_of_another_objects_identity_is_invalid(server: Server, name: str) -> None:
    made = server.made(configmap(name))
    right = {"metadata": {"uid": made["metadata"]["uid"]}, "data": {"k": "w"}}
    assert server.patch("configmaps", name, right).body["data"] == {"k": "w"}
    assert server.patch("configmaps", name, {"metadata": {"uid": "another"}, "data": {"k": "x"}}).refusal == (
        422,
        "Invalid",
        f'ConfigMap "{name}" is invalid: metadata.uid: Invalid value: "another": field is immutable',
        {"name": name, "kind": "ConfigMap"},
    )
    assert server.get("configmaps", name)["data"] == {"k": "w"}


def test_a_strategic_patch_merges_containers_by_name(server: Server, name: str) -> None:
    server.made(daemonset(name))
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "none.invalid/other"}]}}}}
    changed = server.patch("daemonsets", name, patch, STRATEGIC).body
    containers = {c["name"]: c for c in changed["spec"]["template"]["spec"]["containers"]}
    assert containers.keys() == {"a", "b"}
    assert (containers["a"]["image"], containers["a"]["command"]) == ("none.invalid/other", ["a"])


def test_a_kind_of_patch_that_does_not_fit_is_415(server: Server, name: str) -> None:
    server.made(configmap(name))
    unknown = server.patch("configmaps", name, {"data": {}}, "application/foo+json").refusal
    assert unknown[:2] == (415, "UnsupportedMediaType")
    server.made(workflow_template(name))
    code, reason, message, _ = server.patch("workflowtemplates", name, {"spec": {}}, STRATEGIC).refusal
    assert (code, reason) == (415, "UnsupportedMediaType"), "custom resources know no strategic patch"
    assert message.startswith("the body of the request was in an unknown format")


def test_what_is_applied_is_created_and_the_second_time_unchanged(server: Server, name: str) -> None:
    made = server.apply(configmap(name))
    assert made.code == 201
    assert [(m["manager"], m["operation"]) for m in made.body["metadata"]["managedFields"]] == [("deploy", "Apply")]
    again = server.apply(configmap(name))
    assert (again.code, again.body) == (200, made.body)


def test_what_is_applied_no_more_goes_and_what_others_set_stays(server: Server, name: str) -> None:
    server.apply(configmap(name, {"a": "1", "b": "2"}))
    server.patch("configmaps", name, {"data": {"theirs": "3"}})
    assert server.apply(configmap(name, {"a": "1"})).body["data"] == {"a": "1", "theirs": "3"}


def test_what_another_set_is_a_conflict_unless_it_is_forced(server: Server, name: str) -> None:
    server.apply(workflow_template(name, entrypoint="a", onExit="b"))
    path = f"{server.path('workflowtemplates', name)}?fieldManager=them"
    assert server.ask("PATCH", path, {"spec": {"entrypoint": "z"}}, MERGE).code == 200
    refused = server.apply(workflow_template(name, entrypoint="c", onExit="b"), query="&force=false")
    code, reason, message, _ = refused.refusal
    assert (code, reason) == (409, "Conflict")
    assert re.match(r'Apply failed with 1 conflict: conflict with "them" .*: \.spec\.entrypoint$', message), message
    (cause,) = refused.body["details"]["causes"]
    assert (cause["reason"], cause["field"]) == ("FieldManagerConflict", ".spec.entrypoint")
    forced = server.apply(workflow_template(name, entrypoint="c", onExit="b"), query="&force=true")
    assert forced.body["spec"]["entrypoint"] == "c"
    after = server.apply(workflow_template(name, entrypoint="d", onExit="b"), query="&force=false")
    assert after.body["spec"]["entrypoint"] == "d", "it is ours now"


def test_two_managers_may_agree(server: Server, name: str) -> None:
    server.apply(configmap(name), manager="one")
    second = server.apply(configmap(name), manager="two")
    assert second.code == 200
    assert server.apply(configmap(name), manager="two").body == second.body
    refused = server.apply(configmap(name, {"k": "other"}), manager="two")
    assert refused.refusal[:2] == (409, "Conflict")


def test_a_dry_run_answers_and_keeps_nothing(server: Server, name: str) -> None:
    tried = server.create(configmap(name), "?fieldManager=us&dryRun=All")
    assert (tried.code, tried.body["data"]) == (201, {"k": "v"})
    assert server.ask("GET", server.path("configmaps", name)).code == 404
    made = server.made(configmap(name))
    assert server.create(configmap(name), "?fieldManager=us&dryRun=All").code == 409
    tried = server.patch("configmaps", name, {"data": {"k": "w"}}, query="&dryRun=All")
    assert (tried.code, tried.body["data"]) == (200, {"k": "w"})
    assert server.ask("DELETE", server.path("configmaps", name) + "?dryRun=All").code == 200
    assert server.get("configmaps", name) == made


def test_a_deletion_says_what_went(server: Server, name: str) -> None:
    uid = server.made(configmap(name))["metadata"]["uid"]
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
    gone = server.ask("DELETE", server.path("configmaps", name), options)
    assert (gone.code, gone.body["kind"], gone.body["status"]) == (200, "Status", "Success")
    assert gone.body["details"] == {"name": name, "kind": "configmaps", "uid": uid}
    assert server.ask("GET", server.path("configmaps", name)).code == 404


def test_the_deletion_of_a_pod_says_what_it_was(server: Server, name: str) -> None:
    server.made(pod(name))
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 1}
    gone = server.ask("DELETE", server.path("pods", name), options)
    assert (gone.code, gone.body["kind"], gone.body["metadata"]["name"]) == (200, "Pod", name)
    assert server.ask("GET", server.path("pods", name)).code == 404, "no node has to end it first"


def test_another_object_of_that_name_is_not_deleted(server: Server, name: str) -> None:
    uid = server.made(configmap(name))["metadata"]["uid"]
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "another"}}
    assert server.ask("DELETE", server.path("configmaps", name), options).refusal == (
        409,
        "Conflict",
        (
            f'Operation cannot be fulfilled on ConfigMap "{name}": the UID in the precondition (another) does '
            f"not match the UID in record ({uid}). The object might have been deleted and then recreated"
        ),
        {"name": name, "kind": "ConfigMap"},
    )
    assert server.get("configmaps", name)["metadata"]["uid"] == uid


def test_what_has_a_finalizer_goes_when_that_is_taken_out(server: Server, name: str) -> None:
    server.made(configmap(name, finalizers=["example.com/wait"]))
    for _ in range(2):
        answer = server.ask("DELETE", server.path("configmaps", name))
        assert (answer.code, answer.body["kind"]) == (200, "ConfigMap")
        assert answer.body["metadata"]["deletionTimestamp"]
    assert server.get("configmaps", name)["metadata"]["finalizers"] == ["example.com/wait"]
    assert server.create(configmap(name)).refusal[:2] == (409, "AlreadyExists")
    assert server.patch("configmaps", name, {"metadata": {"finalizers": None}}).code == 200
    assert server.ask("GET", server.path("configmaps", name)).code == 404


def test_a_refusal_by_rbac_says_who_may_not_do_what_where(server: Server, name: str) -> None:
    place = f'in the namespace "{server.namespace}"'
    server.headers = {**server.headers, **server.nobody()}

    def refused(
        method: str, path: str, body: Object | None = None, content: str = MERGE
    ) -> tuple[int, Any, str, Object]:
        code, reason, message, details = server.ask(method, path, body, content).refusal
        return code, reason, re.sub(r'User "[^"]*"', "User", message), details

    def expected(
        what: str, verb: str, kind: str, group: str, where: str, details: Object
    ) -> tuple[int, str, str, Object]:
        text = f'{what} is forbidden: User cannot {verb} resource "{kind}" in API group "{group}" {where}'
        return 403, "Forbidden", text, details

    own = {"name": name, "kind": "configmaps"}
    called = f'configmaps "{name}"'
    assert refused("GET", server.path("configmaps", name)) == expected(called, "get", "configmaps", "", place, own)
    assert refused("PATCH", server.path("configmaps", name), {}) == expected(
        called, "patch", "configmaps", "", place, own
    )
    assert refused("GET", server.path("configmaps")) == expected(
        "configmaps", "list", "configmaps", "", place, {"kind": "configmaps"}
    )
    assert refused("GET", server.path("daemonsets")) == expected(
        "daemonsets.apps", "list", "daemonsets", "apps", place, {"group": "apps", "kind": "daemonsets"}
    )
    assert refused("POST", server.path("configmaps"), configmap(name), "application/json") == expected(
        "configmaps", "create", "configmaps", "", place, {"kind": "configmaps"}
    )
    assert refused("GET", "/api/v1/nodes") == expected(
        "nodes", "list", "nodes", "", "at the cluster scope", {"kind": "nodes"}
    )


def test_an_access_review_says_whether_one_may(server: Server) -> None:
    attributes = {"verb": "get", "group": "", "resource": "pods", "namespace": server.namespace}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = server.ask("POST", path, body)
    assert (answer.code, answer.body["status"]["allowed"]) == (201, True)
    server.headers = {**server.headers, **server.nobody()}
    if "Impersonate-User" in server.headers:
        server.headers["Impersonate-Group"] = "system:authenticated"  # who may review themselves
    assert server.ask("POST", path, body).body["status"]["allowed"] is False


def test_the_log_of_no_pod_is_not_found(server: Server, name: str) -> None:
    answer = server.ask("GET", server.path("pods", name) + "/log?tailLines=1")
    assert answer.refusal == (404, "NotFound", f'pods "{name}" not found', {"name": name, "kind": "pods"})


def test_the_server_says_its_version_its_groups_and_its_time(server: Server) -> None:
    found = server.ask("GET", "/version")
    assert re.match(r"v1\.\d+\.\d+", found.body["gitVersion"])
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", found.headers["Date"])
    groups = server.ask("GET", "/apis").body
    assert groups["kind"] == "APIGroupList"
    versions = {group["name"]: group["preferredVersion"]["version"] for group in groups["groups"]}
    assert (versions["apps"], versions["argoproj.io"]) == ("v1", "v1alpha1")
