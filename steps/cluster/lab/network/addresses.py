r"""The plan of the lab: nodes, pods, the client outside, and their addresses. Pure.

    outside --- wire --- node-a --- pod-a (client), pod-c (server on the same node)
                  \----- node-b --- pod-b (server)

Every name is a network namespace. `wire` is the switch of the underlay; the nodes reach each other's pods over VXLAN,
as Calico's do.
"""

from dataclasses import dataclass
from typing import Final

UNDERLAY: Final = "ul0"
"""The interface of a node, and of the client outside, on the wire."""

TUNNEL: Final = "vxlan.calico"
TUNNEL_ID: Final = 4096
TUNNEL_PORT: Final = 4789
TUNNEL_MTU: Final = 1450
"""1500 less 50 bytes of VXLAN. The client outside keeps to it too, so that eBPF need not fragment what it tunnels."""

POD_INTERFACE: Final = "eth0"
GATEWAY: Final = "169.254.1.1"
"""Calico's next hop for pods; the node answers for it by proxy ARP."""

GATEWAY_MAC: Final = "ee:ee:ee:ee:ee:ee"
POD_NETWORK: Final = "10.244.0.0/16"
UNDERLAY_NETWORK: Final = "192.168.100.0/24"
WIRE: Final = "wire"
OUTSIDE: Final = "outside"
OUTSIDE_ADDRESS: Final = "192.168.100.3"


@dataclass(frozen=True, slots=True)
class LabPod:
    """A pod: its namespace's name, its address and hardware address, and the node's end of its cable."""

    name: str
    address: str
    mac: str
    cable: str


@dataclass(frozen=True, slots=True)
class LabNode:
    """A node: its namespace's name, its address on the wire, its block of pod addresses and its pods.

    The block's first address is that of the tunnel, as with Calico.
    """

    name: str
    address: str
    block: str
    tunnel_mac: str
    pods: tuple[LabPod, ...]

    @property
    def tunnel_address(self) -> str:
        """The address of the VXLAN interface."""
        return self.block.partition("/")[0]


CLIENT_POD: Final = LabPod("pod-a", "10.244.0.2", "02:00:00:00:01:0a", "cali-a")
NEAR_POD: Final = LabPod("pod-c", "10.244.0.3", "02:00:00:00:01:0c", "cali-c")
SERVER_POD: Final = LabPod("pod-b", "10.244.0.66", "02:00:00:00:01:0b", "cali-b")

NODE_A: Final = LabNode("node-a", "192.168.100.1", "10.244.0.0/26", "66:00:00:00:00:0a", (CLIENT_POD, NEAR_POD))
NODE_B: Final = LabNode("node-b", "192.168.100.2", "10.244.0.64/26", "66:00:00:00:00:0b", (SERVER_POD,))
NODES: Final = (NODE_A, NODE_B)
NAMESPACES: Final = (WIRE, OUTSIDE, *(n.name for n in NODES), *(p.name for n in NODES for p in n.pods))


def peer(node: LabNode) -> LabNode:
    """The other node."""
    return NODE_B if node is NODE_A else NODE_A
