"""What a person sees where no API server answers: at once, as by kubectl; and what a workflow's step outlasts."""

import http.server
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3
from kubernetes.client import Configuration

from analysis.errors import Unsupported
from steps.cluster.kube.api import connect, waiting
from steps.cluster.kube.api import transport as transports
from steps.cluster.kube.api.errors import TransientError
from steps.cluster.kube.api.transport import ApiTransport, ClusterAccess
from tests.steps.kube.api.kubeconfigs import certificate

AT_ONCE_S = 5.0


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers, or waits until it may."""

    def do_GET(self) -> None:
        self.server.go.wait(20)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(*, tls: tuple[Path, Path] | None = None, silent: bool = False) -> Iterator[Any]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.go = threading.Event()  # type: ignore[attr-defined]
    if not silent:
        server.go.set()  # type: ignore[attr-defined]
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.go.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()


@pytest.fixture
def closed() -> int:
    """A port at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that answers no SYN: it listens, and its queue is full."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting_there = [socket.socket() for _ in range(3)]
        for each in waiting_there:
            each.settimeout(0)
            each.connect_ex(listening.getsockname())
        yield int(listening.getsockname()[1])
        for each in waiting_there:
            each.close()


def calling(
    url: str, patience_s: float = 120.0, *, at_prompt: bool = True, ca: Path | None = None
) -> tuple[Callable[[], object], list[str]]:
    configuration = Configuration()
    configuration.host = url
    if ca:
        configuration.ssl_ca_cert = str(ca)
    output: list[str] = []
    transport = ApiTransport(ClusterAccess(configuration), "prod", patience_s, at_prompt=at_prompt, say=output.append)
    return lambda: transport.call("GET", "/version", "the version"), output


def test_unreachable_api_server_is_reported_within_five_seconds() -> None:
    assert waiting.SILENCE_S < AT_ONCE_S


@pytest.mark.parametrize("kind", ["refused", "no such name", "proxy"])
def test_first_call_to_a_refused_port_fails_at_once(closed: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "proxy":
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed}")
    name = "127.0.0.1" if kind == "refused" else "no-such-name.invalid"
    call, output = calling(f"https://{name}:{closed}")
    began = time.monotonic()
    with pytest.raises(Unsupported, match=f"Its address is https://{name}:{closed}: is that right, is the cluster up"):
        call()
    assert time.monotonic() - began < AT_ONCE_S
    assert output == []


def test_step_retries_an_unreachable_api_server_and_reports_it(closed: int) -> None:
    call, output = calling(f"https://127.0.0.1:{closed}", 0.3, at_prompt=False)
    with pytest.raises(TransientError, match=r"can't be reached for the version: .*Connection refused"):
        call()
    (sentence,) = output
    assert sentence.endswith("Connection refused. Trying for 0 s.")


def test_interactive_call_retries_after_a_first_response() -> None:
    with served() as server:
        call, output = calling(f"http://127.0.0.1:{server.server_port}", 0.3)
        assert call() == b"{}"
    with pytest.raises(TransientError, match="Connection refused"):
        call()
    assert output[0].endswith("; Ctrl-C ends it.")


def test_patient_call_after_a_first_response_is_transient(closed: int) -> None:
    configuration = Configuration()
    with served() as server:
        configuration.host = f"http://127.0.0.1:{server.server_port}"
        transport = ApiTransport(ClusterAccess(configuration), "prod", at_prompt=True, say=lambda _said: None)
        assert transport.call("GET", "/version", "the version") == b"{}"
    configuration.host = f"http://127.0.0.1:{closed}"
    with pytest.raises(TransientError, match="Connection refused"):
        transport.patient(0.1).call("GET", "/version", "the version")


