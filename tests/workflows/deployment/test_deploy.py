"""Deployments: flags, applied objects, changes, failures and undeploying."""

import base64
import io
import json
from typing import Any

import pytest
from kubernetes.client import Configuration

from analysis.console.terminal import Terminal
from analysis.errors import BadInput, Problem, Unsupported
from steps.cluster.kube.api.client import MERGE
from steps.cluster.kube.api.errors import DeniedError
from steps.cluster.kube.api.transport import ApiTransport, ClusterAccess
from tests.steps.kube.fakes.api import WHERE, Api, Fault
from tests.steps.kube.fakes.store import Store
from tests.workflows.deployment.deploying import deploy_to, printed, put_lock, settings, undeploy_from
from tests.workflows.fake_argo import NAMESPACE, cluster
from workflows.deployment.deploy import deploy
from workflows.deployment.user_client import UserClient
from workflows.flags.deploy import DeployFlags

Object = dict[str, Any]
RBAC, ADMISSION = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"
POLICIES = "validatingadmissionpolicies"


def test_deploy_output_ends_with_form_link_and_commands() -> None:
    output = deploy_to(cluster())
    assert "kubectl --context prod -n argo port-forward service/argo-server 2746" in output
    form = (
        "http://localhost:2746/workflow-templates/argo/dataplane-benchmark?sidePanel=submit&parameters[profile]=smoke"
    )
    assert form in output
    assert [line.split()[:2] for line in output.splitlines() if line.startswith("    make ")] == [
        ["make", "submit"], ["make", "query"], ["make", "undeploy"],
    ]  # fmt: skip


def test_deploy_is_idempotent() -> None:
    store = cluster()
    deploy_to(store)
    before = json.dumps(store.all("argoproj.io", "workflowtemplates") + store.all("", "configmaps"))
    output = deploy_to(store)
    assert "unchanged: all" in output
    assert "created" not in output
    assert json.dumps(store.all("argoproj.io", "workflowtemplates") + store.all("", "configmaps")) == before


def test_deploy_names_changed_objects() -> None:
    store = cluster()
    deploy_to(store)
    output = deploy_to(store, outside="edge")
    assert "changed ConfigMap argo/dataplane-benchmark" in output
    assert "1 changed" in output
    assert settings(store)["BENCHMARK_OUTSIDE"] == "edge"


def test_notification_address_is_kept_in_a_secret() -> None:
    store, url = cluster(), "https://hooks.example/services/T0/secret"
    assert url not in deploy_to(store, notify_url=url)
    assert "hooks.example" not in json.dumps(store.all("", "configmaps"))
    kept = store.find("", "secrets", NAMESPACE, "dataplane-benchmark-notify")
    assert kept is not None
    assert base64.b64decode(kept["data"]["url"]).decode() == url
    assert "unchanged: all" in deploy_to(store, notify_url=url)
    assert "deleted Secret argo/dataplane-benchmark-notify, since NOTIFY_URL is empty" in deploy_to(store)
    assert store.find("", "secrets", NAMESPACE, "dataplane-benchmark-notify") is None


def test_notification_secret_of_the_user_stays() -> None:
    store = cluster()
    store.put("", "secrets", {"metadata": {"name": "dataplane-benchmark-notify", "namespace": NAMESPACE}})
    deploy_to(store)
    assert store.find("", "secrets", NAMESPACE, "dataplane-benchmark-notify") is not None


def test_second_deployment_on_a_cluster_is_refused() -> None:
    store = cluster()
    deploy_to(store)
    with pytest.raises(Unsupported, match="has the benchmark in namespace argo"):
        deploy_to(store, namespace="bench", results="s3://b")


