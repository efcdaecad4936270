"""eBPF: the project's own tc programs (bpf/dataplane.bpf.c), one set on each node, with replies through the tunnel."""

import json
import shutil
import struct
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Final

from analysis.errors import Problem
from steps.catalogue.dataplanes import BY_NAME
from steps.cluster.lab import kernel_support
from steps.cluster.lab.mechanism import Mechanism, Traits
from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.addresses import LabNode
from steps.cluster.lab.network.programs import ON_UBUNTU, Job, output_or_none, run_all, run_one
from steps.cluster.lab.network.services import LOAD_BALANCER, SERVICE_NETWORK, ServicePort
from steps.cluster.lab.tables.ebpf import BATCH, PINNED, TABLES, entries, updates
from steps.domain import Change

OBJECT: Final = Path(__file__).resolve().parents[1] / "bpf" / "dataplane.bpf.o"
_FITTING_BPFTOOL: Final = (
    f"install the one of this kernel, on Ubuntu by `sudo apt-get install -y {ON_UBUNTU['bpftool']}`"
)
_MIN_KERNEL: Final = BY_NAME["lab-ebpf"].min_kernel
_LOOPBACK: Final = "lo"


def install(ports: list[ServicePort], burden: int) -> list[Change]:
    """Load, fill and attach the programs on both nodes; replies return through the NodePort's node."""
    return attach(ports, burden, direct_return=False)


def attach(ports: list[ServicePort], burden: int, *, direct_return: bool) -> list[Change]:
    """Load, fill and attach the programs on both nodes.

    Raises:
        Problem: there is a burden, which takes rules, or the kernel refused.
    """
    if burden:
        raise Problem(f"an eBPF dataplane has no rules to add burden={burden} to: choose another dataplane for that.")
    loads = []
    for node in addresses.NODES:
        shutil.rmtree(PINNED / node.name, ignore_errors=True)
        target = str(PINNED / node.name)
        loads.append(Job(None, ("bpftool", "prog", "loadall", str(OBJECT), target, "pinmaps", f"{target}/maps")))
    run_all(loads)
    run_all(
        job
        for node in addresses.NODES
        for job in (
            Job(None, BATCH, fill(node, ports, interfaces(node), direct_return)),
            Job(node.name, ("tc", "-batch", "-"), _attachments(node)),
            Job(node.name, ("ip", "-batch", "-"), f"{_route_to_services(node)}\n"),
        )
    )
    replies = "straight to the client" if direct_return else "through the tunnel"
    return [
        Change(
            what=f"eBPF on {node.name}: {len(ports)} Service ports, replies {replies}",
            command=_command(node),
        )
        for node in addresses.NODES
    ]


def _command(node: LabNode) -> str:
    pinned = PINNED / node.name
    enter = f"nsenter --net=/run/netns/{node.name}"
    attach_ = [f"{enter} tc {line}" for line in _attachments(node).splitlines()]
    load = f"bpftool prog loadall {OBJECT.name} {pinned} pinmaps {pinned}/maps"
    return " && ".join((load, *attach_, f"{enter} ip {_route_to_services(node)}"))


def interfaces(node: LabNode) -> dict[str, int]:
    """The index of each interface of a node."""
    listed = json.loads(run_one(Job(node.name, ("ip", "-j", "link"))))
    return {link["ifname"]: link["ifindex"] for link in listed}


def _attachments(node: LabNode) -> str:
    programs = {addresses.TUNNEL: "from_tunnel", addresses.UNDERLAY: "from_wire"}
    programs |= {pod.cable: "from_pod" for pod in node.pods}
    lines = []
    for device, program in (*programs.items(), (_LOOPBACK, "from_node")):
        hook = "egress" if device == _LOOPBACK else "ingress"
        lines.append(f"qdisc add dev {device} clsact")
        lines.append(f"filter add dev {device} {hook} bpf da pinned {PINNED / node.name / program}")
    return "\n".join(lines) + "\n"


def _route_to_services(node: LabNode) -> str:
    """The route of what a node itself sends to a Service, past ARP, which nobody answers for such an address."""
    network = f"{SERVICE_NETWORK} dev {_LOOPBACK} src {node.address} mtu {addresses.TUNNEL_MTU}"
    return f"route add {network}"


