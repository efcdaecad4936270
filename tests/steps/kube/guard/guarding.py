"""A fake cluster that a run left switched, and guards that look at it."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from steps.cluster.kube.adapter import KubernetesCluster
from steps.lease import POD_NAME, POD_UID, SILENT_S
from steps.tasks.guarding.guard_lock import PodApi
from tests.steps.kube.fakes.api import NAMESPACE, KilledError, direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.test_adapter import holder, kube, put_workflow, settings, visit

Object = dict[str, Any]
GUARD = {POD_NAME: "guard-1", POD_UID: "uid-g1", "BENCHMARK_ENVIRONMENT": "prod"}
NEXT_GUARD = {**GUARD, POD_NAME: "guard-2", POD_UID: "uid-g2"}
LATER_S = SILENT_S + 1


class StoreApi(PodApi):
    """The fake API server, as the guard's check calls it."""

    def __init__(self, calico: Calico) -> None:
        self.store = calico.store
        self.namespace = NAMESPACE

    @property
    def now(self) -> datetime:
        return parsedate_to_datetime(self.store.handle("GET", "/version").headers["Date"])

    def get(self, path: str, accept: str = "application/json") -> Object | None:
        del accept
        answer = self.store.handle("GET", path)
        return None if answer.status == 404 else dict(json.loads(answer.body))

    def patch(self, path: str, body: Object) -> None:
        assert self.store.handle("PATCH", path, json.dumps(body).encode(), "application/merge-patch+json").status == 200

    def delete(self, path: str, uid: str) -> None:
        body = json.dumps({"preconditions": {"uid": uid}}).encode()
        assert self.store.handle("DELETE", path, body, "application/json").status in {200, 404, 409}


def switched(dataplane: str = "ebpf") -> tuple[Calico, Object]:
    """A cluster that a running workflow has switched; and its settings from before."""
    calico = Calico()
    before = calico.settings()
    holder(calico).configure(visit(dataplane), settings())
    return calico, before


def guarding(
    calico: Calico, variables: Mapping[str, str] = GUARD, notices: list[str] | None = None
) -> KubernetesCluster:
    return kube(calico, dict(variables), notices)


def put_pod(
    calico: Calico, name: str, phase: str, status: Object | None = None, *, of_run: bool = True, uid: str = ""
) -> None:
    labels = (
        {"workflows.argoproj.io/workflow": "run-1"}
        if of_run
        else {"dataplane-benchmark/part": "guard", "app.kubernetes.io/name": "dataplane-benchmark"}
    )
    metadata: Object = {"namespace": NAMESPACE, "name": name, "labels": labels, **({"uid": uid} if uid else {})}
    metadata["creationTimestamp"] = calico.store.now().isoformat()
    calico.store.put("", "pods", {"metadata": metadata, "spec": {}, "status": {"phase": phase, **(status or {})}})


READY = {"conditions": [{"type": "Ready", "status": "True"}]}
LOST = {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-23T05:00:00Z"}]}


def terminated(calico: Calico) -> None:
    spec = {"workflowTemplateRef": {"name": "dataplane-benchmark"}, "shutdown": "Terminate"}
    put_workflow(calico, phase="Failed", spec=spec, finishedAt="2026-11-23T06:10:00Z")


def killed(calico: Calico, at: int, *, late: bool, variables: Mapping[str, str] = GUARD) -> int:
    """A guard whose pod is killed at this write; how many it made."""
    client, transport = direct_client(calico.store)
    transport.kill_at, transport.kill_after_write = at, late
    cluster = KubernetesCluster(
        "prod", client=client, variables=variables, say=lambda _s: None, sleep=calico.store.advance, gate_s=0
    )
    with suppress(KilledError):
        cluster.restore_left()
    return transport.writes


def half_restored(calico: Calico, variables: Mapping[str, str] = GUARD) -> None:
    """A guard that has begun and is alive."""
    killed(calico, 1, late=False, variables=variables)
    put_pod(calico, variables[POD_NAME], "Running", of_run=False, uid=variables[POD_UID])
