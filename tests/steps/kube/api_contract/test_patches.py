"""Patches and server-side apply."""

import re

from tests.steps.kube.api_contract.server import (
    MERGE,
    STRATEGIC,
    Server,
    configmap,
    daemonset,
    version,
    workflow_template,
)


def test_merge_patch_removes_null_and_replaces_lists(server: Server, name: str) -> None:
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


def test_patch_without_change_keeps_the_version(server: Server, name: str) -> None:
    made = server.made(configmap(name))
    assert server.patch("configmaps", name, {"data": {"k": "v", "none": None}}).body == made


def test_patch_records_its_manager(server: Server, name: str) -> None:
    server.made(configmap(name))
    path = f"{server.path('configmaps', name)}?fieldManager=them"
    changed = server.ask("PATCH", path, {"data": {"more": "1"}}, MERGE).body
    assert {m["manager"] for m in changed["metadata"]["managedFields"]} == {"us", "them"}


def test_patch_of_an_old_version_is_a_conflict(server: Server, name: str) -> None:
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


def test_patch_of_the_current_version(server: Server, name: str) -> None:
    made = server.made(configmap(name))  # no controller changes it meanwhile
    patch = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"k": "w"}}
    changed = server.patch("configmaps", name, patch).body
    assert changed["data"] == {"k": "w"}
    assert version(changed) > version(made)


def test_patch_of_another_uid_is_a_conflict(server: Server, name: str) -> None:
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


def test_strategic_patch_merges_containers_by_name(server: Server, name: str) -> None:
    server.made(daemonset(name))
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "none.invalid/other"}]}}}}
    changed = server.patch("daemonsets", name, patch, STRATEGIC).body
    containers = {c["name"]: c for c in changed["spec"]["template"]["spec"]["containers"]}
    assert containers.keys() == {"a", "b"}
    assert (containers["a"]["image"], containers["a"]["command"]) == ("none.invalid/other", ["a"])


def test_unsupported_kind_of_patch_is_415(server: Server, name: str) -> None:
    server.made(configmap(name))
    unknown = server.patch("configmaps", name, {"data": {}}, "application/foo+json").refusal
    assert unknown[:2] == (415, "UnsupportedMediaType")
    server.made(workflow_template(name))
    code, reason, message, _ = server.patch("workflowtemplates", name, {"spec": {}}, STRATEGIC).refusal
    assert (code, reason) == (415, "UnsupportedMediaType"), "custom resources know no strategic patch"
    assert message.startswith("the body of the request was in an unknown format")


def test_apply_creates_and_then_changes_nothing(server: Server, name: str) -> None:
    made = server.apply(configmap(name))
    assert made.code == 201
    assert [(m["manager"], m["operation"]) for m in made.body["metadata"]["managedFields"]] == [("deploy", "Apply")]
    again = server.apply(configmap(name))
    assert (again.code, again.body) == (200, made.body)


def test_apply_removes_own_fields_and_keeps_others(server: Server, name: str) -> None:
    server.apply(configmap(name, {"a": "1", "b": "2"}))
    server.patch("configmaps", name, {"data": {"theirs": "3"}})
    assert server.apply(configmap(name, {"a": "1"})).body["data"] == {"a": "1", "theirs": "3"}


def test_apply_conflict_unless_forced(server: Server, name: str) -> None:
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


def test_patch_by_two_managers_of_the_same_value(server: Server, name: str) -> None:
    server.apply(configmap(name), manager="one")
    second = server.apply(configmap(name), manager="two")
    assert second.code == 200
    assert server.apply(configmap(name), manager="two").body == second.body
    refused = server.apply(configmap(name, {"k": "other"}), manager="two")
    assert refused.refusal[:2] == (409, "Conflict")
