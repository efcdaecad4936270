"""The traffic that evidence is drawn from: sent through Service and NodePort over plain sockets in the namespaces."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final

from analysis.errors import Problem
from steps.cluster.lab import addresses
from steps.cluster.lab.namespaces import within
from steps.cluster.lab.services import CLUSTER_IP, EVIDENCE_PORT, NODEPORT_OFFSET
from steps.cluster.lab.signs import DATAGRAMS, EvidenceTraffic

RETURNED_BYTES: Final = 2_000_000
_PATIENCE_S: Final = 2.0
_NODE_PORT: Final = EVIDENCE_PORT + NODEPORT_OFFSET


@contextmanager
def _servers() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Sockets at the Service's backend: one that accepts, one that takes datagrams."""

    def make() -> tuple[socket.socket, socket.socket]:
        accepting = socket.create_server(("", EVIDENCE_PORT))
        datagrams = socket.socket(type=socket.SOCK_DGRAM)
        datagrams.bind(("", EVIDENCE_PORT))
        return accepting, datagrams

    pod = addresses.SERVER_POD.name
    try:
        accepting, datagrams = within(pod, make)
    except OSError as error:
        raise Problem(f"port {EVIDENCE_PORT} in {pod} can't be opened for the evidence: {error.strerror}.") from None
    with accepting, datagrams:
        for server in (accepting, datagrams):
            server.settimeout(_PATIENCE_S)
        yield accepting, datagrams


def _client(namespace: str, kind: socket.SocketKind) -> socket.socket:
    client = within(namespace, lambda: socket.socket(type=kind))
    client.settimeout(_PATIENCE_S)
    return client


class Exchange:
    """One round of evidence traffic: first to the Service, then the reply from the NodePort."""

    def __init__(self, accepting: socket.socket, datagrams: socket.socket) -> None:
        self._accepting = accepting
        self._datagrams = datagrams

    def with_service(self) -> tuple[int, ...]:
        """Datagrams there and back, and a TCP connection, by the Service address. Returns the client's ports.

        Raises:
            OSError: it did not get through.
        """
        pod = addresses.CLIENT_POD.name
        with _client(pod, socket.SOCK_DGRAM) as client:
            client.connect((CLUSTER_IP, EVIDENCE_PORT))
            for number in range(DATAGRAMS):
                client.send(number.to_bytes(2))
                asked, sender = self._datagrams.recvfrom(64)
                self._datagrams.sendto(asked, sender)
                client.recv(64)
            port = client.getsockname()[1]
        with _client(pod, socket.SOCK_STREAM) as client:
            client.connect((CLUSTER_IP, EVIDENCE_PORT))
            served, _ = self._accepting.accept()
            with served:
                served.settimeout(_PATIENCE_S)
                client.sendall(b"there")
                served.sendall(served.recv(64))
                client.recv(64)
            return port, client.getsockname()[1]

    def from_node_port(self) -> int:
        """A transfer from the backend to the client outside, by the NodePort. Returns how many bytes it got.

        Raises:
            OSError: it did not get through.
        """
        with _client(addresses.OUTSIDE, socket.SOCK_STREAM) as client, ThreadPoolExecutor(1) as pool:
            client.connect((addresses.NODE_A.address, _NODE_PORT))
            served, _ = self._accepting.accept()
            with served:
                served.settimeout(_PATIENCE_S)
                sent = pool.submit(served.sendall, bytes(RETURNED_BYTES))
                got = 0
                while got < RETURNED_BYTES and (part := client.recv(1 << 18)):
                    got += len(part)
                sent.result()
            return got


def send(around_node_port: Callable[[], None]) -> EvidenceTraffic:
    """Send it all; `around_node_port` is called just before and just after the NodePort's part.

    Raises:
        Problem: there is no such lab, or its evidence port is taken.
    """
    with ExitStack() as stack:
        exchange = Exchange(*stack.enter_context(_servers()))
        ports: tuple[int, ...] = ()
        doing = f"the Service ({CLUSTER_IP}:{EVIDENCE_PORT}) from {addresses.CLIENT_POD.name}"
        try:
            ports = exchange.with_service()
            doing = f"the NodePort ({addresses.NODE_A.address}:{_NODE_PORT}) from {addresses.OUTSIDE}"
            around_node_port()
            got = exchange.from_node_port()
            around_node_port()
        except OSError as error:
            return EvidenceTraffic(0, ports, f"{doing}: {error.strerror or error}")
        return EvidenceTraffic(got, ports)
