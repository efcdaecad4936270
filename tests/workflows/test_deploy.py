"""Deploying: what is found, what is decided, what is applied, and every refusal as a sentence."""

import io
import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from kubernetes.client import Configuration

from analysis.console.terminal import Terminal
from analysis.errors import BadInput, Problem, Unsupported
from steps.cluster.kube.api.client import MERGE
from steps.cluster.kube.api.errors import DeniedError
from steps.tasks._pod import SECRET
from tests.steps.kube.fake_api import WHERE, Api, Fault
from tests.steps.kube.fake_store import Store
from tests.workflows.fake_argo import NAMESPACE, cluster, person, service
from workflows.deployment import argo, kustomization
from workflows.deployment.artifact_repository import SecretKey
from workflows.deployment.deploy import deploy
from workflows.deployment.kustomization import DeploymentValues
from workflows.deployment.result_store import decide_stores
from workflows.deployment.undeploy import undeploy
from workflows.deployment.user_client import UserClient
from workflows.flags.deploy import DeployFlags
from workflows.template import render

Object = dict[str, Any]
LABELS = {"app.kubernetes.io/name": "dataplane-benchmark", "dataplane-benchmark/part": "deployment"}


def plainly(decided: DeploymentValues) -> list[Object]:
    """The kustomization as kubectl would build it, near enough: the base, a namespace, labels, and the settings."""
    files = kustomization.files(decided)
    built: list[Object] = []
    for name in ("rbac", "settings", "benchmark", "nightly"):
        document = yaml.safe_load((render.DIRECTORY / "base" / f"{name}.yaml").read_text())
        built += document["items"] if document["kind"] == "List" else [document]
    for found in built:
        found["metadata"].setdefault("labels", {}).update(LABELS)
        if not found["kind"].startswith("Cluster"):
            found["metadata"].setdefault("namespace", decided.namespace)
        for subject in found.get("subjects", []):
            subject["namespace"] = decided.namespace
        if found["kind"] == "ConfigMap":
            found["data"] |= yaml.safe_load(files["settings.yaml"])["data"]
    if decided.brings_namespace:
        built.insert(0, {"kind": "Namespace", "metadata": {"name": decided.namespace, "labels": dict(LABELS)}})
    return built


