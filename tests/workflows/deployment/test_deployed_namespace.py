"""The namespace of a deployment, Argo's credentials in it, and what a shared one means."""

import json
from typing import Any

import pytest

from analysis.errors import Unsupported
from tests.steps.kube.fakes.store import Store
from tests.workflows.deployment.deploying import LABELS, deploy_to, put_lock, settings, undeploy_from
from tests.workflows.fake_argo import NAMESPACE, cluster, person
from workflows.deployment.namespaces import OWN, find_namespace

ADMISSION = "admissionregistration.k8s.io"


def test_default_is_a_namespace_of_its_own() -> None:
    store = cluster()
    output = deploy_to(store, namespace="")
    assert f"created Namespace {OWN}" in output
    assert "Note:" not in output
    assert settings(store, OWN)["BENCHMARK_RESULTS"] == "s3://artifacts"
    assert store.find("", "configmaps", NAMESPACE, "dataplane-benchmark") is None
    assert "    make submit CONTEXT=prod PROFILE=smoke" in output


def test_argo_s3_credentials_are_copied_by_their_keys_alone() -> None:
    store = cluster()
    assert f"created Secret {OWN}/s3-keys" in deploy_to(store, namespace="")
    copied = store.find("", "secrets", OWN, "s3-keys")
    assert copied is not None
    assert copied["data"] == {"user": "dXNlcg==", "pass": "cGFzcw=="}
    assert copied["metadata"]["labels"].items() >= LABELS.items()
    original = store.find("", "secrets", NAMESPACE, "s3-keys")
    assert original is not None
    original["data"]["user"] = "bmV3"
    assert f"changed Secret {OWN}/s3-keys" in deploy_to(store, namespace="")
    undeploy_from(store)
    assert store.find("", "secrets", OWN, "s3-keys") is None
    assert store.find("", "secrets", NAMESPACE, "s3-keys")


def test_secret_of_the_user_is_not_overwritten() -> None:
    store = cluster()
    store.put("", "secrets", {"metadata": {"name": "s3-keys", "namespace": OWN}, "data": {"user": "bWluZQ=="}})
    assert "Secret" not in deploy_to(store, namespace="")
    kept = store.find("", "secrets", OWN, "s3-keys")
    assert kept is not None
    assert kept["data"] == {"user": "bWluZQ=="}


def test_credentials_are_not_copied_into_a_namespace_of_others() -> None:
    store = cluster()
    store.put("", "namespaces", {"metadata": {"name": "team"}})
    assert "Secret team/s3-keys, which ConfigMap argo/workflow-controller-configmap names" in deploy_to(store, "team")
    assert store.find("", "secrets", "team", "s3-keys") is None


@pytest.mark.parametrize("argument", ["--namespaced", "--managed-namespace=argo"])
def test_only_watched_namespace_is_used_with_a_note(argument: str) -> None:
    output = deploy_to(cluster("v4.1.2", None, argument), namespace="", results="s3://b")
    assert "Namespace argo (that of Argo's controller) is not the benchmark's alone" in output
    assert "one that watches all namespaces lets the benchmark have its own" in output


@pytest.mark.parametrize("level", ["baseline", "restricted", "privileged"])
def test_shared_namespace_that_admits_no_pod_on_the_nodes_network_is_refused(level: str) -> None:
    store = cluster()
    labels = {"pod-security.kubernetes.io/enforce": level}
    store.put("", "namespaces", {"metadata": {"name": NAMESPACE, "labels": labels}})
    if level == "privileged":
        assert "is not the benchmark's alone" in deploy_to(store, NAMESPACE)
        return
    said = f"enforces the Pod Security level {level}, .* label namespace {NAMESPACE} pod-security"
    with pytest.raises(Unsupported, match=said):
        deploy_to(store, NAMESPACE)


def test_earlier_deployment_stays_where_it_is_with_a_note() -> None:
    store = cluster()
    deploy_to(store, NAMESPACE)
    output = deploy_to(store, namespace="")
    assert "unchanged: all" in output
    assert "`make undeploy CONTEXT=prod NAMESPACE=argo`, then `make deploy CONTEXT=prod ...` with the other" in output


def test_namespace_that_argo_does_not_watch_is_refused() -> None:
    with pytest.raises(Unsupported, match=r"watches namespace argo only, not bench: deploy with NAMESPACE=argo"):
        deploy_to(cluster("v4.1.2", None, "--namespaced"), "bench", results="s3://b")


