"""A program whose port is unavailable, or no port at all, ends with a sentence."""

import socket
from collections.abc import Callable

import pytest

from steps.cluster.kube.probe import echo_server, waiting_client
from steps.measurement.monitors import monitor_http
from steps.serving import exit_code

TOKEN = "0" * 32


@pytest.mark.parametrize(
    ("main", "name"),
    [
        (lambda port: echo_server.main([port, TOKEN]), "echo server"),
        (lambda port: monitor_http.main(["serve", port]), "monitor"),
    ],
)
def test_unavailable_ports_are_reported(
    main: Callable[[str], int], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(port) == 1
        assert capsys.readouterr().err == f"{name}: port {port} is unavailable: Address already in use\n"
    assert main("70000") == 1
    assert capsys.readouterr().err.startswith(f"{name}: port 70000 is unavailable: ")


def test_interrupted_server_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert exit_code(interrupted, "anything") == 130
    monkeypatch.setattr(waiting_client, "serve", lambda _token: interrupted())
    assert waiting_client.main([TOKEN]) == 130