@pytest.fixture(autouse=True)
def _without_kubectl(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "with_kubectl" not in request.keywords:
        monkeypatch.setattr(kustomization, "build_objects", plainly)


def told(run: Callable[[Terminal], object]) -> str:
    out = io.StringIO()
    run(Terminal(file=out, width=300))
    return out.getvalue()


def put(store: Store, namespace: str = NAMESPACE, **asked: Any) -> str:  # noqa: ANN401 - whatever is asked
    asked.setdefault("image", "bench:1")
    return told(lambda out: deploy(DeployFlags(namespace=namespace, **asked), out, person(store, namespace)))


def settings(store: Store, namespace: str = NAMESPACE) -> dict[str, str]:
    found = store.find("", "configmaps", namespace, "dataplane-benchmark")
    assert found is not None
    return dict(found["data"])


def test_deploy_puts_results_beside_argo_artifacts() -> None:
    store = cluster()
    said = put(store)
    assert "Argo Workflows 4.1.2 in namespace argo" in said
    assert settings(store) == {
        "BENCHMARK_ENVIRONMENT": WHERE,
        "BENCHMARK_RESULTS": "s3://artifacts",
        "BENCHMARK_OUTSIDE": "",
        "BENCHMARK_ACCEPT": "",
        "BENCHMARK_NOTIFY_URL": "",
        "AWS_ENDPOINT_URL": "http://minio.minio:9000",
        "AWS_REGION": "eu-west-1",
    }
    stores = decide_stores(person(store), argo.find_argo(person(store)), "")
    assert (stores.access, stores.secret) == (SecretKey("s3-keys", "user"), SecretKey("s3-keys", "pass"))
    assert store.find("argoproj.io", "workflowtemplates", NAMESPACE, "dataplane-benchmark")
    assert store.find("argoproj.io", "cronworkflows", NAMESPACE, "dataplane-benchmark-nightly")


def test_deploy_output_ends_with_form_link_and_commands() -> None:
    said = put(cluster())
    assert "kubectl --context prod -n argo port-forward service/argo-server 2746" in said
    form = (
        "http://localhost:2746/workflow-templates/argo/dataplane-benchmark?sidePanel=submit&parameters[profile]=smoke"
    )
    assert form in said
    assert [line.split()[:2] for line in said.splitlines() if line.startswith("    make ")] == [
        ["make", "submit"], ["make", "query"], ["make", "undeploy"],
    ]  # fmt: skip


def test_deploy_is_idempotent() -> None:
    store = cluster()
    put(store)
    before = json.dumps(store.all("argoproj.io", "workflowtemplates") + store.all("", "configmaps"))
    said = put(store)
    assert "unchanged: all" in said
    assert "created" not in said
    assert json.dumps(store.all("argoproj.io", "workflowtemplates") + store.all("", "configmaps")) == before


def test_deploy_names_changed_objects() -> None:
    store = cluster()
    put(store)
    said = put(store, outside="edge")
    assert "changed ConfigMap argo/dataplane-benchmark" in said
    assert "1 changed" in said
    assert settings(store)["BENCHMARK_OUTSIDE"] == "edge"


@pytest.mark.parametrize("installed", ["v3.5.11", "v3.4.0", "v2.12.0"])
def test_too_old_argo_version_is_refused(installed: str) -> None:
    with pytest.raises(Unsupported, match=r"upgrade it to 3\.6 or later"):
        put(cluster(installed))


@pytest.mark.parametrize(("installed", "says"), [("v4.2.0", "newer than all"), ("latest", "can't be told")])
def test_untested_argo_version_is_noted(installed: str, says: str) -> None:
    assert says in put(cluster(installed))


@pytest.mark.parametrize("installed", ["v3.6.0", "v3.7.4", "v4.0.1", "v4.1.2"])
def test_tested_argo_version_gives_no_note(installed: str) -> None:
    assert "Note:" not in put(cluster(installed))


def test_cluster_without_argo_is_refused() -> None:
    store = cluster()
    store.take("apiextensions.k8s.io", "customresourcedefinitions", "", "cronworkflows.argoproj.io")
    with pytest.raises(Unsupported, match=r"CRD cronworkflows.argoproj.io is missing; install 3.6 to 4.1"):
        put(store)
    assert store.find("argoproj.io", "workflowtemplates", NAMESPACE, "dataplane-benchmark") is None


def test_unserved_argo_api_version_is_refused() -> None:
    store = cluster()
    spec = {"versions": [{"name": "v1", "served": True}, {"name": "v1alpha1", "served": False}]}
    store.put("apiextensions.k8s.io", "customresourcedefinitions",
              {"metadata": {"name": "workflows.argoproj.io"}, "spec": spec})  # fmt: skip
    with pytest.raises(Unsupported, match=r"serves workflows\.argoproj\.io as v1, and v1alpha1 is needed"):
        put(store)


@pytest.mark.parametrize("argument", ["--namespaced", "--managed-namespace=argo"])
def test_controller_of_another_namespace_is_named(argument: str) -> None:
    store = cluster("v4.1.2", None, argument)
    with pytest.raises(Unsupported, match=r"looks at workflows in namespace argo only, not in bench.*NAMESPACE=argo"):
        put(store, namespace="bench", results="s3://b")


def test_second_deployment_on_a_cluster_is_refused() -> None:
    store = cluster()
    put(store)
    with pytest.raises(Unsupported, match="has the benchmark in namespace argo"):
        put(store, namespace="bench", results="s3://b")


def test_own_namespace_is_created_and_argos_is_not() -> None:
    store = cluster()
    said = put(store, namespace="bench", results="s3://b")
    assert "created Namespace bench" in said
    assert "Secret bench/s3-keys" in said
    assert "created Namespace" not in put(cluster())


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"image": "bench"}, "says no version"),
        ({"image": "bench:latest"}, "says no version"),
        ({"image": "Bench:1"}, "no image's name"),
        ({"results": "/srv/results"}, "it must be s3://BUCKET"),
        ({"environment": "lab"}, "the lab's own name"),
    ],
)
def test_invalid_deploy_arguments_are_refused(asked: dict[str, str], says: str) -> None:
    store = cluster()
    with pytest.raises(BadInput, match=says):
        put(store, **asked)
    assert store.find("", "configmaps", NAMESPACE, "dataplane-benchmark") is None


def test_results_outside_the_artifact_repository_are_noted() -> None:
    store = cluster()
    said = put(store, results="s3://other/deep")
    assert settings(store)["BENCHMARK_RESULTS"] == "s3://other/deep"
    assert "Raw documents go to s3://artifacts" in said


@pytest.mark.parametrize("repository", [None, "gcs: {bucket: x}", "{}"])
def test_results_must_be_named_without_s3_artifact_repository(repository: str | None) -> None:
    with pytest.raises(BadInput, match=r"give RESULTS=s3://BUCKET"):
        put(cluster("v4.1.2", repository))


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
    stores = decide_stores(person(store), argo.find_argo(person(store)), "s3://b/c")
    assert stores.new is not None
    assert {"bucket": "b", "endpoint": "minio:9000", "insecure": True}.items() <= stores.new.items()
    assert keys <= set(stores.new)
    assert "Argo has no artifact repository" in put(store, results="s3://b/c")