def test_silent_api_server_is_reported_and_retried(black_hole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SILENCE_S", 0.05)
    monkeypatch.setattr(transports, "CONNECT_S", 0.3)
    call, output = calling(f"http://127.0.0.1:{black_hole}", 0.5)
    with pytest.raises(TransientError, match="can't be reached for the version: "):
        call()
    assert output == ["prod: the API server has not answered yet for the version. Trying for 0 s; Ctrl-C ends it."]


def test_slow_api_server_is_reported_and_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SILENCE_S", 0.05)
    with served(silent=True) as server:
        call, output = calling(f"http://127.0.0.1:{server.server_port}", at_prompt=False)
        done: list[object] = []
        thread = threading.Thread(target=lambda: done.append(call()))
        thread.start()
        while not output:
            time.sleep(0.005)
        server.go.set()
        thread.join()
    assert output == ["prod: the API server has not answered yet for the version. Trying for 120 s."]
    assert done == [b"{}"]


@pytest.mark.parametrize("kind", ["plain", "untrusted", "another's name"])
def test_tls_version_mismatch_is_a_problem_at_once(tmp_path: Path, kind: str) -> None:
    files = certificate(tmp_path)
    with served(tls=None if kind == "plain" else files) as server:
        url = f"https://127.0.0.1:{server.server_port}"
        call, output = calling(url, at_prompt=False, ca=files[0] if kind == "another's name" else None)
        with pytest.raises(Unsupported) as caught:
            call()
    expected = {
        "plain": "can't agree on TLS",
        "untrusted": "certificate is not trusted (self-signed certificate)",
        "another's name": "certificate is not trusted (IP address mismatch",
    }
    assert expected[kind] in str(caught.value)
    assert output == []


def test_interrupted_tls_handshake_is_retried() -> None:
    def cut(_what: str, _attempt: object) -> object:
        raise urllib3.exceptions.SSLError(ssl.SSLEOFError(8, "EOF occurred in violation of protocol"))

    with pytest.raises(TransientError, match="TLS was interrupted"):
        ApiTransport.guarded(_Nowhere(), "x", lambda: cut("", None))  # type: ignore[arg-type]


class _Nowhere:
    where = "prod"


@pytest.mark.parametrize("host", ["elsewhere.example", "another.example"])
def test_api_server_without_a_service_is_called_by_its_own_address(
    tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transports, "BACKOFF", lambda _state: 0.0)
    files = certificate(tmp_path)  # of elsewhere.example
    configuration = Configuration()
    configuration.ssl_ca_cert = str(files[0])
    with served(tls=files) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        configuration.host = f"https://{host}:6443"
        others = tuple(f"https://127.0.0.1:{port}" for port in (closed.getsockname()[1], server.server_port))
        patience_s = 20.0 if host == "elsewhere.example" else 0.2
        transport = ApiTransport(
            ClusterAccess(configuration, others=others), "prod", patience_s, say=lambda _sentence: None
        )
        transport._ways[0] = (f"https://127.0.0.1:{closed.getsockname()[1]}", transport._ways[0][1])
        if host == "another.example":
            transport._ways = transport._ways[:1] + transport._ways[2:]
            with pytest.raises(TransientError, match=r"can't be reached|certificate is not trusted"):
                transport.call("GET", "/version", "the version")
            return
        assert transport.call("GET", "/version", "the version") == b"{}"
        assert transport.once("GET", "/version", "the version").status == 200, "it stays with the address that answers"


def test_address_with_another_servers_certificate_is_passed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "BACKOFF", lambda _state: 0.0)
    (tmp_path / "another").mkdir()
    files, other_files = certificate(tmp_path), certificate(tmp_path / "another")
    configuration = Configuration()
    configuration.ssl_ca_cert = str(files[0])
    configuration.host = "https://elsewhere.example:6443"
    said: list[str] = []
    with served(tls=other_files) as wrong, served(tls=files) as right:
        others = (f"https://127.0.0.1:{right.server_port}",)
        transport = ApiTransport(ClusterAccess(configuration, others=others), "prod", 20.0, say=said.append)
        transport._ways[0] = (f"https://127.0.0.1:{wrong.server_port}", transport._ways[0][1])
        assert transport.call("GET", "/version", "the version") == b"{}"
    assert len(said) == 1
    assert "certificate is not trusted (self-signed certificate)" in said[0]


def test_step_has_the_servers_own_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "_by_service_account", lambda _context="": ClusterAccess(Configuration()))
    pod = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "BENCHMARK_NAMESPACE": "bench"}
    found = (
        connect.connect("prod", {**pod, "BENCHMARK_API_SERVERS": "10.0.0.1:6443, [fd00::2]:6443"}),
        connect.connect("prod", pod),
    )
    others = [[address for address, _pool in client._transport._ways[1:]] for client in found]
    assert others == [["https://10.0.0.1:6443", "https://[fd00::2]:6443"], []]
