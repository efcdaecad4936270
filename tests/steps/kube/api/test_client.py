"""The client against an API server over HTTP, with what goes wrong between here and there."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import BadStatusLine, RemoteDisconnected
from pathlib import Path

import pytest
import yaml
from urllib3.exceptions import DecodeError, HTTPError, IncompleteRead, ProtocolError

from analysis.errors import BadInput, Unsupported
from steps.cluster.kube.api import connect
from steps.cluster.kube.api.errors import ApiError, ConflictError, DeniedError, TransientError, unreachable
from steps.cluster.kube.api.permissions import (
    BENCHMARK,
    CONFIGMAPS,
    DAEMONSETS,
    KUBE_PROXY,
    KUBE_SYSTEM,
    NODES,
    PODS,
    STATE,
    Permission,
)
from steps.cluster.kube.workloads.manifests import NAME, NAMED
from tests.steps.kube.fakes.api import NAMESPACE, Api, Fault
from tests.steps.kube.fakes.calico import Calico


@pytest.fixture
def api() -> Iterator[Api]:
    with Api(Calico().store).running() as running:
        yield running


def pod(name: str) -> dict[str, object]:
    return {"metadata": {"name": name, "labels": {"app": "x", NAME: NAMED}}, "spec": {"containers": []}}


def test_object_create_read_delete(api: Api) -> None:
    client = api.client()
    assert client.get(CONFIGMAPS, STATE, KUBE_SYSTEM) is None
    made = client.create(PODS, pod("a"), BENCHMARK)
    assert made["metadata"]["namespace"] == NAMESPACE
    assert [p["metadata"]["name"] for p in client.list(PODS, BENCHMARK, labels="app=x")] == ["a"]
    assert client.list(PODS, BENCHMARK, labels="app=y") == []
    with pytest.raises(ConflictError, match='Pod a failed with status 409: pods "a" already exists'):
        client.create(PODS, pod("a"), BENCHMARK)
    assert client.delete(PODS, "a", BENCHMARK)
    assert not client.delete(PODS, "a", BENCHMARK)


def test_delete_checks_the_uid(api: Api) -> None:
    client = api.client()
    client.create(PODS, pod("a"), BENCHMARK)
    with pytest.raises(ConflictError):
        client.delete(PODS, "a", BENCHMARK, uid="another")


def test_list_is_paged(api: Api) -> None:
    client = api.client()
    for number in range(7):
        client.create(PODS, pod(f"p{number}"), BENCHMARK)
    api.store.page = 3
    assert len(client.list(PODS, BENCHMARK)) == 7


def test_merge_patch_with_old_resource_version_is_a_conflict(api: Api) -> None:
    client = api.client()
    found = client.get(DAEMONSETS, KUBE_PROXY, KUBE_SYSTEM)
    assert found is not None
    patch = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "spec": {"minReadySeconds": 1}}
    assert client.patch(DAEMONSETS, KUBE_PROXY, patch, KUBE_SYSTEM)["spec"]["minReadySeconds"] == 1
    with pytest.raises(ConflictError, match="the object has been modified"):
        client.patch(DAEMONSETS, KUBE_PROXY, patch | {"spec": {"minReadySeconds": 2}}, KUBE_SYSTEM)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("cut", 3),
        Fault("status", 2, status=500),
        Fault("status", 2, status=503),
        Fault("status", 1, status=429, retry_after="0"),
        Fault("slow", 1, delay_s=0.2),
    ],
    ids=lambda f: f"{f.kind} {f.status}",
)
def test_transient_api_errors_are_retried(api: Api, fault: Fault) -> None:
    api.faults.append(fault)
    assert len(api.client().list(NODES)) == 2
    assert fault.times == 0


def test_retry_after_header_is_respected(api: Api) -> None:
    api.faults.append(Fault("status", 1, status=429, retry_after="1"))
    began = time.monotonic()
    api.client().list(NODES)
    assert time.monotonic() - began >= 1


def test_write_with_lost_response_is_applied_once(api: Api) -> None:
    client = api.client()
    api.faults.append(Fault("cut-after", 1, method="PATCH"))
    patch = {"spec": {"minReadySeconds": 5}}
    assert client.patch(DAEMONSETS, KUBE_PROXY, patch, KUBE_SYSTEM)["spec"]["minReadySeconds"] == 5
    found = client.get(DAEMONSETS, KUBE_PROXY, KUBE_SYSTEM)
    assert found is not None
    assert found["metadata"]["generation"] == 2


def test_retries_end_with_a_problem(api: Api) -> None:
    api.faults.append(Fault("cut", 10_000))
    with pytest.raises(TransientError, match=r"prod: the API server can't be reached for the list of nodes: "):
        api.client(patience_s=0.3).list(NODES)


def test_unreachable_api_server() -> None:
    api = Api(Calico().store)
    client = api.client(patience_s=0.2)
    with api.running():
        pass
    with pytest.raises(TransientError, match="can't be reached"):
        client.list(NODES)


def test_forbidden_call_is_not_retried(api: Api) -> None:
    api.store.denied = lambda request: request.plural == "nodes"
    began = api.answered
    with pytest.raises(DeniedError, match="prod: not allowed: nodes"):
        api.client().list(NODES)
    assert api.answered == began + 1


def test_call_outside_the_permission_table_is_refused(api: Api) -> None:
    with pytest.raises(LookupError, match="patch daemonsets calico-node in kube-system"):
        api.client().patch(DAEMONSETS, "calico-node", {}, KUBE_SYSTEM)
    assert api.answered == 0


def test_clock_is_the_api_servers(api: Api) -> None:
    api.store.shift = timedelta(hours=-5)
    assert api.client().now() == datetime(2026, 11, 23, 1, 0, tzinfo=UTC)


def test_pod_log_since_a_time(api: Api) -> None:
    api.store.put("", "pods", {"metadata": {"name": "a", "namespace": NAMESPACE}})
    api.store.say(NAMESPACE, "a", "old")
    api.store.shift += timedelta(seconds=10)
    api.store.say(NAMESPACE, "a", "new")
    client = api.client()
    assert client.log("a", BENCHMARK, timestamps=False) == b"old\nnew\n"
    assert client.log("a", BENCHMARK, since=client.now(), timestamps=False) == b"new\n"
    assert client.log("a", BENCHMARK, tail_lines=1).endswith(b"Z new\n")
    assert client.log("gone", BENCHMARK) == b""


def test_log_of_a_container_that_has_not_started_is_empty(api: Api) -> None:
    """As on a real cluster, whose API refuses it with status 400."""
    api.store.put("", "pods", {"metadata": {"name": "a", "namespace": NAMESPACE}})
    api.store.initializing.add((NAMESPACE, "a"))
    assert api.client().log("a", BENCHMARK, container="calico-node") == b""


def test_self_subject_access_review_for_each_name(api: Api) -> None:
    api.store.denied = lambda request: request.name == "b"
    both = Permission("get", CONFIGMAPS, KUBE_SYSTEM, frozenset({"switch"}), ("a", "b"))
    one = Permission("get", CONFIGMAPS, KUBE_SYSTEM, frozenset({"switch"}), ("a",))
    client = api.client()
    assert client.allows(one)
    assert not client.allows(both)


def _later(act: object, *, api: Api) -> threading.Thread:
    """Act when a watch has begun."""

    def run() -> None:
        while not any(request.verb == "watch" for request in api.store.requests):
            time.sleep(0.005)
        assert callable(act)
        act()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("trouble", ["none", "break", "gone"])
def test_watch_reports_additions_across_reconnects(api: Api, trouble: str) -> None:
    client = api.client()
    if trouble == "break":
        api.faults.append(Fault("break", 2, path="watch=true"))

    def act() -> None:
        if trouble == "gone":
            api.store.compact()
        for name in ("a", "b", "c"):
            client.create(PODS, pod(name), BENCHMARK)

    thread = _later(act, api=api)
    found = client.until(PODS, BENCHMARK, lambda pods: len(pods) == 3, 10.0)
    thread.join()
    assert found is not None
    assert {p["metadata"]["name"] for p in found} == {"a", "b", "c"}


def test_watch_reports_deletions(api: Api) -> None:
    client = api.client()
    client.create(PODS, pod("a"), BENCHMARK)
    thread = _later(lambda: client.delete(PODS, "a", BENCHMARK), api=api)
    assert client.until(PODS, BENCHMARK, lambda pods: not pods, 10.0) == []
    thread.join()


def test_watch_ends_at_its_timeout(api: Api) -> None:
    assert api.client().until(PODS, BENCHMARK, lambda pods: len(pods) == 9, 0.3) is None


def _kubeconfig(path: Path, url: str) -> str:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "the-cluster", "cluster": {"server": url}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
        "contexts": [{"name": "staging", "context": {"cluster": "the-cluster", "user": "me"}}],
        "current-context": "staging",
    }
    file = path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return str(file)


@pytest.mark.parametrize("environment", ["staging", "the-cluster"])
def test_environment_names_a_kubeconfig_context_or_cluster(api: Api, tmp_path: Path, environment: str) -> None:
    variables = {"KUBECONFIG": _kubeconfig(tmp_path, api.url), "BENCHMARK_NAMESPACE": "here"}
    client = connect.connect(environment, variables)
    assert client.namespace == "here"
    assert client.version() == "v1.35.4"


def test_unknown_environment_name_is_refused(tmp_path: Path) -> None:
    variables = {"KUBECONFIG": _kubeconfig(tmp_path, "http://127.0.0.1:9")}
    with pytest.raises(
        BadInput, match=r"environment 'prod' is neither the lab nor a context of the kubeconfig .*: it has"
    ):
        connect.connect("prod", variables)


def test_missing_kubeconfig_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="there is no way to a cluster"):
        connect.connect("prod", {"KUBECONFIG": str(tmp_path / "none")})
    broken = tmp_path / "broken"
    broken.write_text("{")
    with pytest.raises(Unsupported, match=r"the kubeconfig .* can't be read"):
        connect.connect("prod", {"KUBECONFIG": str(broken)})


def test_invalid_namespace_is_refused(tmp_path: Path) -> None:
    variables = {"KUBECONFIG": _kubeconfig(tmp_path, "http://127.0.0.1:9"), "BENCHMARK_NAMESPACE": "No/Such"}
    with pytest.raises(BadInput, match="BENCHMARK_NAMESPACE is 'No/Such'"):
        connect.connect("staging", variables)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"[]"),
        (200, b"null"),
        (200, b"5"),
        (200, b"<html>log in</html>"),
        (200, b'{"items": {"a": 1}, "groups": 5}'),
        (200, b"[" * 100_000),
        (200, b"\xff\xfe{}"),
        (302, b""),
    ],
)
def test_api_answer_that_is_none_of_kubernetes_is_a_sentence(api: Api, status: int, body: bytes) -> None:
    api.faults = [Fault("garbage", status=status, body=body, times=3)]
    client = api.client()
    for call in (client.groups, lambda: client.get(CONFIGMAPS, STATE, KUBE_SYSTEM), lambda: client.list(NODES)):
        with pytest.raises(ApiError, match="That is no answer of Kubernetes, so something in between gave it"):
            call()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer")), "reset by peer"),
        (ProtocolError("Connection aborted.", RemoteDisconnected("closed")), "closed during the answer or before"),
        (ProtocolError("Connection aborted.", BadStatusLine("SSH-2.0")), "does not speak HTTP"),
        (ProtocolError("broken", IncompleteRead(7, 1000)), "closed during the answer"),
        (DecodeError("Received response with content-encoding: gzip, but failed to decode it.", None), "gzip"),
    ],
)
def test_broken_connection_is_described_in_words(error: HTTPError, words: str) -> None:
    output = str(unreachable("prod", "Pod x", error))
    assert words in output
    assert "Error" not in output
    assert "(" not in output