def test_artifact_repository_of_the_namespace_takes_precedence() -> None:
    store = cluster()
    annotations = {"workflows.argoproj.io/default-artifact-repository": "mine"}
    store.put("", "configmaps", {
        "metadata": {"name": "artifact-repositories", "namespace": NAMESPACE, "annotations": annotations},
        "data": {"mine": "s3: {bucket: own, endpoint: s3.amazonaws.com}"},
    })  # fmt: skip
    put(store)
    assert settings(store)["BENCHMARK_RESULTS"] == "s3://own"
    assert "AWS_ENDPOINT_URL" not in settings(store)


def test_controller_config_map_as_one_yaml_text() -> None:
    store = cluster("v4.1.2", None)
    store.put("", "configmaps", {
        "metadata": {"name": "workflow-controller-configmap", "namespace": NAMESPACE},
        "data": {"config": "artifactRepository: {s3: {bucket: whole, endpoint: e}}"},
    })  # fmt: skip
    put(store)
    assert settings(store)["BENCHMARK_RESULTS"] == "s3://whole"


def test_missing_s3_secret_is_noted() -> None:
    store = cluster()
    store.take("", "secrets", NAMESPACE, "s3-keys")
    assert "Secret argo/s3-keys, which ConfigMap argo/workflow-controller-configmap names for S3, is missing" in put(
        store
    )


@pytest.mark.parametrize(
    ("found", "url"),
    [
        (service("NodePort", nodePort=30746), "http://10.0.0.1:30746/workflow-templates"),
        (
            service() | {"status": {"loadBalancer": {"ingress": [{"hostname": "argo.example"}]}}},
            "http://argo.example:2746/",
        ),
        (
            service() | {"status": {"loadBalancer": {"ingress": [{"ip": "fd00::9"}]}}},
            "http://[fd00::9]:2746/",
        ),
    ],
)
def test_form_link_of_the_argo_server(found: Object, url: str) -> None:
    store = cluster()
    store.put("", "services", found)
    said = put(store)
    assert url in said
    assert "port-forward" not in said


def test_form_link_on_ipv6_nodes_has_its_address_in_brackets() -> None:
    store = cluster()
    addresses = [{"type": "InternalIP", "address": "fd00::11"}]
    store.put("", "nodes", {"metadata": {"name": "n"}, "status": {"addresses": addresses}})
    store.put("", "services", service("NodePort", nodePort=30746))
    assert "http://[fd00::11]:30746/workflow-templates" in put(store)


def test_no_form_link_without_argo_server() -> None:
    store = cluster()
    store.take("apps", "deployments", NAMESPACE, "argo-server")
    assert "no server of Argo's was found" in put(store)


def test_missing_deploy_permission_is_reported() -> None:
    store = cluster()
    store.denied = lambda request: request.plural == "clusterroles" and request.verb == "patch"
    with pytest.raises(DeniedError, match=r"not allowed: .*clusterroles.*forbidden"):
        put(store)


def over_http(api: Api, patience_s: float = 5.0) -> UserClient:
    configuration = Configuration()
    configuration.host = api.url
    return UserClient(configuration, NAMESPACE, WHERE, patience_s)


def test_late_or_lost_api_response_is_retried() -> None:
    with Api(cluster()).running() as api:
        api.faults += [Fault("status", status=503, path="clusterroles"), Fault("cut-after", path="workflowtemplates")]
        said = told(lambda out: deploy(DeployFlags(image="bench:1"), out, over_http(api)))
    assert "The form:" in said


def test_unreachable_api_server_is_a_problem() -> None:
    api = Api(cluster())
    api._server.server_close()
    with pytest.raises(Problem, match=r"prod: the API server can't be reached for .*refused"):
        deploy(DeployFlags(image="bench:1"), Terminal(file=io.StringIO()), over_http(api, 0.2))


def test_a_field_that_somebody_else_set_is_kept_unless_it_is_forced() -> None:
    store = cluster()
    put(store, schedule="0 2 * * *")
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/cronworkflows/dataplane-benchmark-nightly"
    edit = json.dumps({"spec": {"schedules": ["0 5 * * *"]}}).encode()
    assert store.handle("PATCH", f"{path}?fieldManager=kubectl-edit", edit, MERGE).status == 200
    with pytest.raises(Problem, match=r"CronWorkflow dataplane-benchmark-nightly .*kubectl-edit.*FORCE=true"):
        put(store, schedule="0 2 * * *")
    nightly = store.find("argoproj.io", "cronworkflows", NAMESPACE, "dataplane-benchmark-nightly")
    assert nightly is not None
    assert nightly["spec"]["schedules"] == ["0 5 * * *"]
    put(store, schedule="0 2 * * *", force=True)
    nightly = store.find("argoproj.io", "cronworkflows", NAMESPACE, "dataplane-benchmark-nightly")
    assert nightly is not None
    assert nightly["spec"]["schedules"] == ["0 2 * * *"]


