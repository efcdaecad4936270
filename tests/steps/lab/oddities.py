"""Further functions that tests call inside a sandbox, as those of `scripts.py`: odd machines, and damaged labs."""

import os
import select
import socket
import struct
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from steps.catalogue.dataplanes import Arm
from steps.cluster.lab import sandbox
from steps.cluster.lab.adapter import LabCluster
from steps.cluster.lab.dataplanes import load
from steps.cluster.lab.evidence.installed import LOOKED_AT
from steps.cluster.lab.network import addresses, services, topology
from steps.cluster.lab.network.programs import Job, run_one
from steps.namespaces import within
from tests.steps.lab.visits import proof_of, settings_of, visit_to
from workflows.local.execution.mutex import process_id

_BRIDGES = Path("/proc/sys/net/bridge")
_MOST_NAMESPACES = Path("/proc/sys/user/max_net_namespaces")
_INTERFACES = Path("/proc/sys/net/ipv4/conf")


def hardened(arm: str, settings: dict[str, str]) -> dict[str, object]:
    """Build on a machine with these settings of IPv4, which each new namespace copies, and look."""
    set_kernel_defaults = topology._set_kernel_defaults

    def copy_first(namespace: str) -> None:
        def write() -> None:
            for name, value in settings.items():
                for file in _INTERFACES.glob(f"*/{name}"):
                    file.write_text(value)

        within(namespace, write)
        set_kernel_defaults(namespace)

    topology._set_kernel_defaults = copy_first
    lab = LabCluster()
    lab.configure(visit_to(arm), settings_of(arm))
    return proof_of(lab.observe(visit_to(arm), "before"), arm)


def preflight_with(namespaces: int) -> list[dict[str, object]]:
    """What stands in the way where a user may have so many network namespaces."""
    before = _MOST_NAMESPACES.read_text()
    _MOST_NAMESPACES.write_text(str(namespaces))
    try:
        return [finding.model_dump() for finding in LabCluster().preflight(settings_of("lab-iptables"))]
    finally:
        _MOST_NAMESPACES.write_text(before)


def process_of_the_mutex() -> dict[str, object]:
    """The process here, and the numbers that the machine has for the one that waiting runs are told of."""
    status = (sandbox.HOST_PROC / str(process_id()) / "status").read_text()
    (numbers,) = (line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
    return {"here": os.getpid(), "numbers": [int(number) for number in numbers]}


def wire_filters() -> dict[str, str]:
    """What the wire offers to netfilter where the machine has br_netfilter, and 1 where it does."""
    topology.build_lab(offloads=False)

    def read() -> dict[str, str]:
        return {file.name: file.read_text().strip() for file in _BRIDGES.glob("bridge-nf-call-*")}

    return within(addresses.WIRE, read)


def damaged(arm: str, node: str, words: list[str], policies: int | None = None) -> list[dict[str, object]]:
    """Damage a node of a lab by a program, change the number of policies if there is one, and look.

    Returns what is proven by all signs, and by those of traffic alone.
    """
    lab, visit, chosen = LabCluster(), visit_to(arm), settings_of(arm)
    lab.configure(visit, chosen)
    run_one(Job(node, tuple(words)))
    if policies is not None:
        lab.set_scale(visit, chosen, chosen.scales[0].model_copy(update={"policies": policies}))
    signs = lab.observe(visit, "after")
    return [proof_of(some, arm) for some in (signs, [s for s in signs if s.looked_at != LOOKED_AT])]


def servers_of_a_reused_port(arm: str) -> list[str]:
    """Connect twice from one port to a Service that meanwhile gets another backend; which pod each connect reached."""
    lab, visit = LabCluster(), visit_to(arm, topologies=())
    lab.configure(visit, settings_of(arm))
    before = next(port for port in services.EVIDENCE if port.protocol == "tcp")
    after = replace(before, backends=(addresses.NEAR_POD.address,))
    found = []
    with ExitStack() as stack:
        listening = {}
        for pod in (addresses.SERVER_POD, addresses.NEAR_POD):
            made = within(pod.name, lambda: socket.create_server(("", services.EVIDENCE_PORT)))
            listening[stack.enter_context(made)] = pod.name
        for backend in (before, after):
            tables = load(Arm.parse(arm)).TRAITS.mechanism.tables
            assert tables is not None
            for node in addresses.NODES:
                ports = [backend if port == before else port for port in services.all_ports(20)]
                tables.update(node, ports, [backend], [before])()
            client = within(addresses.CLIENT_POD.name, lambda: socket.socket(type=socket.SOCK_STREAM))
            with client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leaves no TIME_WAIT
                client.settimeout(5)
                client.bind(("", 40_000))
                client.connect((before.address, before.port))
                (ready,), _, _ = select.select(list(listening), [], [], 5)
                ready.accept()[0].close()
                found.append(listening[ready])
    return found