def test_own_namespace_is_created_and_argos_is_not() -> None:
    store = cluster()
    output = deploy_to(store, namespace="bench", results="s3://b")
    assert "created Namespace bench" in output
    assert "Secret bench/s3-keys" in output
    assert "created Namespace" not in deploy_to(cluster())


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"image": "bench"}, "has no fixed version"),
        ({"image": "bench:latest"}, "has no fixed version"),
        ({"image": "Bench:1"}, "no valid image"),
        ({"results": "/srv/results"}, "it must be s3://BUCKET"),
        ({"environment": "lab"}, "the lab's own name"),
    ],
)
def test_invalid_deploy_arguments_are_refused(flags: dict[str, str], problem: str) -> None:
    store = cluster()
    with pytest.raises(BadInput, match=problem):
        deploy_to(store, **flags)
    assert store.find("", "configmaps", NAMESPACE, "dataplane-benchmark") is None


def test_missing_deploy_permission_is_reported() -> None:
    store = cluster()
    store.denied = lambda request: request.plural == "clusterroles" and request.verb == "patch"
    with pytest.raises(DeniedError, match=r"not allowed: .*clusterroles.*forbidden"):
        deploy_to(store)


def over_http(api: Api, patience_s: float = 5.0) -> UserClient:
    configuration = Configuration()
    configuration.host = api.url
    return UserClient(ApiTransport(ClusterAccess(configuration), WHERE, patience_s), NAMESPACE)


def test_late_or_lost_api_response_is_retried() -> None:
    with Api(cluster()).running() as api:
        api.faults += [Fault("status", status=503, path="clusterroles"), Fault("cut-after", path="workflowtemplates")]
        output = printed(lambda out: deploy(DeployFlags(image="bench:1"), out, over_http(api)))
    assert "The form:" in output


def test_unreachable_api_server_is_a_problem() -> None:
    api = Api(cluster())
    api._server.server_close()
    with pytest.raises(Problem, match=r"prod: the API server can't be reached for .*refused"):
        deploy(DeployFlags(image="bench:1"), Terminal(file=io.StringIO()), over_http(api, 0.2))


def test_field_of_another_manager_is_kept_unless_forced() -> None:
    store = cluster()
    deploy_to(store, schedule="0 2 * * *")
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/cronworkflows/dataplane-benchmark-nightly"
    edit = json.dumps({"spec": {"schedules": ["0 5 * * *"]}}).encode()
    assert store.handle("PATCH", f"{path}?fieldManager=kubectl-edit", edit, MERGE).status == 200
    with pytest.raises(Problem, match=r"CronWorkflow dataplane-benchmark-nightly .*kubectl-edit.*FORCE=true"):
        deploy_to(store, schedule="0 2 * * *")
    nightly = store.find("argoproj.io", "cronworkflows", NAMESPACE, "dataplane-benchmark-nightly")
    assert nightly is not None
    assert nightly["spec"]["schedules"] == ["0 5 * * *"]
    deploy_to(store, schedule="0 2 * * *", force=True)
    nightly = store.find("argoproj.io", "cronworkflows", NAMESPACE, "dataplane-benchmark-nightly")
    assert nightly is not None
    assert nightly["spec"]["schedules"] == ["0 2 * * *"]


def guards(store: Store) -> list[Object]:
    return store.all("batch", "cronjobs")


def test_guard_is_deployed_at_an_interval_and_left_out_where_it_is_off() -> None:
    store = cluster()
    deploy_to(store)
    (found,) = guards(store)
    assert found["metadata"]["namespace"] == NAMESPACE
    assert settings(store)["BENCHMARK_GUARD_MINUTES"] == "1"
    deploy_to(store, guard="5", pushgateway="http://pushgateway.monitoring:9091")
    assert settings(store)["BENCHMARK_GUARD_MINUTES"] == "5"
    assert settings(store)["BENCHMARK_PUSHGATEWAY"] == "http://pushgateway.monitoring:9091"
    assert "deleted CronJob argo/dataplane-benchmark-guard" in deploy_to(store, guard="off")
    assert guards(store) == []
    deploy_to(store)
    undeploy_from(store)
    assert guards(store) == []


