"""Build the lab's namespaces, links, addresses and routes, and remove them."""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.addresses import NAMESPACES, NODES, OUTSIDE, WIRE, LabNode, LabPod
from steps.cluster.lab.network.processes import end_processes
from steps.cluster.lab.network.programs import Job, run_all, run_one
from steps.cluster.lab.network.services import LOAD_BALANCER
from steps.namespaces import DIRECTORY, path, within

_BARE: Final = {
    # Link-local addresses would be announced, and that traffic measured.
    **{f"net/ipv6/conf/{which}/disable_ipv6": "1" for which in ("all", "default")},
    # Where the machine has br_netfilter, as for Docker, the wire would offer each packet to netfilter as a router does.
    **{f"net/bridge/bridge-nf-call-{table}": "0" for table in ("iptables", "ip6tables", "arptables")},
}

_INTERFACES: Final = Path("/proc/sys/net/ipv4/conf")
_OWN_DEFAULTS: Final = {
    **dict.fromkeys(("accept_redirects", "send_redirects", "secure_redirects", "shared_media"), "1"),
    "igmpv2_unsolicited_report_interval": "10000",
    "igmpv3_unsolicited_report_interval": "1000",
    "arp_evict_nocarrier": "1",
}
"""The kernel's own settings of IPv4 on interfaces that are not 0."""


def build_jobs(*, offloads: bool) -> list[list[Job]]:
    """The jobs that make the lab, in batches: those of one batch may run side by side, batches follow each other."""
    wires = [("port-a", addresses.NODE_A.name), ("port-b", addresses.NODE_B.name), ("port-c", OUTSIDE)]
    wire = ["link add br0 type bridge mcast_snooping 0", "link set br0 up"]
    for port, end in wires:
        wire.append(f"link add {port} type veth peer name {addresses.UNDERLAY} netns {end}")
        wire.append(f"link set {port} master br0 up")
    outside = [
        "link set lo up",
        f"addr add {addresses.OUTSIDE_ADDRESS}/24 dev {addresses.UNDERLAY}",
        f"link set {addresses.UNDERLAY} mtu {addresses.TUNNEL_MTU} up",
        # as a router does that learned of the load balancer's address from node-a
        f"route add {LOAD_BALANCER}/32 via {addresses.NODE_A.address}",
    ]
    batches = [
        # Not `ip netns add`, which in an ordinary user's sandbox may not return to the machine's network, and fails.
        [Job(None, ("unshare", f"--net={path(name)}", "true")) for name in NAMESPACES],
        [_ip(WIRE, wire)],
        [_ip(OUTSIDE, outside), *(_ip(n.name, _node(n)) for n in NODES)],
        [*(_ip(p.name, _pod(p)) for n in NODES for p in n.pods), *(_forwarding(n) for n in NODES)],
    ]
    if not offloads:
        off = ("ethtool", "-K", addresses.UNDERLAY, "tso", "off", "gso", "off", "gro", "off")
        batches[-1] += [Job(end, off) for _, end in wires]
    return batches


def _ip(namespace: str | None, lines: list[str]) -> Job:
    return Job(namespace, ("ip", "-batch", "-"), "\n".join(lines) + "\n")


def _forwarding(node: LabNode) -> Job:
    other = addresses.peer(node)
    entry = f"fdb add {other.tunnel_mac} dev {addresses.TUNNEL} dst {other.address} self permanent\n"
    return Job(node.name, ("bridge", "-batch", "-"), entry)