def take(store: Store) -> str:
    return told(lambda out: undeploy("", out, person(store)))


def test_undeploy_deletes_exactly_what_deploy_created() -> None:
    store = cluster()
    before = set(store.objects)
    put(store)
    assert set(store.objects) > before
    take(store)
    assert set(store.objects) == before
    assert "Nothing to take away" in take(store)


def test_created_namespace_stays_while_it_has_runs() -> None:
    store = cluster()
    put(store, namespace="bench", results="s3://b")
    store.put("argoproj.io", "workflows", {"metadata": {"name": "run", "namespace": "bench"}})
    assert "Namespace bench stays, since it holds 1 workflows and 0 pods" in take(store)
    assert store.find("", "namespaces", "", "bench")
    store.take("argoproj.io", "workflows", "bench", "run")
    take(store)
    assert store.find("", "namespaces", "", "bench") is None


def test_undeploy_is_refused_while_a_run_holds_the_lock() -> None:
    store = cluster()
    put(store)
    data = {
        "owner": json.dumps({"workflow": "run-1", "namespace": NAMESPACE, "person": None}),
        "taken_at": "2026-11-25T02:00:00Z",
        "snapshot": json.dumps(
            {"version": 1, "taken_at": "2026-11-25T02:00:00Z", "dataplane": None, "nodes": ["a", "b"], "objects": []}
        ),
    }
    store.put("", "configmaps", {"metadata": {"name": "dataplane-benchmark", "namespace": "kube-system"}, "data": data})
    there = set(store.objects)
    with pytest.raises(Unsupported, match=r"held by workflow argo/run-1 .*make restore ENVIRONMENT=prod"):
        take(store)
    assert set(store.objects) == there


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("bench:1", {"newName": "bench", "newTag": "1"}),
        ("registry:5000/team/bench:v1.2", {"newName": "registry:5000/team/bench", "newTag": "v1.2"}),
        ("ghcr.io/x/y@sha256:" + "a" * 64, {"newName": "ghcr.io/x/y", "digest": "sha256:" + "a" * 64}),
    ],
)
def test_image_reference_is_parsed(image: str, parts: dict[str, str]) -> None:
    assert kustomization.image_parts(image) == {"name": "dataplane-benchmark", **parts}


@pytest.mark.with_kubectl
def test_kubectl_builds_the_deployed_kustomization() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH, and it is what builds kustomizations")
    user, password = SecretKey("keys", "user"), SecretKey("keys", "pass")
    decided = DeploymentValues(
        "bench", "reg:5000/bench:9", {"BENCHMARK_RESULTS": "s3://b"}, user, password,
        {"bucket": "b", "endpoint": "e"}, operator=True, brings_namespace=True, schedule="1 2 * * *",
    )  # fmt: skip
    built = {(o["kind"], o["metadata"]["name"]): o for o in kustomization.build_objects(decided)}
    template = built["WorkflowTemplate", "dataplane-benchmark"]
    references = [
        (v["name"], v["valueFrom"]["secretKeyRef"]["name"], v["valueFrom"]["secretKeyRef"]["key"])
        for t in template["spec"]["templates"] for v in t.get("script", {}).get("env", [])
        if v["name"].startswith("AWS_")
    ]  # fmt: skip
    assert set(references) == {("AWS_ACCESS_KEY_ID", "keys", "user"), ("AWS_SECRET_ACCESS_KEY", "keys", "pass")}
    assert len(references) >= 4
    images = {t["script"]["image"] for t in template["spec"]["templates"] if "script" in t}
    assert images == {"reg:5000/bench:9"}
    data = built["ConfigMap", "dataplane-benchmark"]["data"]
    assert (data["BENCHMARK_RESULTS"], data["BENCHMARK_ENVIRONMENT"]) == ("s3://b", "cluster")
    assert yaml.safe_load(built["ConfigMap", "dataplane-benchmark-artifacts"]["data"]["s3"]) == {
        "s3": {"bucket": "b", "endpoint": "e"}
    }
    assert built["CronWorkflow", "dataplane-benchmark-nightly"]["spec"]["schedules"] == ["1 2 * * *"]
    assert built["Namespace", "bench"]["metadata"]["labels"] == LABELS
    assert {o["metadata"].get("namespace") for o in plainly(decided)} - {"bench"} == {None, "default", "kube-system"}


@pytest.mark.with_kubectl
def test_missing_kubectl_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unsupported, match="kubectl is not on PATH"):
        put(cluster())
