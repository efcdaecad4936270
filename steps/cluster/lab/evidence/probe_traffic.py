"""The evidence traffic: sent through Service and NodePort over plain sockets in the namespaces."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from analysis.errors import Problem
from steps.cluster.lab.evidence.signs import DATAGRAMS, EvidenceTraffic, SeenClient, Source
from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.services import (
    CLUSTER_IP,
    EVIDENCE_PORT,
    LOAD_BALANCER,
    LOCAL_OFFSET,
    NODEPORT_OFFSET,
    OWN_IP,
)
from steps.namespaces import within

RETURNED_BYTES: Final = 2_000_000
_PATIENCE_S: Final = 2.0
_NODE_PORT: Final = EVIDENCE_PORT + NODEPORT_OFFSET


@dataclass(frozen=True, slots=True)
class _Path:
    """A path on which only the client's address at the server is of interest."""

    title: str
    client: str
    address: str
    port: int
    server: str
    expected: Source


_SERVER: Final = addresses.SERVER_POD.name
_POD: Final = addresses.CLIENT_POD.name
_NODE: Final = addresses.NODE_A.name
_LOCAL_PORT: Final = EVIDENCE_PORT + LOCAL_OFFSET
_PATHS: Final = (
    _Path("outside to a NodePort", addresses.OUTSIDE, addresses.NODE_A.address, _NODE_PORT, _SERVER, "by mechanism"),
    _Path("outside to policy Local", addresses.OUTSIDE, addresses.NODE_B.address, _LOCAL_PORT, _SERVER, "kept"),
    _Path("outside to a load balancer", addresses.OUTSIDE, LOAD_BALANCER, EVIDENCE_PORT, _SERVER, "by mechanism"),
    _Path("node to Service", _NODE, CLUSTER_IP, EVIDENCE_PORT, _SERVER, "by mechanism"),
    _Path("node to its NodePort", _NODE, addresses.NODE_A.address, _NODE_PORT, _SERVER, "by mechanism"),
    _Path("pod to its own Service", _POD, OWN_IP, EVIDENCE_PORT, _POD, "translated"),
    _Path("pod to outside", _POD, addresses.OUTSIDE_ADDRESS, EVIDENCE_PORT, addresses.OUTSIDE, "translated"),
)


@contextmanager
def _servers() -> Iterator[tuple[socket.socket, socket.socket, socket.socket]]:
    """A listening socket at the Service's backend, one for datagrams there, and one for them in the client's node."""
    with ExitStack() as stack:
        pod, near = addresses.SERVER_POD.name, addresses.NEAR_POD.name
        made = _server(pod, socket.SOCK_STREAM), _server(pod, socket.SOCK_DGRAM), _server(near, socket.SOCK_DGRAM)
        for server in made:
            stack.enter_context(server)
        yield made


def _server(pod: str, kind: socket.SocketKind) -> socket.socket:
    """A socket on the evidence port of a pod.

    Raises:
        Problem: the port is in use.
    """

    def make() -> socket.socket:
        if kind is socket.SOCK_STREAM:
            return socket.create_server(("", EVIDENCE_PORT))
        datagrams = socket.socket(type=kind)
        datagrams.bind(("", EVIDENCE_PORT))
        return datagrams

    try:
        server = within(pod, make)
    except OSError as error:
        raise Problem(f"port {EVIDENCE_PORT} in {pod} can't be opened for the evidence: {error.strerror}.") from None
    server.settimeout(_PATIENCE_S)
    return server


def _client(namespace: str, kind: socket.SocketKind) -> socket.socket:
    client = within(namespace, lambda: socket.socket(type=kind))
    client.settimeout(_PATIENCE_S)
    return client


def _exchange(address: str, datagrams: socket.socket) -> int:
    """Send datagrams from the client's pod to an address, and each back. Returns the client's port.

    Raises:
        OSError: one did not arrive.
    """
    with _client(_POD, socket.SOCK_DGRAM) as client:
        client.connect((address, EVIDENCE_PORT))
        for number in range(DATAGRAMS):
            client.send(number.to_bytes(2))
            request, sender = datagrams.recvfrom(64)
            datagrams.sendto(request, sender)
            client.recv(64)
        return int(client.getsockname()[1])


def _to_service(listening: socket.socket, datagrams: socket.socket) -> tuple[int, ...]:
    """Exchange datagrams, and a message by TCP, with the Service address. Returns the client's ports.

    Raises:
        OSError: something did not arrive.
    """
    port = _exchange(CLUSTER_IP, datagrams)
    with _client(_POD, socket.SOCK_STREAM) as client:
        client.connect((CLUSTER_IP, EVIDENCE_PORT))
        served, _ = listening.accept()
        with served:
            served.settimeout(_PATIENCE_S)
            client.sendall(b"there")
            served.sendall(served.recv(64))
            client.recv(64)
        return port, client.getsockname()[1]


def _from_node_port(listening: socket.socket) -> int:
    """Send from the backend to the client outside, by the NodePort. Returns how many bytes arrived.

    Raises:
        OSError: the connection failed.
    """
    with _client(addresses.OUTSIDE, socket.SOCK_STREAM) as client, ThreadPoolExecutor(1) as pool:
        client.connect((addresses.NODE_A.address, _NODE_PORT))
        served, _ = listening.accept()
        with served:
            served.settimeout(_PATIENCE_S)
            sent = pool.submit(served.sendall, bytes(RETURNED_BYTES))
            received = 0
            while received < RETURNED_BYTES and (part := client.recv(1 << 18)):
                received += len(part)
            sent.result()
        return received


def _clients(listening: socket.socket) -> Iterator[SeenClient]:
    """Connect once on each further path.

    Raises:
        OSError: a connection failed; its path is in the message.
    """
    for path in _PATHS:
        try:
            yield _client_of(path, listening)
        except OSError as error:
            raise OSError(error.errno, f"{path.title}: {error.strerror or error}") from None


def _client_of(path: _Path, listening: socket.socket) -> SeenClient:
    with ExitStack() as stack:
        server = listening
        if path.server != _SERVER:
            server = stack.enter_context(within(path.server, lambda: socket.create_server(("", EVIDENCE_PORT))))
            server.settimeout(_PATIENCE_S)
        client = stack.enter_context(_client(path.client, socket.SOCK_STREAM))
        client.connect((path.address, path.port))
        served, (seen, _) = server.accept()
        stack.enter_context(served)
        return SeenClient(path.title, client.getsockname()[0], seen, path.expected)


def send(around_node_port: Callable[[], None]) -> EvidenceTraffic:
    """Send it all; `around_node_port` is called just before and just after the NodePort's part.

    Raises:
        Problem: there is no such lab, or the evidence port is in use.
    """
    with _servers() as (listening, datagrams, near):
        ports: tuple[int, ...] = ()
        path = f"the Service ({CLUSTER_IP}:{EVIDENCE_PORT}) from {_POD}"
        try:
            ports = _to_service(listening, datagrams)
            for pod, server in ((addresses.SERVER_POD, datagrams), (addresses.NEAR_POD, near)):
                path = f"{pod.name} from {_POD}"
                _exchange(pod.address, server)
            path = f"the NodePort ({addresses.NODE_A.address}:{_NODE_PORT}) from {addresses.OUTSIDE}"
            around_node_port()
            received = _from_node_port(listening)
            around_node_port()
            path = "the client's address"
            clients = tuple(_clients(listening))
        except OSError as error:
            return EvidenceTraffic(0, ports, problem=f"{path}: {error.strerror or error}")
        return EvidenceTraffic(received, ports, clients)
