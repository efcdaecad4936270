"""Lists, watches and the server itself."""

import json
import re
from contextlib import closing

import pytest

from tests.steps.kube.api_contract.server import (
    Server,
    configmap,
    version,
    workflow_template,
)


def test_unknown_kind_is_not_found(server: Server) -> None:
    unknown = server.ask("GET", f"/apis/apps/v1/namespaces/{server.namespace}/things")
    assert unknown.refusal == (404, "NotFound", "the server could not find the requested resource", {})
    group = server.ask("GET", "/apis/nothing.example/v1/things")
    assert (group.code, group.body) == (404, "404 page not found\n"), "of an unknown group there is no Status"


def test_list_has_a_version_and_items_without_kind(server: Server, name: str) -> None:
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
def test_list_by_label_selector(server: Server, name: str, selector: str, chosen: str) -> None:
    server.made(configmap(f"{name}-a", labels={"app": name, "part": "a"}))
    server.made(configmap(f"{name}-b", labels={"app": name}))
    server.made(configmap(f"{name}-c"))
    found = server.list("configmaps", f"?labelSelector={selector.format(n=name)}")
    assert [item["metadata"]["name"] for item in found["items"]] == [f"{name}-{letter}" for letter in chosen]


def test_list_is_paged(server: Server, name: str) -> None:
    for letter in "abc":
        server.made(configmap(f"{name}-{letter}", labels={"app": name}))
    query = f"?labelSelector=app={name}&limit=2"
    first = server.list("configmaps", query)
    assert [item["metadata"]["name"] for item in first["items"]] == [f"{name}-a", f"{name}-b"]
    second = server.list("configmaps", f"{query}&continue={first['metadata']['continue']}")
    assert [item["metadata"]["name"] for item in second["items"]] == [f"{name}-c"]
    assert "continue" not in second["metadata"]


def test_watch_by_label_selector_from_a_version(server: Server, name: str) -> None:
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


def test_server_version_groups_and_date(server: Server) -> None:
    found = server.ask("GET", "/version")
    assert re.match(r"v1\.\d+\.\d+", found.body["gitVersion"])
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", found.headers["Date"])
    groups = server.ask("GET", "/apis").body
    assert groups["kind"] == "APIGroupList"
    versions = {group["name"]: group["preferredVersion"]["version"] for group in groups["groups"]}
    assert (versions["apps"], versions["argoproj.io"]) == ("v1", "v1alpha1")