@pytest.mark.parametrize("place", [NAMESPACE, OWN, "team"])
@pytest.mark.parametrize("may_read_bindings", [True, False])
def test_deployed_namespace_is_found(place: str, may_read_bindings: bool) -> None:  # noqa: FBT001 - a case
    store = cluster()
    assert find_namespace(person(store)) == ""
    deploy_to(store, place, results="s3://b")
    if not may_read_bindings:
        store.denied = lambda request: request.plural == "clusterrolebindings"
    assert find_namespace(person(store)) == ("" if place == "team" and not may_read_bindings else place)


def policies(store: Any) -> dict[str, Any]:  # noqa: ANN401 - the fake
    return {found["metadata"]["name"]: found for found in store.all(ADMISSION, "validatingadmissionpolicies")}


def test_policies_are_deployed_and_deleted_again() -> None:
    store = cluster()
    deploy_to(store, namespace="")
    assert set(policies(store)) >= {"dataplane-benchmark-pods", "dataplane-benchmark-configmaps"}
    output = deploy_to(store, namespace="", admission="off")
    assert "deleted ValidatingAdmissionPolicy dataplane-benchmark-pods" in output
    assert "anyone who may create workflows or pods in the namespace can use the rights" in output
    assert policies(store) == {}


def test_older_api_server_is_noted() -> None:
    store = cluster()
    for kind in [kind for kind in store.kinds if kind[0] == ADMISSION]:
        del store.kinds[kind]
    output = deploy_to(store, namespace="")
    assert "prod has no ValidatingAdmissionPolicy, which Kubernetes serves from 1.30" in output
    assert "created WorkflowTemplate" in output


def put_run(store: Store, name: str, image: str, phase: str, **labels: str) -> None:
    """A workflow with its record of the template as it was when it began."""
    template = {"templates": [{"name": "main"}, {"name": "restore", "script": {"image": image}}]}
    run = {
        "metadata": {"namespace": OWN, "name": name, "labels": labels},
        "spec": {"workflowTemplateRef": {"name": "dataplane-benchmark"}},
        "status": {"phase": phase, "storedWorkflowTemplateSpec": template},
    }
    store.put("argoproj.io", "workflows", run)


def permitted(store: Store, image: str) -> list[str]:
    deploy_to(store, namespace="", image=image)
    found: list[str] = json.loads(policies(store)["dataplane-benchmark-pods"]["spec"]["variables"][0]["expression"])
    return found


def test_images_of_runs_stay_permitted_until_they_end() -> None:
    store = cluster()
    assert permitted(store, "bench:1") == ["bench:1"]
    put_run(store, "nightly", "bench:1", "Running")
    assert permitted(store, "bench:2") == permitted(store, "bench:2") == ["bench:2", "bench:1"]
    put_run(store, "queued", "bench:2", "Pending")
    assert permitted(store, "bench:3") == ["bench:3", "bench:2", "bench:1"], "two upgrades during one run"
    assert permitted(store, "bench:4") == ["bench:4", "bench:3", "bench:2", "bench:1"]
    put_run(store, "nightly", "bench:1", "Succeeded", **{"workflows.argoproj.io/completed": "true"})
    assert permitted(store, "bench:5") == ["bench:5", "bench:4", "bench:2"]
    assert permitted(store, "bench:4") == ["bench:4", "bench:5", "bench:2"], "back again"


def test_image_of_the_locks_holder_stays_permitted() -> None:
    store = cluster()
    permitted(store, "bench:1")
    put_run(store, "run-1", "bench:1", "Failed", **{"workflows.argoproj.io/completed": "true"})
    put_lock(store, OWN)
    permitted(store, "bench:2")
    assert permitted(store, "bench:3") == ["bench:3", "bench:2", "bench:1"]


def test_record_of_a_workflow_permits_no_image_that_no_deployment_did() -> None:
    store = cluster()
    permitted(store, "bench:1")
    put_run(store, "edited", "evil:1", "Running")
    assert permitted(store, "bench:2") == ["bench:2", "bench:1"]
    spec = policies(store)["dataplane-benchmark-pods"]["spec"]
    spec["variables"][0]["expression"] = json.dumps(["bench:2", "evil:1 || true", "evil", 5])
    put_run(store, "edited", "evil:1 || true", "Running")
    assert permitted(store, "bench:3") == ["bench:3", "bench:2"]
