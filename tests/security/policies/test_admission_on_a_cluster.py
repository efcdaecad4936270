"""The deployed admission policies on a real API server: they compile, admit a run's pods, and refuse hostile ones.

BENCHMARK_TEST_CLUSTER names the kubeconfig's context, where `make deploy` must have been. Nothing is created.
"""

import copy
import json
import os

import pytest

from analysis.errors import Problem
from steps.cluster.kube.api.permissions import PODS as POD
from tests.security.policies import test_admission_policies as recorded
from tests.security.policies.test_admission_policies import ANY_POD, OWN, OWN_PODS, PODS, STEP, STEPS, Object, cases
from workflows.deployment.namespaces import OWN as OWN_NAMESPACE
from workflows.deployment.namespaces import find_namespace
from workflows.deployment.user_client import POLICIES, POLICY_BINDINGS, UserClient
from workflows.template import admission, pod_policy

NAMED = os.environ.get("BENCHMARK_TEST_CLUSTER", "")

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        not NAMED,
        reason="no cluster: set KUBECONFIG, and BENCHMARK_TEST_CLUSTER to the context of one with the benchmark",
    ),
]


@pytest.fixture(scope="module")
def client() -> UserClient:
    found = UserClient.of(NAMED, OWN_NAMESPACE)
    found.namespace = find_namespace(found) or OWN_NAMESPACE
    return found


def refusal(client: UserClient, pod: Object) -> str:
    """Why the API server would not create a pod, with the image that is deployed; empty: it would."""
    policy = client.get(POLICIES, pod_policy.PODS)
    assert policy is not None
    (image, *_) = json.loads(policy["spec"]["variables"][0]["expression"])
    body = json.loads(json.dumps(copy.deepcopy(pod)).replace(recorded.IMAGE, image))
    body["metadata"] = {"name": "admission-test", "labels": pod["metadata"].get("labels", {})}
    body["spec"].pop("nodeName", None)
    for projected in [v for v in body["spec"].get("volumes", []) if v["name"].startswith("kube-api-access")]:
        body["spec"]["volumes"].remove(projected)
        for container in [*body["spec"]["containers"], *body["spec"].get("initContainers", [])]:
            container["volumeMounts"] = [m for m in container["volumeMounts"] if m["name"] != projected["name"]]
    try:
        client.create(POD, body, client.namespace, dry_run=True)
    except Problem as problem:
        return str(problem)
    return ""


def test_deployed_policies_compile_without_warnings(client: UserClient) -> None:
    for item in admission.build_admission()["items"]:
        resource = POLICIES if item["kind"] == POLICIES.kind else POLICY_BINDINGS
        found = client.get(resource, item["metadata"]["name"])
        assert found is not None
        assert (found.get("status") or {}).get("typeChecking", {}).get("expressionWarnings", []) == []


@pytest.mark.parametrize("name", PODS)
def test_pods_of_a_run_are_admitted(client: UserClient, name: str) -> None:
    assert refusal(client, PODS[name]) == ""


HOSTILE = [
    *cases(["measure", "server"], ANY_POD),
    *cases(["configure"], STEP),
    *cases(["look-pod-0"], OWN),
]


@pytest.mark.parametrize("pod", HOSTILE)
def test_hostile_pods_are_refused(client: UserClient, pod: Object) -> None:
    assert refusal(client, pod)


def test_recording_has_both_kinds_of_pods() -> None:
    assert STEPS
    assert OWN_PODS
