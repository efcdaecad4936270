"""What the agents of the measured nodes say of themselves: rules, policies, memory and CPU."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from steps.catalogue.factors import Scale
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.probe import agent_metrics
from steps.cluster.kube.probe.agent import Agent
from steps.cluster.kube.probe.report import HostProbe
from steps.cluster.kube.workloads import probe_pods
from steps.cluster.kube.workloads.probe_pods import Site
from steps.cluster.kube.workloads.workload import Workload
from steps.domain import ScaleSign
from steps.polling import poll
from steps.tools.programming import Agents

_PAUSE_S: Final = 0.3
_REPORTED_S: Final = 20.0
"""How long a new report of each node is waited for; they wake within a second, and report each second."""


def read(client: Client, sites: Sequence[Site], image: str, agent: Agent) -> dict[str, HostProbe]:
    """A new report of each node's probe pod, which is woken for it if it rests, by node.

    One that is late is left out, and all are where there are no such pods.

    Raises:
        Problem: a pod does not run.
    """
    if not Workload(client, probe_pods.PART).pods():
        return {}
    rested = probe_pods.rests(client, sites)
    before = _hosts(client, sites)
    if rested:
        probe_pods.start(client, sites, image, agent)

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


def signs(
    node: str, host: HostProbe, agent: Agent, scale: Scale, *, has_servers: bool, changes_go_on: bool = False
) -> Iterator[ScaleSign]:
    """What one node's agents count of a scale.

    `has_servers`: whether pods that the policies select run there. `changes_go_on`: whether changes that are not
    written yet may be younger than the scale.
    """
    proxy = host.kube_proxy or {}
    if rules := proxy.get(agent_metrics.PROXY_RULES):
        least = scale.services * (1 + scale.endpoints)
        seen = f"{rules:.0f} rules of kube-proxy, which needs {least} at least"
        yield _sign("services", node, agent_metrics.PROXY_RULES, seen, host, holds=rules >= least)
    for name in agent_metrics.PENDING:
        if name in proxy:
            holds = True if proxy[name] == 0 else None if changes_go_on else False
            yield _sign("services", node, name, f"{proxy[name]:.0f}", host, holds=holds)
    count = (host.agent or {}).get(agent.local_policies or "")
    if agent.local_policies is not None and count is not None:
        holds = count > scale.policies if has_servers and scale.policies else None
        yield _sign("policies", node, agent.local_policies, f"{count:.0f}", host, holds=holds)


def _sign(factor: str, node: str, looked_at: str, seen: str, host: HostProbe, *, holds: bool | None) -> ScaleSign:
    return ScaleSign(factor=factor, node=node, looked_at=looked_at, seen=seen, at=host.at, holds=holds)


def used(before: Mapping[str, HostProbe], after: Mapping[str, HostProbe], agent: Agent) -> Agents:
    """What the agents and the kernel held at the second of two reports, and the CPUs that they used between them.

    The larger of the nodes' figures. An agent that started anew meanwhile has no CPU, since its count began again.
    """
    hosts = list(after.values())
    of_agent = {
        agent.memory_column: _largest((host.agent or {}).get(agent_metrics.MEMORY) for host in hosts),
        agent.cpu_column: _cpu(before, after, lambda host: host.agent),
    }
    found = Agents(
        kube_proxy_memory_bytes=_largest((host.kube_proxy or {}).get(agent_metrics.MEMORY) for host in hosts),
        kernel_memory_bytes=_largest(host.kernel_memory_bytes for host in hosts),
        kube_proxy_cpu_ratio=_cpu(before, after, lambda host: host.kube_proxy),
    )
    return msgspec.structs.replace(found, **{column: value for column, value in of_agent.items() if column})


def _largest(found: Iterable[float | None]) -> int | None:
    known = [round(value) for value in found if value is not None]
    return max(known, default=None)


def _cpu(
    before: Mapping[str, HostProbe],
    after: Mapping[str, HostProbe],
    of: Callable[[HostProbe], Mapping[str, float] | None],
) -> float | None:
    found = []
    for node in before.keys() & after.keys():
        earlier, later = of(before[node]) or {}, of(after[node]) or {}
        seconds = (after[node].at - before[node].at).total_seconds()
        is_same = earlier.get(agent_metrics.STARTED) == later.get(agent_metrics.STARTED)
        if is_same and seconds > 0 and agent_metrics.CPU in earlier and agent_metrics.CPU in later:
            found.append(max(0.0, later[agent_metrics.CPU] - earlier[agent_metrics.CPU]) / seconds)
    return max(found, default=None)
