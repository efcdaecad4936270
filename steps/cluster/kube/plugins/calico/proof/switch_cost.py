"""What a switch costs long-lived connections between the probe pods."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from steps.cluster.kube.cni import Surroundings
from steps.cluster.kube.plugins.calico.switching.cluster_state import ClusterState
from steps.cluster.kube.probe import connections
from steps.cluster.kube.workloads import probe_pods
from steps.cluster.kube.workloads.workload import Workload
from steps.domain import Sign, SwitchCost
from steps.polling import poll

_POLL_S: Final = 1.0


def connection_cost(
    around: Surroundings, standing: ClusterState, measured: Sequence[str], *, final: bool
) -> SwitchCost | None:
    """What the long-lived connections suffered since the probe pods started, or since their last rest.

    None: there are no probe pods, or a connection is silent and may yet recover. `final`: each silent connection is
    waited for until it answers or is dead.
    """
    client = around.client
    places = probe_pods.sites(standing.nodes, measured)
    if not Workload(client, probe_pods.PART).pods():
        return None
    # polled, since it is read from logs
    reports = poll(
        lambda: probe_pods.latest_reports(client, places).values(),
        lambda found: not any(each.silent for each in found),
        pause_s=_POLL_S,
        timeout_s=connections.DEAD_S + _POLL_S if final else 0.0,
        sleep=around.sleep,
    )
    if not final and any(each.silent for each in reports):
        return None
    return probe_pods.total_cost(reports)


def cost_signs(reports: Mapping[str, probe_pods.NodeReport], now: datetime) -> list[Sign]:
    """The cost of the switch so far, as a sign for each node that indicates no dataplane."""
    return [
        Sign(
            moment="before",
            node=node,
            looked_at="long-lived connections",
            seen=_cost_text(report.cost),
            at=now,
            indicates=None,
        )
        for node, report in reports.items()
    ]


def _cost_text(cost: SwitchCost) -> str:
    gap_s = max(cost.tcp_longest_gap_s or 0.0, cost.udp_longest_gap_s or 0.0)
    dropped = f"{cost.dropped} of {cost.connections} dropped or silent"
    return f"{dropped}; {cost.udp_lost_packets or 0} datagrams lost; longest silence {gap_s:.1f} s"
