"""The topologies: which ends talk over which path. One entry each, from which its servers and clients follow."""

from dataclasses import dataclass
from typing import Final, Literal

from steps.tools.tool import Direction

TopologyEnd = Literal["node", "pod", "outside"]
TopologyTarget = Literal[
    "node-address",
    "pod-address",
    "service",
    "own-service",
    "nodeport",
    "local-nodeport",
    "load-balancer",
    "outside-address",
]


@dataclass(frozen=True, slots=True)
class Topology:
    """One path.

    Attributes:
        title: the path in plain words, as in `in-cluster Service, TCP`.
        description: a sentence, for docs/options.md.
        client: where the client runs: in the first node's own network, in a pod there, or outside of the cluster.
        target: what it connects to. A NodePort is the first node's; that of a Service with externalTrafficPolicy Local
            the second's, where the backend is. An own Service has the client's pod as its backend. An address outside
            is that of a server outside of the cluster.
        same_node: the server is on the first node, not on the second. Only for a node's or pod's own address, and
            always for an own Service: the backend of every other Service is on the second node.
        direction: the most informative one, measured when none is chosen.
    """

    name: str
    title: str
    description: str
    client: TopologyEnd
    target: TopologyTarget
    same_node: bool = False
    direction: Direction = "forward"

    @property
    def server(self) -> TopologyEnd:
        """Where the server runs: behind a Service is always a pod."""
        places: dict[TopologyTarget, TopologyEnd] = {"node-address": "node", "outside-address": "outside"}
        return places.get(self.target, "pod")

    @property
    def needs_outside(self) -> bool:
        """Whether its client or its server is outside of the cluster."""
        return "outside" in {self.client, self.server}

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
    Topology(
        "pod-to-own-service",
        "pod to its own Service",
        "From a pod to a Service whose backend is that pod: a hairpin.",
        "pod",
        "own-service",
        same_node=True,
    ),
    Topology(
        "node-to-service",
        "node to Service",
        "From a node's own network to a Service address whose backend is on the other node.",
        "node",
        "service",
    ),
    Topology(
        "node-to-nodeport",
        "node to its NodePort",
        "From a node's own network to its own NodePort, whose backend is on the other node.",
        "node",
        "nodeport",
    ),
    Topology(
        "pod-to-outside",
        "pod to an address outside",
        "From a pod to a server outside of the cluster, which sees the node's address (natOutgoing).",
        "pod",
        "outside-address",
    ),
    Topology(
        "external-to-local-nodeport",
        "external through a NodePort with policy Local",
        "From a client outside to the NodePort of the backend's node, with externalTrafficPolicy Local.",
        "outside",
        "local-nodeport",
        direction="reverse",
    ),
    Topology(
        "external-to-load-balancer",
        "external through a load balancer's address",
        "From a client outside to the address that the cluster gives a Service of type LoadBalancer.",
        "outside",
        "load-balancer",
        direction="reverse",
    ),
)

BY_NAME: Final = {t.name: t for t in TOPOLOGIES}
NODE_TO_NODE: Final = "node-to-node"
"""The path of the references of the host network."""
