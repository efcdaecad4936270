"""Whether a client gets through to a server, tried by pods that are taken away again."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from analysis.errors import Problem
from steps.cluster.kube import looking, pods
from steps.cluster.kube.client import Client
from steps.cluster.kube.crew import Crew
from steps.cluster.kube.look import Spec
from steps.cluster.kube.permissions import BENCHMARK
from steps.cluster.kube.pods import Container
from steps.cluster.kube.probes import Target
from steps.model import Finding, Placement
from steps.variables import IMAGE

REACH: Final = "reach"
CHECK: Final = "check"
READY_PORT: Final = 5205
REACH_S: Final = 90.0
"""How long a new Service's address may take to lead to its server, the pods' start included."""

CHECK_S: Final = 10.0
_IMAGE_S: Final = 120.0
_POLL_S: Final = 0.5

# A new Service is refused for a second or two. The pod is ready when all of them have answered once.
_SCRIPT: Final = (
    'while [ $# -gt 0 ]; do if python -m steps.connect probe "$1" "$2" 0.1 | grep -q \'"count": [1-9]\'; '
    'then shift 2; else echo "$1 port $2 does not answer"; sleep 0.3; fi; done; '
    f"exec python -m steps.connect serve {READY_PORT}"
)


def wait(client: Client, placements: Sequence[Placement], image: str) -> None:
    """Wait until the server of each placement answers the client there, on the connect probe's port.

    Raises:
        Problem: one does not; with its address.
    """
    crew = Crew(client, REACH)
    wanted = manifests(placements, image)
    try:
        crew.man(wanted, REACH_S)
    except Problem as error:
        silent = [_last(client, each["metadata"]["name"]) for each in wanted]
        said = "; ".join(dict.fromkeys(line for line in silent if line))
        raise Problem(f"{error} {said}" if said else str(error)) from None
    finally:
        crew.dismiss(wait=False)


def manifests(placements: Sequence[Placement], image: str) -> list[pods.Object]:
    """One pod for each node and network that clients run in."""
    targets: dict[tuple[str, bool], dict[tuple[str, int], None]] = {}
    for each in placements:
        targets.setdefault((each.client_node, each.host_network), {})[each.address, each.connect_port] = None
    made = []
    for index, ((node, host_network), addresses) in enumerate(targets.items()):
        words = [word for address, port in addresses for word in (address, str(port))]
        argv = ("sh", "-c", _SCRIPT, REACH, *words)
        container = Container(REACH, argv, READY_PORT)
        name = f"{REACH}-{index}"
        made.append(pods.pod(name, REACH, name, node, [container], image, host_network=host_network))
    return made


def findings(
    client: Client,
    places: Sequence[looking.Site],
    image: str,
    port: int,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Finding]:
    """Whether the image starts on both nodes, and a port is open between them, by TCP and by UDP.

    Args:
        client: of the cluster.
        places: the client's node and the server's.
        image: of the pods.
        port: iperf3's.
        sleep: passes time.
    """
    crew = Crew(client, CHECK)
    try:
        crew.man(check_manifests(places, image, port), _IMAGE_S)
        return _closed(client, places, port, sleep)
    except Problem as error:
        remedy = f"check that {IMAGE} names an image which every node can pull, and that pods may run"
        return [Finding(severity="stop", subject="pods", reason=str(error), remedy=remedy)]
    finally:
        crew.dismiss()


def check_manifests(places: Sequence[looking.Site], image: str, port: int) -> list[pods.Object]:
    """A pod that answers in the server's node's network, and one that asks in the client's."""
    near, far = places[0], places[-1]
    target = Target(f"{far.node} port {port}", far.node, far.address, port)
    specs = (
        Spec(near.node, near.address, host=True, targets=(target,), lines=(target,)),
        Spec(far.node, far.address, host=True, targets=(), lines=(), echo=port),
    )
    return [
        pods.pod(
            f"{CHECK}-{index}",
            CHECK,
            f"{CHECK}-{index}",
            spec.node,
            [Container("look", ("python", "-m", "steps.cluster.kube.look", spec.text()), spec.echo)],
            image,
            host_network=True,
        )
        for index, spec in enumerate(specs)
    ]


def _closed(client: Client, places: Sequence[looking.Site], port: int, sleep: Callable[[float], None]) -> list[Finding]:
    end = time.monotonic() + CHECK_S
    tcp = udp = False
    while not (tcp and udp) and time.monotonic() < end:
        told = looking.parse(client.log(f"{CHECK}-0", BENCHMARK, tail_lines=2, timestamps=False))
        if told is not None:
            tcp = any(answer["ok_at"] for answer in told["answers"])
            udp = any(line["received"] for line in told["lines"] if line["protocol"] == "udp")
        if not (tcp and udp):
            sleep(_POLL_S)
    near, far = places[0], places[-1]
    return [
        Finding(
            severity="stop",
            subject="node-to-node",
            reason=f"{near.node} gets no answer from {far.node} ({far.address}) on port {port} by {name}",
            remedy=f"open {port} by TCP and UDP between the nodes, in firewalls and security groups",
        )
        for name, open_ in (("TCP", tcp), ("UDP", udp))
        if not open_
    ]


def _last(client: Client, pod: str) -> str:
    lines = client.log(pod, BENCHMARK, tail_lines=1, timestamps=False).decode(errors="replace").splitlines()
    return f"{pod}: {lines[-1]}" if lines else ""
