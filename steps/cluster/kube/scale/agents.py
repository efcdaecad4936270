"""What the agents of the measured nodes say of themselves: rules, policies, memory and CPU."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from steps.catalogue.factors import Scale
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.probe import agent_metrics
from steps.cluster.kube.probe.report import HostProbe
from steps.cluster.kube.workloads import probe_pods
from steps.cluster.kube.workloads.probe_pods import Site
from steps.domain import ScaleSign
from steps.polling import poll

_PAUSE_S: Final = 0.3
_REPORTED_S: Final = 20.0
"""How long a new report of each node is waited for; they wake within a second, and report each second."""


def read(client: Client, sites: Sequence[Site], image: str) -> dict[str, HostProbe]:
    """A new report of each node's probe pod, which is woken for it if it rests, by node. One that is late is left out.

    Raises:
        Problem: a pod does not run.
    """
    rested = probe_pods.rests(client, sites)
    before = _hosts(client, sites)
    probe_pods.start(client, sites, image)

    def look() -> dict[str, HostProbe]:
        found = _hosts(client, sites)
        return {node: host for node, host in found.items() if node not in before or host.at > before[node].at}

    found = poll(look, lambda each: len(each) == len(sites), pause_s=_PAUSE_S, timeout_s=_REPORTED_S)
    if rested:
        probe_pods.rest(client)
    return found


def _hosts(client: Client, sites: Sequence[Site]) -> dict[str, HostProbe]:
    found = probe_pods.latest_reports(client, sites)
    return {node: each.host for node, each in found.items() if each.host is not None}


def signs(node: str, host: HostProbe, scale: Scale, *, has_servers: bool) -> Iterator[ScaleSign]:
    """What one node's agents count of a scale. `has_servers`: whether pods that the policies select run there."""
    proxy, felix = host.kube_proxy or {}, host.felix or {}
    if rules := proxy.get(agent_metrics.PROXY_RULES):
        least = scale.services * (1 + scale.endpoints)
        seen = f"{rules:.0f} rules of kube-proxy, which needs {least} at least"
        yield _sign("services", node, agent_metrics.PROXY_RULES, seen, host, holds=rules >= least)
    for name in agent_metrics.PENDING:
        if name in proxy:
            yield _sign("services", node, name, f"{proxy[name]:.0f}", host, holds=proxy[name] == 0)
    if agent_metrics.LOCAL_POLICIES in felix:
        count = felix[agent_metrics.LOCAL_POLICIES]
        holds = count > scale.policies if has_servers and scale.policies else None
        yield _sign("policies", node, agent_metrics.LOCAL_POLICIES, f"{count:.0f}", host, holds=holds)


def _sign(factor: str, node: str, looked_at: str, seen: str, host: HostProbe, *, holds: bool | None) -> ScaleSign:
    return ScaleSign(factor=factor, node=node, looked_at=looked_at, seen=seen, at=host.at, holds=holds)


def memory(hosts: Mapping[str, HostProbe]) -> dict[str, int]:
    """The memory of the agents and of the kernel, the larger of the nodes' figures, by its column of `trials`."""
    found: dict[str, int] = {}
    for host in hosts.values():
        own = {
            "felix_memory_bytes": (host.felix or {}).get(agent_metrics.MEMORY),
            "kube_proxy_memory_bytes": (host.kube_proxy or {}).get(agent_metrics.MEMORY),
            "kernel_memory_bytes": host.kernel_memory_bytes,
        }
        found |= {name: max(found.get(name, 0), round(value)) for name, value in own.items() if value is not None}
    return found


def cpu(before: Mapping[str, HostProbe], after: Mapping[str, HostProbe]) -> dict[str, float]:
    """The CPUs that the agents used between two reports, the larger of the nodes' figures, by its column of `trials`.

    An agent that started anew meanwhile has none, since its count began again.
    """
    found: dict[str, float] = {}
    for node in before.keys() & after.keys():
        seconds = (after[node].at - before[node].at).total_seconds()
        for name, earlier, later in (
            ("felix_cpu_ratio", before[node].felix or {}, after[node].felix or {}),
            ("kube_proxy_cpu_ratio", before[node].kube_proxy or {}, after[node].kube_proxy or {}),
        ):
            is_same = earlier.get(agent_metrics.STARTED) == later.get(agent_metrics.STARTED)
            if is_same and agent_metrics.CPU in earlier and agent_metrics.CPU in later and seconds > 0:
                used = max(0.0, later[agent_metrics.CPU] - earlier[agent_metrics.CPU]) / seconds
                found[name] = max(found.get(name, 0.0), used)
    return found
