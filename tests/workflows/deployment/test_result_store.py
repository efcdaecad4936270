"""The store of a deployment: Argo's artifact repository, credentials and endpoints."""

from typing import Any

import pytest

from analysis.errors import BadInput
from steps.tasks.shared.pod import SECRET
from tests.steps.kube.fakes.api import WHERE
from tests.workflows.deployment.deploying import deploy_to, settings
from tests.workflows.fake_argo import NAMESPACE, cluster, person
from workflows.deployment import argo
from workflows.deployment.artifact_repository import SecretKey
from workflows.deployment.result_store import choose_store

Object = dict[str, Any]


def test_deploy_puts_results_beside_argo_artifacts() -> None:
    store = cluster()
    store.serve("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
    metadata = {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}}
    endpoints = [{"addresses": ["10.0.0.2"]}, {"addresses": ["fd00::1"]}]
    slice_ = {"metadata": metadata, "endpoints": endpoints, "ports": [{"name": "https", "port": 6443}]}
    store.put("discovery.k8s.io", "endpointslices", slice_)
    output = deploy_to(store)
    assert "Argo Workflows 4.1.2 in namespace argo" in output
    assert settings(store) == {
        "BENCHMARK_ENVIRONMENT": WHERE,
        "BENCHMARK_CONTEXT": WHERE,
        "BENCHMARK_RESULTS": "s3://artifacts",
        "BENCHMARK_OUTSIDE": "",
        "BENCHMARK_ACCEPT": "",
        "BENCHMARK_API_SERVERS": "10.0.0.2:6443,[fd00::1]:6443",
        "BENCHMARK_NOTIFY_URL": "",
        "BENCHMARK_SITE": "",
        "BENCHMARK_PUSHGATEWAY": "",
        "BENCHMARK_GUARD_MINUTES": "1",
        "AWS_ENDPOINT_URL": "http://minio.minio:9000",
        "AWS_REGION": "eu-west-1",
    }
    chosen = choose_store(person(store), argo.find_argo(person(store)), "")
    assert (chosen.access, chosen.secret) == (SecretKey("s3-keys", "user"), SecretKey("s3-keys", "pass"))
    assert store.find("argoproj.io", "workflowtemplates", NAMESPACE, "dataplane-benchmark")
    assert store.find("argoproj.io", "cronworkflows", NAMESPACE, "dataplane-benchmark-nightly")


def test_results_outside_the_artifact_repository_are_noted() -> None:
    store = cluster()
    output = deploy_to(store, results="s3://other/deep")
    assert settings(store)["BENCHMARK_RESULTS"] == "s3://other/deep"
    assert "Raw documents go to s3://artifacts" in output


@pytest.mark.parametrize("repository", [None, "gcs: {bucket: x}", "{}"])
def test_results_must_be_named_without_s3_artifact_repository(repository: str | None) -> None:
    with pytest.raises(BadInput, match=r"give RESULTS=s3://BUCKET"):
        deploy_to(cluster("v4.1.2", repository))


@pytest.mark.parametrize(
    ("secrets", "keys"), [([SECRET], {"accessKeySecret", "secretKeySecret"}), ([], {"useSDKCreds"})]
)
def test_deploy_configures_a_missing_artifact_repository(
    monkeypatch: pytest.MonkeyPatch, secrets: list[str], keys: set[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio:9000")
    store = cluster("v4.1.2", None)
    for name in secrets:
        store.put("", "secrets", {"metadata": {"name": name, "namespace": NAMESPACE}})
    chosen = choose_store(person(store), argo.find_argo(person(store)), "s3://b/c")
    assert chosen.repository is not None
    assert {"bucket": "b", "endpoint": "minio:9000", "insecure": True}.items() <= chosen.repository.items()
    assert keys <= set(chosen.repository)
    assert "Argo has no artifact repository" in deploy_to(store, results="s3://b/c")


def test_artifact_repository_of_the_namespace_takes_precedence() -> None:
    store = cluster()
    annotations = {"workflows.argoproj.io/default-artifact-repository": "mine"}
    store.put("", "configmaps", {
        "metadata": {"name": "artifact-repositories", "namespace": NAMESPACE, "annotations": annotations},
        "data": {"mine": "s3: {bucket: own, endpoint: s3.amazonaws.com}"},
    })  # fmt: skip
    deploy_to(store)
    assert settings(store)["BENCHMARK_RESULTS"] == "s3://own"
    assert "AWS_ENDPOINT_URL" not in settings(store)


def test_controller_config_map_as_one_yaml_text() -> None:
    store = cluster("v4.1.2", None)
    store.put("", "configmaps", {
        "metadata": {"name": "workflow-controller-configmap", "namespace": NAMESPACE},
        "data": {"config": "artifactRepository: {s3: {bucket: whole, endpoint: e}}"},
    })  # fmt: skip
    deploy_to(store)
    assert settings(store)["BENCHMARK_RESULTS"] == "s3://whole"


def test_missing_s3_secret_is_noted() -> None:
    store = cluster()
    store.take("", "secrets", NAMESPACE, "s3-keys")
    assert (
        "Secret argo/s3-keys, which ConfigMap argo/workflow-controller-configmap names for S3, is missing"
        in deploy_to(store)
    )