@pytest.mark.parametrize(
    "text", ["no", "0", "7", "90", "-1", "1m", "0017", "0061", "6000", "00", "5.0", "+5", "\u0665", "1" * 5000]
)
def test_interval_of_the_guard_divides_an_hour(text: str) -> None:
    with pytest.raises(BadInput, match=r"GUARD is .*: write off, or a number of minutes that divides an hour"):
        deploy_to(cluster(), guard=text)


def test_schedule_is_deployed_without_the_blanks_that_argo_refuses() -> None:
    assert "Nightly: @every 12h UTC" in deploy_to(cluster(), schedule=" @every 12h ")


@pytest.mark.parametrize("address", ["pushgateway:9091", "http://user:word@gateway", "ftp://gateway"])
def test_address_of_a_pushgateway_is_checked(address: str) -> None:
    with pytest.raises(BadInput, match="PUSHGATEWAY must be an address such as"):
        deploy_to(cluster(), pushgateway=address)


@pytest.mark.parametrize("place", ["beside", "s3://pages/team"])
def test_place_of_the_site_is_one_setting(place: str) -> None:
    store = cluster()
    deploy_to(store, site=place)
    assert settings(store)["BENCHMARK_SITE"] == place


@pytest.mark.parametrize("place", ["/srv/www", "besides", "s3://", "s3://key:word@bucket"])
def test_place_of_the_site_is_one_that_a_pod_reaches(place: str) -> None:
    with pytest.raises(BadInput, match="SITE") as raised:
        deploy_to(cluster(), site=place)
    assert "RESULTS" not in str(raised.value)


def test_undeploy_deletes_exactly_what_deploy_created() -> None:
    store = cluster()
    before = set(store.objects)
    deploy_to(store)
    assert set(store.objects) > before
    undeploy_from(store)
    assert set(store.objects) == before
    assert "Nothing to delete" in undeploy_from(store)


def test_undeploy_from_another_namespace_is_refused() -> None:
    store = cluster()
    deploy_to(store, namespace="bench", results="s3://b")
    there = set(store.objects)
    refused = r"is argo, and prod has the benchmark in bench: .*type `make undeploy CONTEXT=prod NAMESPACE=bench`"
    with pytest.raises(BadInput, match=refused):
        undeploy_from(store, NAMESPACE)
    assert set(store.objects) == there
    assert "deleted Namespace bench" in undeploy_from(store, "bench")
    assert "Nothing to delete" in undeploy_from(store, NAMESPACE)


def test_rest_of_a_deployment_is_deleted_from_its_own_namespace_only() -> None:
    store = cluster()
    deploy_to(store, namespace="bench", results="s3://b")
    store.take(RBAC, "clusterrolebindings", "", "dataplane-benchmark-switch")
    with pytest.raises(BadInput, match="has the benchmark in bench"):
        undeploy_from(store, NAMESPACE)
    undeploy_from(store, "bench")


def test_created_namespace_stays_while_it_has_runs() -> None:
    store = cluster()
    deploy_to(store, namespace="bench", results="s3://b")
    ended = {"metadata": {"name": "run", "namespace": "bench"}, "status": {"phase": "Failed"}}
    store.put("argoproj.io", "workflows", ended)
    assert "Namespace bench stays, since it has 1 workflow and 0 pods" in undeploy_from(store)
    assert store.find("", "namespaces", "", "bench")
    store.take("argoproj.io", "workflows", "bench", "run")
    undeploy_from(store)
    assert store.find("", "namespaces", "", "bench") is None


def test_undeploy_is_refused_while_a_run_holds_the_lock() -> None:
    store = cluster()
    deploy_to(store)
    put_lock(store)
    there = set(store.objects)
    with pytest.raises(Unsupported, match=r"is locked by workflow argo/run-1 .*make restore ENVIRONMENT=prod"):
        undeploy_from(store)
    assert set(store.objects) == there


def put_run(store: Store, name: str, phase: str | None, namespace: str = NAMESPACE) -> None:
    found = {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"workflowTemplateRef": {"name": "dataplane-benchmark"}},
        "status": {"phase": phase} if phase else {},
    }
    store.put("argoproj.io", "workflows", found)


