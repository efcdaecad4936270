"""A refusal by the API server comes with the remedy that fits its reason; the messages are Kubernetes 1.35's."""

import json

import pytest

from analysis.errors import Problem
from steps.cluster.kube.api.denials import DENIALS
from steps.cluster.kube.api.errors import ApiError, DeniedError, TransientError, refused
from steps.cluster.kube.api.identity import Identity

PATH = "/api/v1/namespaces/bench/pods"
LOGIN = Identity(
    "user 'me' of the kubeconfig /home/me/.kube/config", "run `aws eks get-token` by hand to see the account"
)

MESSAGES = {
    "RBAC": (
        (
            'pods is forbidden: User "system:serviceaccount:bench:switch" cannot list resource "pods" in API group "" '
            'in the namespace "bench"'
        ),
        "Have an administrator deploy again with the flags of the first time, `make deploy IMAGE=... ...`, or",
    ),
    "RBAC of a path": (
        'forbidden: User "jane" cannot get path "/apis"',
        "Have an administrator deploy again with the flags of the first time, `make deploy IMAGE=... ...`, or",
    ),
    "RBAC of GKE": (
        (
            'nodes is forbidden: User "jane@example.com" cannot list resource "nodes" in API group "" at the cluster '
            'scope: requires one of ["container.nodes.list"] permission(s).'
        ),
        "Have an administrator deploy again with the flags of the first time, `make deploy IMAGE=... ...`, or",
    ),
    "anonymous": (
        (
            'configmaps "x" is forbidden: User "system:anonymous" cannot get resource "configmaps" in API group "" in '
            'the namespace "bench"'
        ),
        (
            "The call had no credentials that the API server knows: user 'me' of the kubeconfig /home/me/.kube/config "
            "gives none; run `aws eks get-token` by hand to see the account."
        ),
    ),
    "impersonation": (
        'users "jane" is forbidden: User "me" cannot impersonate resource "users" in API group "" at the cluster scope',
        "User 'me' of the kubeconfig /home/me/.kube/config acts as somebody else: take `as`",
    ),
    "escalation": (
        (
            'clusterroles.rbac.authorization.k8s.io "dataplane-benchmark" is forbidden: user "jane" '
            '(groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n'
            '{APIGroups:[""], Resources:["nodes"], Verbs:["list"]}'
        ),
        "have a cluster administrator type the same `make deploy`",
    ),
    "Pod Security": (
        (
            'pods "server" is forbidden: violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true), '
            'allowPrivilegeEscalation != false (container "main" must set it to false)'
        ),
        "kubectl label namespace bench pod-security.kubernetes.io/enforce=privileged --overwrite",
    ),
    "quota": (
        'pods "server" is forbidden: exceeded quota: team-quota, requested: pods=1, used: pods=4, limited: pods=4',
        "kubectl -n bench describe resourcequota team-quota",
    ),
    "quota of Services": (
        (
            'services "server" is forbidden: exceeded quota: few, requested: services.nodeports=1, used: '
            "services.nodeports=0, limited: services.nodeports=0"
        ),
        "kubectl -n bench describe resourcequota few",
    ),
    "quota without requests": (
        'pods "server" is forbidden: failed quota: compute: must specify limits.cpu for: main; limits.memory for: main',
        "kubectl -n bench describe resourcequota compute",
    ),
    "quota that is not counted yet": (
        'pods "server" is forbidden: status unknown for quota: compute, resources: pods',
        "kubectl -n bench describe resourcequota compute",
    ),
    "limits": (
        (
            'pods "server" is forbidden: [maximum cpu usage per Container is 500m, but limit is 1, cpu max limit to '
            "request ratio per Container is 2, but provided ratio is 4.000000]"
        ),
        "kubectl -n bench describe limitrange",
    ),
    "limits' ratio": (
        'pods "server" is forbidden: memory max limit to request ratio per Pod is 1, but provided ratio is 2.000000',
        "kubectl -n bench describe limitrange",
    ),
    "webhook": (
        (
            'admission webhook "validate.kyverno.svc-fail" denied the request: resource Pod/bench/server was blocked: '
            'User "jane" cannot get resource "pods"; violates PodSecurity "x"'
        ),
        "have namespace bench exempted from validate.kyverno.svc-fail",
    ),
    "policy": (
        (
            "pods \"server\" is forbidden: ValidatingAdmissionPolicy 'no-host-network' with binding 'all' denied "
            "request: failed expression: !object.spec.hostNetwork"
        ),
        "kubectl describe validatingadmissionpolicy no-host-network",
    ),
    "security context": (
        (
            'pods "server" is forbidden: unable to validate against any security context constraint: [provider '
            '"anyuid": Forbidden: not usable by user or serviceaccount]'
        ),
        "oc adm policy add-scc-to-group privileged system:serviceaccounts:bench",
    ),
    "terminating": (
        'pods "server" is forbidden: unable to create new content in namespace bench because it is being terminated',
        "Namespace bench is being deleted: wait until it is gone",
    ),
    "service account": (
        'pods "s" is forbidden: error looking up service account bench/measure: serviceaccount "measure" not found',
        "Service account bench/measure is not there: deploy again with the flags of the first time, `make deploy",
    ),
    "of another plugin": (
        'pods "server" is forbidden: node "a" does not have the label that this plugin wants',
        "An admission plugin of the cluster refuses it",
    ),
}


