"""Permissions, and logs."""

import re
from typing import Any

from tests.steps.kube.api_contract.server import MERGE, Object, Server, configmap


def test_rbac_refusal_names_user_verb_and_resource(server: Server, name: str) -> None:
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


def test_access_review(server: Server) -> None:
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


def test_log_of_a_missing_pod_is_not_found(server: Server, name: str) -> None:
    answer = server.ask("GET", server.path("pods", name) + "/log?tailLines=1")
    assert answer.refusal == (404, "NotFound", f'pods "{name}" not found', {"name": name, "kind": "pods"})
