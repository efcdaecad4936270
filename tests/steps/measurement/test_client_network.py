"""A client whose pod somebody else listens in is a proxy's client: its trials fail, and say so."""

import socket
from pathlib import Path

import pytest

from steps import documents
from steps.collect.trial_rows import trial_row
from steps.collect.visit_record import VisitRecord
from steps.domain import Visit
from steps.measurement import client_network
from tests.steps.builders import placement, trial

IN_A_STEP = {"ARGO_CONTAINER_NAME": "main"}
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
ENVOY = HEAD + "   0: 0100007F:3A98 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1337 0 1 1 0\n"
BUSY = HEAD + "   0: 0100007F:3A98 0100007F:1451 01 00000000:00000000 00:00000000 00000000  1337 0 1 1 0\n"
ZTUNNEL = (
    HEAD + "   0: 00000000000000000000000000000000:3A98 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 1\n"
)


def tables(directory: Path, **text: str) -> Path:
    for name, content in text.items():
        (directory / name).write_text(content)
    return directory


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ({"tcp": ENVOY, "tcp6": HEAD}, (15000,)),
        ({"tcp": HEAD, "tcp6": ZTUNNEL}, (15000,)),
        ({"tcp": BUSY, "tcp6": HEAD}, ()),
        ({"tcp": ENVOY + "garbage\n"}, (15000,)),
        ({}, ()),
    ],
)
def test_listening_ports_from_proc_net(tmp_path: Path, text: dict[str, str], ports: tuple[int, ...]) -> None:
    assert client_network.listening_ports(tables(tmp_path, **text)) == ports


def test_real_listening_socket_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert port in client_network.listening_ports()
    assert port not in client_network.listening_ports()


def test_only_pod_network_steps_are_checked(tmp_path: Path) -> None:
    here = tables(tmp_path, tcp=ENVOY)
    reason = client_network.sharing_reason(placement(), IN_A_STEP, here)
    assert reason is not None
    assert "TCP port 15000" in reason
    assert client_network.sharing_reason(placement(), {}, here) is None, "on one machine others may listen"
    assert client_network.sharing_reason(placement(host_network=True), IN_A_STEP, here) is None
    assert client_network.sharing_reason(placement(namespace="pod-a"), IN_A_STEP, here) is None
    assert client_network.sharing_reason(placement(), IN_A_STEP, tables(tmp_path, tcp=BUSY)) is None


def test_listening_client_fails_every_trial(tmp_path: Path) -> None:
    trials = [trial(trial=number) for number in (1, 2)]
    client_network.refuse(placement(), trials, tmp_path, "a proxy listens")
    visit = Visit(visit=1, round=1, dataplane="lab-iptables", trials=tuple(trials))
    for planned in trials:
        document = documents.read_document(tmp_path / documents.trial_name(planned.trial), documents.TrialDocument)
        record = VisitRecord(visit, configure=None, settle=None, prepare=None, clear=None, references=())
        row = trial_row(planned, document, None, record)
        assert (row["outcome"], row["error"]) == ("failed", "a proxy listens")