def fill(node: LabNode, ports: list[ServicePort], index: dict[str, int], direct_return: bool) -> str:  # noqa: FBT001
    """The input of bpftool that fills the maps of a node."""
    other = addresses.peer(node)
    tunnel = struct.pack("=II", 0, index[addresses.TUNNEL]) + _mac(other.tunnel_mac) + _mac(node.tunnel_mac)
    routes = {other.block: tunnel}
    for pod in node.pods:
        cable = struct.pack("=II", 1, index[pod.cable]) + _mac(pod.mac) + _mac(addresses.GATEWAY_MAC)
        routes[f"{pod.address}/32"] = cable
    if node is addresses.NODE_B:
        # Clients connect to the NodePort or the load balancer's address on node-a; replies go back there.
        routes |= {f"{address}/32": tunnel for address in (other.address, LOAD_BALANCER)}
    filled = [*entries(ports), *(("routes", _prefix(network), value) for network, value in routes.items())]
    allowed = struct.pack("=I", 1)
    filled += [("sources", _prefix(n), allowed) for n in (addresses.POD_NETWORK, addresses.UNDERLAY_NETWORK)]
    own = IPv4Address(node.address).packed + IPv4Address(LOAD_BALANCER).packed
    config = struct.pack("=II8s", direct_return, index[addresses.UNDERLAY], own)
    filled.append(("settings", bytes(4), config))
    return "\n".join((*updates(node, filled), ""))


def _prefix(network: str) -> bytes:
    interface = IPv4Interface(network)
    return struct.pack("=I", interface.network.prefixlen) + interface.ip.packed


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _packets(node: LabNode) -> int | None:
    """Packets that the eBPF programs forwarded; None if none are loaded."""
    pinned = PINNED / node.name / "maps" / "hits"
    if not pinned.exists():
        return None
    listed = output_or_none(Job(None, ("bpftool", "-j", "map", "dump", "pinned", str(pinned))))
    if listed is None:
        return None
    return sum(int(per_cpu["value"]) for entry in json.loads(listed) for per_cpu in entry["formatted"]["values"])


def _parts(node: LabNode) -> dict[str, str]:
    """The programs on the node's interfaces."""
    if not (PINNED / node.name).exists():
        return {}
    attached = json.loads(run_one(Job(node.name, ("bpftool", "-j", "net", "show"))))[0]["tc"]
    return {
        f"eBPF program of {each['devname']} {each['kind'].rpartition('/')[2]}": f"{each['name']} {each['id']}"
        for each in attached
    }


def _refusal() -> kernel_support.Refusal | None:
    """Why this kernel's verifier refuses the programs."""
    # Ubuntu's bpftool is a script that fails where it finds none for this kernel: that is not the kernel's refusal.
    if broken := kernel_support.failure([Job(None, ("bpftool", "version"))]):
        return f"bpftool doesn't work: {broken}", _FITTING_BPFTOOL
    target = PINNED / kernel_support.NAMESPACE
    shutil.rmtree(target, ignore_errors=True)
    refused = kernel_support.failure([Job(None, ("bpftool", "prog", "loadall", str(OBJECT), str(target)))])
    shutil.rmtree(target, ignore_errors=True)
    if refused is None:
        return None
    otherwise = f"use a kernel of {_MIN_KERNEL} or newer with CONFIG_BPF_SYSCALL, or leave it out"
    return f"the kernel takes no eBPF program: {refused}", kernel_support.remedy(refused, otherwise)


def _remove() -> list[str]:
    """Remove the pinned programs and maps, which stay loaded otherwise."""
    pinned = [PINNED / node.name for node in addresses.NODES if (PINNED / node.name).exists()]
    for folder in pinned:
        shutil.rmtree(folder)
    return [f"rm -r {folder}" for folder in pinned]


MECHANISM: Final = Mechanism(
    "ebpf",
    counters="hits counted by the eBPF programs",
    packets=_packets,
    connections=None,
    refusal=_refusal,
    programs=("bpftool", "tc"),
    root_only="load eBPF programs",
    routed_by_kernel=False,
    takes_burden=False,
    tables=TABLES,
    parts=_parts,
    remove=_remove,
)
TRAITS: Final = Traits(MECHANISM, tracks_connections=False, returns_directly=False)
