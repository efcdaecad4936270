"""The guard's program: what it imports, its calls over HTTP, and its metrics."""

import http.client
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from steps.lease import API_SERVERS, POD_NAME
from steps.tasks import guard
from steps.tasks.guarding import guard_metrics
from steps.tasks.guarding.guard_lock import LOCK, GuardApiError, PodApi
from tests.steps.kube.fakes.api import Api, Fault
from tests.steps.kube.fakes.calico import Calico

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
HEAVY = ("analysis", "duckdb", "hera", "kubernetes", "numpy", "pyarrow", "pydantic", "tenacity", "urllib3", "yaml")


def test_idle_guard_imports_the_standard_library_alone() -> None:
    code = "import json, sys, steps.tasks.guard; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    assert [name for name in loaded if name.split(".")[0] in HEAVY] == []
    own = [name for name in loaded if name.startswith("steps")]
    assert own == [
        "steps", "steps.lease", "steps.tasks", "steps.tasks.guard", "steps.tasks.guarding",
        "steps.tasks.guarding.guard_lock", "steps.tasks.guarding.guard_metrics", "steps.tasks.guarding.guard_sweep",
    ]  # fmt: skip


def test_guard_started_by_hand_names_the_command_to_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert guard.main({}) == 2
    assert "by hand, `make restore ENVIRONMENT=...` puts a cluster back" in capsys.readouterr().err


def test_pod_without_an_account_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(PodApi.__init__, "__defaults__", (tmp_path,))
    assert guard.main({POD_NAME: "guard-1"}) == 1
    assert "this pod has no service account" in capsys.readouterr().err


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Api, PodApi]]:
    """An API server, and the guard's calls to it: without TLS, which the fake has not."""

    class Plain:
        def wrap_socket(self, plain: socket.socket, server_hostname: str) -> socket.socket:
            assert server_hostname == "127.0.0.1", "the certificate is the Service's, whatever the address"
            return plain

    monkeypatch.setattr(ssl, "create_default_context", lambda cafile: Plain())  # noqa: ARG005 - of this name
    for name, text in (("namespace", "bench"), ("token", "secret\n")):
        (tmp_path / name).write_text(text)
    api = Api(Calico().store)
    port = api.url.rpartition(":")[2]
    variables = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port}
    with api.running():
        yield api, PodApi(variables, tmp_path)


def test_own_addresses_answer_where_the_service_does_not(served: tuple[Api, PodApi], tmp_path: Path) -> None:
    api, _pod = served
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = str(closed.getsockname()[1])
    variables = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": nobody}
    with pytest.raises(GuardApiError, match=r"the API server can't be reached \(ConnectionRefusedError\)"):
        PodApi(variables, tmp_path).get(LOCK)
    servers = f"127.0.0.1:{nobody},{api.url.removeprefix('http://')}"
    pod = PodApi({**variables, API_SERVERS: servers}, tmp_path)
    assert pod.get(LOCK) is None
    assert pod.get(LOCK) is None


def test_calls_over_http(served: tuple[Api, PodApi]) -> None:
    api, pod = served
    assert pod.get(LOCK) is None
    assert pod.now.year == api.store.now().year, "by the server's clock"
    api.store.put(
        "", "configmaps", {"metadata": {"name": "dataplane-benchmark", "namespace": "kube-system"}, "data": {}}
    )
    pod.patch(LOCK, {"data": {"renewed_at": "x"}})
    found = pod.get(LOCK)
    assert found is not None
    assert found["data"] == {"renewed_at": "x"}


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault("cut"), "the API server gave no answer to GET"),
        (Fault("garbage", status=200), "the API server gave no answer to GET"),
        (Fault("status", status=403), "refused GET /api/v1/namespaces/kube-system/configmaps/dataplane-benchmark with"),
    ],
)
def test_failed_call_is_a_sentence(served: tuple[Api, PodApi], fault: Fault, sentence: str) -> None:
    api, pod = served
    api.faults.append(fault)
    with pytest.raises(GuardApiError, match=sentence):
        pod.get(LOCK)


def test_lost_api_server_ends_the_pod_for_one_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    class Lost(PodApi):
        def __init__(self) -> None:
            self.namespace, self.calls, self._now = "bench", 0, NOW

        def get(self, path: str, accept: str = "") -> dict[str, object] | None:
            del accept
            self.calls += 1
            if self.calls > 2:
                raise GuardApiError("lost")
            if "workflows" in path:
                return {"metadata": {"uid": "u"}, "status": {"phase": "Running"}}
            owner = json.dumps({"workflow": "run-1", "namespace": "bench", "person": None, "uid": "u"})
            return {"metadata": {"uid": "l"}, "data": {"owner": owner, "taken_at": NOW.isoformat()}}

        def patch(self, path: str, body: dict[str, object]) -> None:
            raise AssertionError(path, body)

        def delete(self, path: str, uid: str) -> None:
            raise AssertionError(path, uid)

    slept: list[float] = []
    assert guard.watch(Lost(), {}, lambda *_: 0, slept.append) == 1
    assert 30 <= sum(slept) <= 120
    assert capsys.readouterr().err == "lost\n"


@pytest.mark.parametrize("switched", [False, True])
def test_metrics_are_prometheus_text(*, switched: bool) -> None:
    lines = guard_metrics.text(NOW, switched=switched).splitlines()
    assert [line for line in lines if not line.startswith("# HELP ")] == [
        "# TYPE dataplane_benchmark_cluster_switched gauge",
        f"dataplane_benchmark_cluster_switched {int(switched)}",
        "# TYPE dataplane_benchmark_guard_last_look_timestamp_seconds gauge",
        f"dataplane_benchmark_guard_last_look_timestamp_seconds {int(NOW.timestamp())}",
    ]


def test_metrics_are_pushed_and_a_failure_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, str, str]] = []
    status = 200

    class Connection:
        def __init__(self, host: str, port: int | None, timeout: float) -> None:
            assert (host, port) == ("pushgateway.monitoring", 9091)
            assert timeout <= 2, "a pod lives no longer than 2 s"

        def request(self, method: str, path: str, body: str, headers: dict[str, str]) -> None:
            del headers
            sent.append((method, path, body))
            if status == 0:
                raise ConnectionRefusedError

        def getresponse(self) -> "Connection":
            self.status = status
            return self

        def close(self) -> None: ...

    monkeypatch.setattr(http.client, "HTTPConnection", Connection)
    gateway = "http://pushgateway.monitoring:9091/"
    names = {
        "prod 1": "environment/prod%201",
        "eu/prod": "environment@base64/ZXUvcHJvZA==",  # a Pushgateway's only way to a slash, by its documentation
    }
    for name, label in names.items():
        assert guard_metrics.push(gateway, name, NOW, switched=True) == ""
        method, path, body = sent[-1]
        assert (method, path) == ("PUT", f"/metrics/job/dataplane-benchmark-guard/{label}")
    assert body == guard_metrics.text(NOW, switched=True)
    status = 400
    assert guard_metrics.push(gateway, "p", NOW, switched=True).endswith("refused the metrics with status 400.")
    status = 0
    assert "could not be pushed to pushgateway.monitoring (ConnectionRefused" in guard_metrics.push(
        gateway, "p", NOW, switched=True
    )
    assert guard_metrics.push("http://[::1", "p", NOW, switched=True).startswith(
        "the metrics could not be pushed to the Pushgateway (ValueError)"
    )