def answer(message: str, status: int = 403, body: bytes | None = None) -> Problem:
    if body is None:
        found = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": status}
        body = json.dumps(found | {"reason": "Forbidden", "details": {"kind": "pods"}}).encode()
    return refused("prod", "Pod server", "POST", status, body, None, path=PATH, login=LOGIN)


@pytest.mark.parametrize("case", MESSAGES)
def test_each_denial_reason_has_its_remedy(case: str) -> None:
    message, remedy = MESSAGES[case]
    problem = answer(message)
    assert isinstance(problem, DeniedError)
    assert str(problem).startswith(f"prod: not allowed: {' '.join(message.split())[:200]}")
    assert remedy in str(problem)
    if "make deploy" not in remedy:
        assert "make deploy" not in str(problem)


def test_every_denial_reason_occurs_in_the_recorded_messages() -> None:
    messages = [message for message, _remedy in MESSAGES.values()]
    assert all(any(denial.pattern.search(message) for message in messages) for denial in DENIALS)


@pytest.mark.parametrize("status", [400, 403, 409, 422])
def test_webhook_denial_with_any_status(status: int) -> None:
    problem = answer('admission webhook "w.example" denied the request: no', status)
    assert isinstance(problem, DeniedError)
    assert "exempted from w.example" in str(problem)


def test_failing_webhook_is_retried() -> None:
    message = 'Internal error occurred: failed calling webhook "w.example": failed to call webhook: connection refused'
    assert isinstance(answer(message, 500), TransientError)


def test_401_names_the_credentials_and_how_to_renew_them() -> None:
    problem = answer("Unauthorized", 401)
    assert isinstance(problem, DeniedError)
    assert str(problem) == (
        "prod: the API server doesn't accept the credentials of user 'me' of the kubeconfig /home/me/.kube/config "
        "(Unauthorized): run `aws eks get-token` by hand to see the account."
    )


@pytest.mark.parametrize(
    "body",
    [b"<html><h1>403 Forbidden</h1></html>", b"", b"[]", b"null", b'{"message": "go away"}', b"\xff", b"[" * 9999],
)
def test_403_of_a_proxy_is_no_permission_error(body: bytes) -> None:
    problem = answer("", body=body)
    assert isinstance(problem, DeniedError)
    assert "no answer of Kubernetes" in str(problem)
    assert "make deploy" not in str(problem)


@pytest.mark.parametrize("message", [None, 5, ["x"], {"a": 1}, "x" * 10_000, ""])
def test_unexpected_status_is_a_problem(message: object) -> None:
    for status in (400, 403, 404, 500):
        body = json.dumps({"kind": "Status", "message": message, "details": "none"}).encode()
        problem = answer("", status, body)
        assert isinstance(problem, ApiError | DeniedError)
        assert 20 < len(str(problem)) < 1_000
