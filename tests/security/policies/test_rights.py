"""The table of permissions against the calls that a real API server logged: nothing is missing, nothing is beyond need.

The recording is of a smoke run with all four dataplanes. BENCHMARK_TEST_AUDIT_LOG names the audit log of another run
(level Metadata), which is compared likewise.
"""

import os
from pathlib import Path

import pytest

from steps.cluster.kube.api import permissions
from steps.cluster.kube.api.permissions import (
    BENCHMARK,
    CLUSTER,
    CRD_GROUP,
    KUBE_SYSTEM,
    PERMISSIONS,
    SERVICES_ENDPOINT,
    Permission,
    relevant,
)
from tests.security.policies.audit import Call, calls, dump, load

RECORDED = Path(__file__).parent / "recorded" / "audit-calls.jsonl"
LIVE = os.environ.get("BENCHMARK_TEST_AUDIT_LOG", "")
GROUPS = {CRD_GROUP, "argoproj.io", "policy.networking.k8s.io"}
"""API groups of the recorded cluster, beside Kubernetes' own: Calico by manifest."""

_POD_DELETED = ("delete", "pods", KUBE_SYSTEM)
RARE: dict[tuple[str, str, str, str | None], str] = {
    ("observe", *_POD_DELETED): "a kube-proxy that has written no rules, which few switches meet",
    ("switch", "get", "workflows", BENCHMARK): "the owner of a lock, where a run is dead or another one waits",
    ("switch", "delete", "configmaps", KUBE_SYSTEM): f"{SERVICES_ENDPOINT} existed before, and is not deleted then",
}
_SCALE = ("services", "endpointslices", "networkpolicies")
RARE |= {
    (role, verb, plural, BENCHMARK): "a run with a scale of its own, and its removal"
    for role in ("switch", "observe")
    for verb in ("list", "create", "patch", "delete", "deletecollection")
    for plural in _SCALE
}
RARE |= {
    ("switch", "list", plural, CLUSTER): "the range of the Services' addresses, where Kubernetes tells it (1.33)"
    for plural in ("servicecidrs", "ipaddresses")
}
"""Permissions that an ordinary run has no need of, and what needs them."""


@pytest.fixture(params=["recorded", "live"])
def logged(request: pytest.FixtureRequest) -> list[Call]:
    if request.param == "recorded":
        return load(RECORDED.read_text(encoding="utf-8"))
    if not LIVE:
        pytest.skip("no audit log: set BENCHMARK_TEST_AUDIT_LOG to an API server's, of a run")
    with Path(LIVE).open(encoding="utf-8") as log:
        return calls(log)


def covers(entry: Permission, call: Call) -> bool:
    return (
        call.role in entry.roles
        and (entry.verb, entry.resource.group, entry.resource.plural) == (call.verb, call.group, call.resource)
        and (entry.subresource, entry.namespace) == (call.subresource, call.namespace)
        and (not entry.names or call.name in entry.names)
    )


def test_every_logged_call_is_in_the_table(logged: list[Call]) -> None:
    unknown = [
        call
        for call in logged
        if call.resource not in {"", "workflowtaskresults"} and not any(covers(entry, call) for entry in PERMISSIONS)
    ]
    assert unknown == []
    assert {call.path for call in logged} <= {"", "/version", "/apis"}


def test_no_logged_call_was_refused(logged: list[Call]) -> None:
    assert [call for call in logged if call.refused] == []


def test_every_permission_was_used(logged: list[Call]) -> None:
    unused = {
        (role, entry.verb, entry.plural, entry.namespace)
        for entry in relevant(PERMISSIONS, GROUPS)
        for role in entry.roles
        for name in entry.names or ("",)
        if not any(covers(entry, call) and call.role == role and (not name or call.name == name) for call in logged)
    }
    assert unused <= set(RARE)


def test_measure_account_calls_nothing_of_the_cluster(logged: list[Call]) -> None:
    assert {call.resource for call in logged if call.role == "measure"} == {"workflowtaskresults"}


def test_permissions_in_kube_system_are_limited_by_name() -> None:
    unnamed = {
        (entry.verb, entry.plural) for entry in PERMISSIONS if entry.namespace == KUBE_SYSTEM and not entry.names
    }
    # Names of pods are random, and new objects have none yet: the admission policies limit these two. Reading can't be
    # limited by label, and the ConfigMaps that configure kube-proxy and calico-node have names of each cluster's own.
    assert unnamed == {
        ("get", "configmaps"),
        ("create", "configmaps"),
        ("list", "pods"),
        ("watch", "pods"),
        ("delete", "pods"),
        ("get", "pods/log"),
    }


def test_recording_round_trip() -> None:
    text = RECORDED.read_text(encoding="utf-8")
    assert dump(load(text)) == text
    assert permissions.STATE in text