@pytest.mark.parametrize("phase", [None, "Pending", "Running"])
def test_undeploy_is_refused_while_a_run_may_yet_take_the_lock(phase: str | None) -> None:
    store = cluster()
    deploy_to(store)
    put_run(store, "run-1", phase)
    put_run(store, "run-0", "Succeeded")
    other = {"metadata": {"name": "other", "namespace": NAMESPACE}, "spec": {}, "status": {"phase": "Running"}}
    store.put("argoproj.io", "workflows", other)
    there = set(store.objects)
    with pytest.raises(Unsupported, match=r"by 1 workflow of the benchmark that Argo has not ended: argo/run-1\. Wait"):
        undeploy_from(store)
    assert set(store.objects) == there
    for number in range(2, 9):
        put_run(store, f"run-{number}", phase)
    with pytest.raises(Unsupported, match=r"8 workflows .*argo/run-1, argo/run-2, .*argo/run-5 and 3 more\. Wait"):
        undeploy_from(store)


def test_guard_and_rights_stay_where_a_run_begins_during_undeploy() -> None:
    store = cluster()
    deploy_to(store)

    def begins() -> None:
        if store.find("argoproj.io", "cronworkflows", NAMESPACE, "dataplane-benchmark-nightly") is None:
            store.after = lambda: None
            put_run(store, "run-1", "Running")

    store.after = begins
    with pytest.raises(Unsupported, match="argo/run-1"):
        undeploy_from(store)
    for group, plural in (("batch", "cronjobs"), (RBAC, "clusterrolebindings"), (RBAC, "roles"), (ADMISSION, POLICIES)):
        assert store.all(group, plural), plural
    put_run(store, "run-1", "Failed")
    undeploy_from(store)
    assert store.all("batch", "cronjobs") == []


def test_guard_goes_after_what_switches_and_before_its_rights() -> None:
    store = cluster()
    deploy_to(store)
    before = len(store.requests)
    undeploy_from(store)
    gone = [request.plural for request in store.requests[before:] if request.verb == "delete"]
    guard = gone.index("cronjobs")
    assert {*gone[:guard]} == {"cronworkflows", "workflowtemplates"}
    assert {"clusterrolebindings", "clusterroles", "rolebindings", "roles", "serviceaccounts"} <= {*gone[guard:]}


def put_guard(store: Store, phase: str, at: str) -> None:
    """A guard that has begun to put back what run-1 left."""
    owner = {"workflow": None, "namespace": NAMESPACE, "person": "guard guard-1", "uid": "uid-g1"}
    put_lock(store, restorer={"owner": owner, "since": at})
    labels = {"dataplane-benchmark/part": "guard"}
    metadata = {"name": "guard-1", "namespace": NAMESPACE, "uid": "uid-g1", "labels": labels}
    store.put("", "pods", {"metadata": metadata, "status": {"phase": phase}})


def test_guard_that_restores_is_not_switched_off() -> None:
    store = cluster()
    deploy_to(store)
    put_guard(store, "Running", store.now().isoformat())
    before = store.all("", "configmaps"), set(store.objects)
    with pytest.raises(Unsupported, match=r"put back by guard guard-1 since .*GUARD=off would end"):
        deploy_to(store, guard="off", environment="another")
    assert (store.all("", "configmaps"), set(store.objects)) == before, "nothing is applied"
    assert "unchanged: all" in deploy_to(store), "with a guard it may be deployed"
    put_guard(store, "Succeeded", store.now().isoformat())
    assert "deleted CronJob argo/dataplane-benchmark-guard" in deploy_to(store, guard="off")


def test_guard_that_begins_to_restore_during_a_deployment_is_not_switched_off() -> None:
    store = cluster()
    deploy_to(store)

    def begins() -> None:
        store.after = lambda: None
        put_guard(store, "Running", store.now().isoformat())

    store.after = begins
    with pytest.raises(Unsupported, match="GUARD=off would end"):
        deploy_to(store, guard="off", environment="another")
    assert store.all("batch", "cronjobs")
