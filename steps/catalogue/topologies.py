"""The topologies: which ends talk over which path. One entry each, from which its servers and clients follow."""

from dataclasses import dataclass
from typing import Final, Literal

from steps.tools.tool import Direction

End = Literal["node", "pod", "outside"]
Target = Literal["node-address", "pod-address", "service", "nodeport"]


@dataclass(frozen=True, slots=True)
class Topology:
    """One path.

    Attributes:
        name: as typed and stored.
        title: the path in plain words, as in `in-cluster Service, TCP`.
        description: a sentence.
        client: where the client runs: in the first node's own network, in a pod there, or outside of the cluster.
        target: what it connects to; a NodePort is the first node's.
        same_node: the server is on the first node, not on the second. Only for a node's or pod's own address: a
            Service's backend is on the second node.
        direction: the most informative one, measured when none is chosen.
    """

    name: str
    title: str
    description: str
    client: End
    target: Target
    same_node: bool = False
    direction: Direction = "forward"

    @property
    def server(self) -> Literal["node", "pod"]:
        """Where the server runs: behind a Service is always a pod."""
        return "node" if self.target == "node-address" else "pod"

    @property
    def host_network(self) -> bool:
        """Whether it is between the nodes' own networks, with no pod in the path: no traffic of a dataplane."""
        return self.client == "node" and self.server == "node"

    @property
    def through_node(self) -> bool:
        """Whether requests pass through a node between client and server, whose counters show the path of replies."""
        return self.client == "outside" and self.target == "nodeport"


TOPOLOGIES: Final = (
    Topology(
        "node-to-node",
        "host network",
        "Host network to host network, with no pod and no Service in the path; a dataplane may change it too.",
        "node",
        "node-address",
    ),
    Topology("pod-to-pod", "pod to pod across nodes", "Between pods on two nodes.", "pod", "pod-address"),
    Topology(
        "pod-to-service",
        "in-cluster Service",
        "From a pod to a Service address whose backend is on the other node.",
        "pod",
        "service",
    ),
    Topology(
        "pod-to-pod-same-node",
        "pod to pod on one node",
        "Between two pods on one node.",
        "pod",
        "pod-address",
        same_node=True,
    ),
    Topology(
        "external-to-nodeport",
        "external through a NodePort",
        "From a client outside, through the NodePort of a node without the backend: the only path that shows DSR.",
        "outside",
        "nodeport",
        direction="reverse",
    ),
)

BY_NAME: Final = {t.name: t for t in TOPOLOGIES}
NODE_TO_NODE: Final = "node-to-node"
"""The path of the references of the host network."""