def _node(node: LabNode) -> list[str]:
    other = addresses.peer(node)
    ends = f"local {node.address} dev {addresses.UNDERLAY} nolearning"
    vxlan = f"id {addresses.TUNNEL_ID} dstport {addresses.TUNNEL_PORT} {ends}"
    lines = [
        "link set lo up",
        f"addr add {node.address}/24 dev {addresses.UNDERLAY}",
        f"link set {addresses.UNDERLAY} up",
        f"link add {addresses.TUNNEL} address {node.tunnel_mac} mtu {addresses.TUNNEL_MTU} type vxlan {vxlan}",
        f"addr add {node.tunnel_address}/32 dev {addresses.TUNNEL}",
        f"link set {addresses.TUNNEL} up",
        f"neigh add {other.tunnel_address} lladdr {other.tunnel_mac} dev {addresses.TUNNEL} nud permanent",
        f"route add {other.block} via {other.tunnel_address} dev {addresses.TUNNEL} onlink",
        f"route add blackhole {node.block}",
        # Without a default route the kernel does not answer for 169.254.1.1.
        f"route add default dev {addresses.UNDERLAY}",
    ]
    for pod in node.pods:
        end = f"name {addresses.POD_INTERFACE} netns {pod.name} address {pod.mac} mtu {addresses.TUNNEL_MTU}"
        lines += [
            f"link add {pod.cable} address {addresses.GATEWAY_MAC} mtu {addresses.TUNNEL_MTU} type veth peer {end}",
            f"link set {pod.cable} up",
            f"route add {pod.address}/32 dev {pod.cable} scope link",
        ]
    return lines


def _pod(pod: LabPod) -> list[str]:
    return [
        "link set lo up",
        f"addr add {pod.address}/32 dev {addresses.POD_INTERFACE}",
        f"link set {addresses.POD_INTERFACE} up",
        f"route add {addresses.GATEWAY} dev {addresses.POD_INTERFACE} scope link",
        f"route add default via {addresses.GATEWAY} dev {addresses.POD_INTERFACE}",
    ]


def _node_sysctls(node: LabNode) -> dict[str, str]:
    # Replies of its own NodePort come to a node through the tunnel, from its own address where eBPF translated them.
    sysctls = {"net/ipv4/conf/all/accept_local": "1", "net/ipv4/ip_forward": "1"}
    for pod in node.pods:
        sysctls[f"net/ipv4/conf/{pod.cable}/proxy_arp"] = "1"
        sysctls[f"net/ipv4/neigh/{pod.cable}/proxy_delay"] = "0"
    return sysctls


def _set(namespace: str, sysctls: Mapping[str, str]) -> None:
    def write() -> None:
        for name, value in sysctls.items():
            file = Path("/proc/sys", name)
            if file.exists():
                file.write_text(value)

    within(namespace, write)


def _set_kernel_defaults(namespace: str) -> None:
    """Give a new namespace the kernel's own settings of IPv4 on interfaces, of which it has a copy of the machine's.

    Hardened machines check return paths strictly or answer fewer ARP requests, by which a dataplane would lose packets.
    """

    def write() -> None:
        for file in _INTERFACES.glob("*/*"):
            wanted = _OWN_DEFAULTS.get(file.name, "0")
            if file.stat().st_mode & stat.S_IWUSR and file.read_text().strip() != wanted:
                file.write_text(wanted)

    within(namespace, write)


def build_lab(*, offloads: bool) -> list[Job]:
    """Build the lab where there is none. Returns the jobs that were run.

    Raises:
        Problem: a program is missing or failed.
    """
    first, *rest = build_jobs(offloads=offloads)
    for name in NAMESPACES:
        path(name).touch()
    run_all(first)
    for name in NAMESPACES:
        _set_kernel_defaults(name)
        _set(name, _BARE)
    for batch in rest:
        run_all(batch)
    for node in NODES:
        _set(node.name, _node_sysctls(node))
    return [job for batch in (first, *rest) for job in batch]


def present_namespaces() -> list[str]:
    """The names of the lab's namespaces that are there, complete or half-built."""
    return [name for name in NAMESPACES if path(name).exists()]


def remove_lab() -> list[str]:
    """End the processes in the lab's namespaces and delete these, complete or half-built. Returns their names."""
    found = present_namespaces()
    if found:
        end_processes(found)
        outside = DIRECTORY.stat().st_dev
        mounted = [str(path(name)) for name in found if path(name).stat().st_dev != outside]
        if mounted:
            run_one(Job(None, ("umount", "--no-mtab", "--lazy", *mounted)))
        for name in found:
            path(name).unlink(missing_ok=True)
    return found
