"""The node of the client outside, for topologies whose traffic comes from outside the cluster's network. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from analysis.console.excerpts import excerpt
from analysis.errors import Unsupported
from steps.cluster.kube.api.nodes import ClusterNode, outside_nodes
from steps.settings.environment import OUTSIDE

UNAVAILABLE: Final = (
    "there is no node outside: every ready Linux node runs the network plugin's agent, and only traffic from "
    "elsewhere can show it"
)
REMEDY: Final = f"No command mends that: add a node without that agent and name it in {OUTSIDE}, or leave the path out."


def outside_node(cluster_nodes: Sequence[ClusterNode], variables: Mapping[str, str]) -> ClusterNode | None:
    """The node that a user named, or the first one without the network plugin; None: there is none.

    Raises:
        Unsupported: the named node can't be it.
    """
    fit = outside_nodes(cluster_nodes)
    name = variables.get(OUTSIDE, "").strip()
    if not name:
        return min(fit, key=lambda node: node.name, default=None)
    for node in fit:
        if node.name == name:
            return node
    known = name in {node.name for node in cluster_nodes}
    reason = "is no ready Linux node without the network plugin's agent" if known else "is no node of the cluster"
    others = excerpt(", ".join(node.name for node in fit)) or "none: there is no such node here"
    raise Unsupported(f"{OUTSIDE} names {excerpt(name)}, which {reason}: name one of {others}.")
