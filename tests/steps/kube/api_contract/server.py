"""The contract of the API server: the answers to requests of our kinds, which the fake and a real one share.

The fake is always tested; a real kube-apiserver if BENCHMARK_TEST_API names its context in the kubeconfig. The test
needs the rights of an administrator and Argo's custom resources there, makes one namespace contract-*, and deletes it.
Logs, evictions and what controllers do are no part of it.
"""

import json
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import urllib3

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
