"""The measuring steps of a visit, and where each of them runs."""

from typing import Final

from steps.catalogue.options import Settings
from steps.catalogue.topologies import BY_NAME, NODE_TO_NODE
from steps.domain import Placement, Visit
from steps.settings import turn_order
from steps.tasks.shared.step import node_title

_START_S: Final = 900
"""How long a measuring step's pod may take to start, including the pull of its image."""


def measures(visit: Visit, settings: Settings, placements: dict[str, Placement]) -> list[dict[str, str]]:
    """The measuring steps, which run at the same time and take turns: the host network's, and one for each topology."""
    turns_s = turn_order.longest_s(visit, settings.omit_s, settings.idle_s, settings.environment)
    between_hosts = {turn_order.HOST_NETWORK: placements[NODE_TO_NODE]}
    return [
        _item(visit, what, (between_hosts | placements)[what], _START_S + round(turns_s))
        for what in turn_order.steps(visit)
    ]


def _item(visit: Visit, what: str, placement: Placement, timeout_s: int) -> dict[str, str]:
    client = BY_NAME[placement.topology].client
    return {
        "what": what,
        "title": node_title(what, visit.dataplane, f"visit-{visit.visit}"),
        "client-node": placement.client_node,
        "timeout": f"{timeout_s}s",
        "network": "outside" if client == "outside" else "node" if placement.host_network else "pod",
    }
