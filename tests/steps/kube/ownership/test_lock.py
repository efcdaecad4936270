"""The lock of a cluster: who holds it, what its text may say, and what configure demands of it."""

import base64
import gzip
import json
from typing import Any

import pytest

from analysis.errors import Problem, Unsupported
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.api.permissions import KUBE_SYSTEM, STATE
from steps.cluster.kube.ownership import lock, workflow_record
from tests.steps.kube.fakes.api import direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.test_adapter import OTHER, RUN, holder, kube, put_workflow, settings, visit

SUCCEEDED = {
    "preflight": {"templateName": "preflight", "phase": "Succeeded"},
    "snapshot": {"templateName": "snapshot", "phase": "Succeeded"},
}


def writes(calico: Calico) -> list[str]:
    return [request.verb for request in calico.store.requests if request.verb not in {"get", "list", "watch"}]


def data_of(calico: Calico) -> dict[str, str]:
    found = calico.store.find("", "configmaps", KUBE_SYSTEM, STATE)
    assert found is not None
    data: dict[str, str] = found["data"]
    return data


@pytest.mark.parametrize(
    "nodes",
    [
        None,
        {},
        {"configure": {"templateName": "configure", "phase": "Running"}},
        {name: {**node, "phase": "Failed"} for name, node in SUCCEEDED.items()},
        {"snapshot": SUCCEEDED["snapshot"]},
    ],
)
def test_configure_as_entrypoint_changes_nothing(nodes: dict[str, object] | None) -> None:
    calico = Calico()
    if nodes is not None:
        put_workflow(calico, nodes=nodes)
    with pytest.raises(Unsupported, match="run-1 does not hold the cluster, since its preflight and snapshot have not"):
        kube(calico, RUN).configure(visit("ebpf"), settings())
    assert writes(calico) == []


def test_configure_with_the_record_of_another_workflow_of_that_name_changes_nothing() -> None:
    calico = Calico()
    put_workflow(calico, nodes=SUCCEEDED)
    for uid in ({}, {"ARGO_WORKFLOW_UID": "uid-0"}):
        with pytest.raises(Unsupported, match="does not hold the cluster"):
            kube(calico, {"ARGO_WORKFLOW_NAME": "run-1", **uid}).configure(visit("ebpf"), settings())
    assert writes(calico) == []


@pytest.mark.parametrize(
    "spec", [{}, {"workflowTemplateRef": {"name": "evil"}}, {"templates": [{"name": "preflight"}]}]
)
def test_configure_after_templates_of_the_same_names_changes_nothing(spec: dict[str, object]) -> None:
    calico = Calico()
    put_workflow(calico, nodes=SUCCEEDED, spec=spec)
    with pytest.raises(Unsupported, match="does not hold the cluster"):
        kube(calico, RUN).configure(visit("ebpf"), settings())
    assert writes(calico) == []


def test_configure_under_the_lock_of_a_deleted_workflow_of_that_name_is_refused() -> None:
    calico = Calico()
    holder(calico)
    with pytest.raises(Unsupported, match="held by workflow bench/run-1"):
        kube(calico, {**RUN, "ARGO_WORKFLOW_UID": "uid-0"}).configure(visit("ebpf"), settings())


def compressed(nodes: object) -> str:
    return base64.b64encode(gzip.compress(json.dumps(nodes).encode(), mtime=0)).decode()


@pytest.mark.parametrize("status", [{"nodes": SUCCEEDED}, {"compressedNodes": compressed(SUCCEEDED)}])
def test_retried_run_takes_its_lock_again(status: dict[str, Any]) -> None:
    calico = Calico()
    who = holder(calico)
    who.restore()
    put_workflow(calico, **status)
    assert who.configure(visit("ebpf"), settings())
    assert json.loads(data_of(calico)["owner"])["uid"] == "uid-1"


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "AAAA",
        compressed([1]),
        base64.b64encode(gzip.compress(b"0" * 2**25, mtime=0)).decode(),
        compressed("")[:-20],
    ],
)
def test_damaged_or_huge_record_of_a_workflow_is_none(text: str) -> None:
    calico = Calico()
    put_workflow(calico, compressedNodes=text)
    with pytest.raises(Unsupported, match="does not hold the cluster"):
        kube(calico, RUN).configure(visit("ebpf"), settings())


