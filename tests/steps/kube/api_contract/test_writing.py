"""Creation, dry runs and deletion."""

import re
from collections.abc import Callable

import pytest

from tests.steps.kube.api_contract.server import Object, Server, configmap, daemonset, pod, version


def test_created_object_has_uid_version_and_manager(server: Server, name: str) -> None:
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


def test_generate_name(server: Server, name: str) -> None:
    body = configmap(name)
    body["metadata"] = {"generateName": f"{name}-"}
    assert re.fullmatch(rf"{name}-[a-z0-9]{{5}}", server.made(body)["metadata"]["name"])


@pytest.mark.parametrize(
    ("make", "kind", "group"), [(configmap, "configmaps", ""), (daemonset, "daemonsets", "apps")], ids=["core", "group"]
)
def test_conflict_and_not_found_name_the_full_kind(
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


def test_create_in_a_missing_namespace_is_not_found(server: Server, name: str) -> None:
    answer = server.ask("POST", server.path("configmaps", namespace=name), configmap(name))
    assert answer.refusal == (404, "NotFound", f'namespaces "{name}" not found', {"name": name, "kind": "namespaces"})


def test_invalid_object_is_422_with_the_field(server: Server) -> None:
    code, reason, message, details = server.create(configmap("A_B")).refusal
    assert (code, reason, details) == (422, "Invalid", {"name": "A_B", "kind": "ConfigMap"})
    assert message.startswith('ConfigMap "A_B" is invalid: metadata.name: Invalid value: "A_B": a lowercase RFC 1123')


def test_create_with_a_resource_version_is_invalid(server: Server, name: str) -> None:
    code, reason, message, _ = server.create(configmap(name, resourceVersion="3")).refusal
    assert (code, reason, message) == (500, None, "resourceVersion should not be set on objects to be created")


def test_dry_run_stores_nothing(server: Server, name: str) -> None:
    tried = server.create(configmap(name), "?fieldManager=us&dryRun=All")
    assert (tried.code, tried.body["data"]) == (201, {"k": "v"})
    assert server.ask("GET", server.path("configmaps", name)).code == 404
    made = server.made(configmap(name))
    assert server.create(configmap(name), "?fieldManager=us&dryRun=All").code == 409
    tried = server.patch("configmaps", name, {"data": {"k": "w"}}, query="&dryRun=All")
    assert (tried.code, tried.body["data"]) == (200, {"k": "w"})
    assert server.ask("DELETE", server.path("configmaps", name) + "?dryRun=All").code == 200
    assert server.get("configmaps", name) == made


def test_delete_returns_a_status_with_the_uid(server: Server, name: str) -> None:
    uid = server.made(configmap(name))["metadata"]["uid"]
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
    gone = server.ask("DELETE", server.path("configmaps", name), options)
    assert (gone.code, gone.body["kind"], gone.body["status"]) == (200, "Status", "Success")
    assert gone.body["details"] == {"name": name, "kind": "configmaps", "uid": uid}
    assert server.ask("GET", server.path("configmaps", name)).code == 404


def test_delete_of_a_pod_returns_the_pod(server: Server, name: str) -> None:
    server.made(pod(name))
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 1}
    gone = server.ask("DELETE", server.path("pods", name), options)
    assert (gone.code, gone.body["kind"], gone.body["metadata"]["name"]) == (200, "Pod", name)
    assert server.ask("GET", server.path("pods", name)).code == 404, "no node has to end it first"


def test_delete_with_another_uid_is_a_conflict(server: Server, name: str) -> None:
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


def test_delete_of_an_earlier_version_is_a_conflict(server: Server, name: str) -> None:
    made = server.made(configmap(name))
    wanted = {"uid": made["metadata"]["uid"], "resourceVersion": "1"}
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": wanted}
    assert server.ask("DELETE", server.path("configmaps", name), options).refusal == (
        409,
        "Conflict",
        (
            f'Operation cannot be fulfilled on ConfigMap "{name}": the ResourceVersion in the precondition (1) does '
            f"not match the ResourceVersion in record ({version(made)}). The object might have been modified"
        ),
        {"name": name, "kind": "ConfigMap"},
    )
    wanted["resourceVersion"] = made["metadata"]["resourceVersion"]
    assert server.ask("DELETE", server.path("configmaps", name), options).code == 200


def test_delete_waits_for_finalizers(server: Server, name: str) -> None:
    server.made(configmap(name, finalizers=["example.com/wait"]))
    for _ in range(2):
        answer = server.ask("DELETE", server.path("configmaps", name))
        assert (answer.code, answer.body["kind"]) == (200, "ConfigMap")
        assert answer.body["metadata"]["deletionTimestamp"]
    assert server.get("configmaps", name)["metadata"]["finalizers"] == ["example.com/wait"]
    assert server.create(configmap(name)).refusal[:2] == (409, "AlreadyExists")
    assert server.patch("configmaps", name, {"metadata": {"finalizers": None}}).code == 200
    assert server.ask("GET", server.path("configmaps", name)).code == 404
