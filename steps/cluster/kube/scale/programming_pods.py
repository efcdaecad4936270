"""The pods that learn how late the nodes follow a change: on each measured node one that connects, one that answers.

Each visit has new ones, whose interfaces are those of the present dataplane.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Final

from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.probe import waiting_client
from steps.cluster.kube.scale.objects import PROGRAMMING
from steps.cluster.kube.scale.waits import WaitingClient
from steps.cluster.kube.workloads import manifests as pods
from steps.cluster.kube.workloads.manifests import Container
from steps.cluster.kube.workloads.probe_pods import Site
from steps.cluster.kube.workloads.workload import Workload

ECHO_PORT: Final = 5204
ROLE: Final = "dataplane-benchmark/role"
ECHO: Final = "echo"
STARTS: Final = "programming-start"
"""The part of the pods whose start is observed."""

PARTS: Final = (PROGRAMMING, STARTS)
"""The parts of all these pods."""

_PROBE: Final = "steps.cluster.kube.probe"


@dataclass(frozen=True, slots=True)
class ProgrammingPods:
    """The pods that run, in the order of the sites: who connects, and the address of who answers."""

    image: str
    sites: tuple[Site, ...]
    clients: tuple[WaitingClient, ...]
    echoes: tuple[str, ...]
    token: str

    @property
    def version(self) -> int:
        """Of IP, of the pods and so of the Services: 4 or 6."""
        return ip_address(self.echoes[0]).version

    def far_echo(self, index: int) -> str:
        """Who answers on the next node, so that connections cross nodes if there are two."""
        return self.echoes[(index + 1) % len(self.echoes)]


def start(client: Client, sites: Sequence[Site], image: str) -> ProgrammingPods:
    """Create the pods, and wait until they run. Those that exist stay.

    Raises:
        Problem: one does not run; with the reason.
    """
    workload = Workload(client, PROGRAMMING)
    token = next(filter(None, map(pods.token_of, workload.pods().values())), None) or secrets.token_hex(16)
    made = {pod["metadata"]["name"]: pods.ip(pod) for pod in workload.ensure_pods(manifests(sites, image, token))}
    numbers = range(len(sites))
    return ProgrammingPods(
        image,
        tuple(sites),
        tuple(WaitingClient(sites[index].node, made[_name("client", index)], token) for index in numbers),
        tuple(made[_name(ECHO, index)] for index in numbers),
        token,
    )


def manifests(sites: Sequence[Site], image: str, token: str) -> list[Object]:
    """The pods of all sites."""
    made = []
    for index, site in enumerate(sites):
        pod = partial(pods.pod, part=PROGRAMMING, node=site.node, image_name=image, deadline_s=pods.LONGEST_RUN_S)
        waits = Container("client", ("python", "-m", f"{_PROBE}.waiting_client", token), waiting_client.PORT)
        answers = Container(ECHO, ("python", "-m", f"{_PROBE}.echo_server", str(ECHO_PORT), token), ECHO_PORT)
        made.append(pod(_name("client", index), containers=[waits]))
        made.append(pod(_name(ECHO, index), containers=[answers], labels={ROLE: ECHO}))
    return made


def starting_pod(site: Site, image: str, echo: str, token: str, name: str) -> Object:
    """A pod that finds out how long after its start its first packet is answered, and ends."""
    argv = ("python", "-m", f"{_PROBE}.first_answer", echo, str(ECHO_PORT), token)
    container = Container("start", argv)
    deadline_s = pods.LONGEST_RUN_S
    return pods.pod(name, STARTS, site.node, [container], image, deadline_s=deadline_s, restarts=False)


def _name(kind: str, index: int) -> str:
    return f"{PROGRAMMING}-{kind}-{index}"