@pytest.mark.parametrize("nodes", [None, {}, {"preflight": {**SUCCEEDED["preflight"], "phase": "Failed"}}])
def test_snapshot_as_entrypoint_takes_no_lock(nodes: dict[str, object] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow_record, "_RECORD_S", 0.0)
    calico = Calico()
    if nodes is not None:
        put_workflow(calico, nodes=nodes)
    with pytest.raises(Unsupported, match="the preflight of workflow bench/run-1 has not succeeded"):
        kube(calico, RUN).snapshot()
    assert writes(calico) == []


def test_snapshot_waits_for_the_record_of_its_preflight() -> None:
    calico = Calico()
    client, _transport = direct_client(calico.store)
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        put_workflow(calico)

    KubernetesCluster("prod", client=client, variables=RUN, say=lambda _s: None, sleep=sleep).snapshot()
    assert pauses == [1.0]
    assert json.loads(data_of(calico)["owner"])["uid"] == "uid-1"


def test_snapshot_is_refused_while_another_holds_the_cluster() -> None:
    calico = Calico()
    holder(calico)
    put_workflow(calico, OTHER)
    with pytest.raises(Unsupported, match="held by workflow bench/run-1"):
        kube(calico, OTHER).snapshot()


def test_holder_of_another_uid_is_dead() -> None:
    calico = Calico()
    who = holder(calico)
    who.configure(visit("ebpf"), settings())
    found = calico.store.put(
        "argoproj.io",
        "workflows",
        {"metadata": {"namespace": "bench", "name": "run-1", "uid": "uid-9"}, "status": {"phase": "Running"}},
    )
    assert found["metadata"]["uid"] == "uid-9"
    assert kube(calico, OTHER).restore(), "the workflow that held the lock is gone"


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


HOSTILE: dict[str, dict[str, Any]] = {
    "another key": {"extra": "x"},
    "no JSON": {"owner": "{"},
    "deep nesting": {"snapshot": nested(100_000)},
    "owner with another field": {"owner": {"workflow": "w", "namespace": "n", "person": None, "argv": ["sh"]}},
    "owner with shell text": {"owner": {"workflow": "w; reboot", "namespace": "n", "person": None}},
    "owner of a long name": {"owner": {"workflow": None, "namespace": None, "person": "x" * 301}},
    "time that is none": {"taken_at": "\x1b[2J"},
    "visit with a command": {"visit": {"visit": 1, "round": 1, "dataplane": "ebpf", "trials": [], "prefix": ["sh"]}},
    "dataplane with markup": {"unfit": {"[/nope]": "x"}},
    "reason of a megabyte": {"unfit": {"ebpf": "x" * 1_000_000}},
}

SNAPSHOTS: dict[str, dict[str, Any]] = {
    "another field": {"command": "sh"},
    "many objects": {"objects": [{"ref": None, "object": None}] * 17},
    "node with a path": {"nodes": ["../../etc"]},
    "object without reference": {"objects": [{"object": {}}]},
    "object of a path": {
        "objects": [
            {
                "ref": {
                    "group": "",
                    "version": "v1",
                    "plural": "pods/exec",
                    "kind": "Pod",
                    "name": "x",
                    "namespace": None,
                },
                "object": {},
            }
        ]
    },
    "key with a path": {"kube_proxy_config_key": "../x"},
}


@pytest.mark.parametrize("case", [*HOSTILE, *SNAPSHOTS])
def test_hostile_lock_is_refused_by_one_sentence(case: str) -> None:
    calico = Calico()
    holder(calico)
    data = data_of(calico)
    if case in SNAPSHOTS:
        data["snapshot"] = json.dumps(json.loads(data["snapshot"]) | SNAPSHOTS[case])
    else:
        data |= {key: v if isinstance(v, str) else json.dumps(v) for key, v in HOSTILE[case].items()}
    client, _transport = direct_client(calico.store)
    before = len(writes(calico))
    for call in (lambda: lock.find_lock(client), kube(calico, RUN).restore, kube(calico).restore_for_user):
        with pytest.raises(Problem, match="is no snapshot that this program reads") as caught:
            call()
        sentence = str(caught.value)
        assert len(sentence) < 1000
        assert "\n" not in sentence
        assert "\x1b" not in sentence
    assert len(writes(calico)) == before


def test_reasons_in_the_lock_are_bounded() -> None:
    calico = Calico()
    who = holder(calico)
    who.configure(visit("ebpf"), settings())
    who.retreat(visit("ebpf"), "x" * 100_000)
    with pytest.raises(Unsupported, match="was found unavailable earlier in this run") as caught:
        who.configure(visit("ebpf"), settings())
    assert len(str(caught.value)) < 3000
