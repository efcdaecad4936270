"""Deployments to a cluster of the fake API server, and what they print."""

import functools
import io
import json
from collections.abc import Callable
from typing import Any
from unittest import mock

import yaml

from analysis.console.terminal import Terminal
from tests.steps.kube.fakes.store import Store
from tests.workflows.fake_argo import NAMESPACE, person
from workflows.deployment import kustomization
from workflows.deployment.deploy import deploy
from workflows.deployment.kustomization import DeploymentValues
from workflows.deployment.undeploy import undeploy
from workflows.flags.deploy import DeployFlags
from workflows.template import render
from workflows.template.pod_policy import PODS

Object = dict[str, Any]
LABELS = {"app.kubernetes.io/name": "dataplane-benchmark", "dataplane-benchmark/part": "deployment"}


@functools.cache
def _read(name: str) -> str:
    """A manifest as JSON, which is read a hundred times as fast as YAML."""
    return json.dumps(yaml.safe_load((render.DIRECTORY / f"{name}.yaml").read_text()))


def build_without_kubectl(values: DeploymentValues) -> list[Object]:
    """The kustomization nearly as kubectl builds it: the base, a namespace, labels, and the settings."""
    files = kustomization.files(values)
    built: list[Object] = []
    parts = [f"base/{name}" for name in ("rbac", "settings", "benchmark", "nightly")]
    parts += ["guard/guard"] if values.guard else []
    for name in (*parts, *(["admission/policies"] if values.admission != "off" else [])):
        document = json.loads(_read(name))
        built += document["items"] if document["kind"] == "List" else [document]
    for found in built:
        found["metadata"].setdefault("labels", {}).update(LABELS)
        if not found["kind"].startswith(("Cluster", "ValidatingAdmission")):
            found["metadata"].setdefault("namespace", values.namespace)
        for subject in found.get("subjects", []):
            subject["namespace"] = values.namespace
        if found["kind"] == "ValidatingAdmissionPolicy" and found["metadata"]["name"] == PODS:
            found["spec"]["variables"][0]["expression"] = json.dumps(values.images)
        if found["kind"] == "ConfigMap":
            found["data"] |= yaml.safe_load(files["settings.yaml"])["data"]
    if values.brings_namespace:
        built.insert(0, {"kind": "Namespace", "metadata": {"name": values.namespace, "labels": dict(LABELS)}})
    return built


def printed(run: Callable[[Terminal], object]) -> str:
    out = io.StringIO()
    with mock.patch.object(kustomization, "build_objects", build_without_kubectl):
        run(Terminal(file=out, width=300))
    return out.getvalue()


def deploy_to(store: Store, namespace: str = NAMESPACE, **flags: Any) -> str:  # noqa: ANN401 - of every type
    flags.setdefault("image", "bench:1")
    return printed(lambda out: deploy(DeployFlags(namespace=namespace, **flags), out, person(store, namespace)))


def undeploy_from(store: Store, namespace: str = "") -> str:
    return printed(lambda out: undeploy("", namespace, out, person(store)))


def settings(store: Store, namespace: str = NAMESPACE) -> dict[str, str]:
    found = store.find("", "configmaps", namespace, "dataplane-benchmark")
    assert found is not None
    return dict(found["data"])


def put_lock(store: Store, namespace: str = NAMESPACE, **further: object) -> None:
    """The lock of workflow run-1; `further` fields of it, as JSON."""
    at = "2026-11-25T02:00:00Z"
    snapshot = {"version": 1, "taken_at": at, "dataplane": None, "nodes": ["a", "b"], "objects": []}
    owner = {"workflow": "run-1", "namespace": namespace, "person": None}
    texts = {"owner": owner, "snapshot": snapshot, **further}
    data = {"taken_at": at, **{key: json.dumps(value) for key, value in texts.items()}}
    store.put("", "configmaps", {"metadata": {"name": "dataplane-benchmark", "namespace": "kube-system"}, "data": data})
