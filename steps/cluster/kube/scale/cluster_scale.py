"""A cluster's scale as the adapter changes, counts and times it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final

import msgspec

from steps.catalogue.factors import Scale
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.probe.agent import Agent
from steps.cluster.kube.scale import agents, change, pod_starts, programming, programming_pods
from steps.cluster.kube.scale.api_load import ApiLoad, recorded
from steps.cluster.kube.scale.churn import Churn
from steps.cluster.kube.scale.objects import SELECTOR, Quantity
from steps.cluster.kube.scale.observations import times
from steps.cluster.kube.scale.programming_pods import ProgrammingPods
from steps.cluster.kube.workloads.manifests import TRIALS
from steps.cluster.kube.workloads.probe_pods import Site
from steps.cluster.kube.workloads.workload import Workload
from steps.domain import Change, ScaleSign, Trial

FOLLOWS_S: Final = 900.0
"""How long a node may take until it has all of a scale: kube-proxy took 13 minutes for 5,000 Services of 50."""

LATEST_S: Final = 120.0
"""How long a node may take to follow one change; later it counts as one that was never followed."""

_ENOUGH: Final = 0.9
"""The share of the changes per second that must be reached."""


@dataclass(slots=True)
class _Process:
    """What a process does until it ends or is stopped. `load`: of its last change of the scale."""

    churn: Churn | None = None
    load: ApiLoad | None = None


_PROCESS: Final = _Process()


def prepare(client: Client, sites: Sequence[Site], scale: Scale) -> ApiLoad:
    """Make the objects of a scale, of which no endpoint changes yet.

    Raises:
        Problem: a call failed, or there are no addresses for so many Services.
    """
    return change.change(client, Quantity.of(scale), _version(sites))


def set_scale(client: Client, sites: Sequence[Site], scale: Scale) -> list[Change]:
    """Change the cluster from whatever scale it has to this one.

    Endpoints change until the next call, or until this process ends, which other processes do not take over.

    Raises:
        Problem: a call failed, or there are no addresses for so many Services.
    """
    end_churn()
    _PROCESS.load = load = prepare(client, sites, scale)
    if scale.churn_per_s:
        _PROCESS.churn = Churn(client, Quantity.of(scale), scale.churn_per_s, _version(sites))
    if not load.writes_s:
        return []
    command = f"{client.kubectl} -n {client.namespace} get services,endpointslices,networkpolicies -l {SELECTOR}"
    return [Change(what=f"{scale.words}: {load.sentence}", command=command)]


def _version(sites: Sequence[Site]) -> int:
    """Of IP, of the nodes and so of the Services: 4 or 6."""
    return ip_address(sites[0].address).version


def end_churn() -> None:
    """Let no endpoint change any more."""
    if _PROCESS.churn is not None:
        _PROCESS.churn.stop()
        _PROCESS.churn = None


def count(
    client: Client, sites: Sequence[Site], scale: Scale, image: str, agent: Agent, *, by_connection: bool
) -> list[ScaleSign]:
    """What the API server holds of the scale, and what each site has of it.

    `by_connection`: make one more Service, and wait until it is answered from each site: whoever has it has got
    everything that was accepted before it, in every dataplane. Costs two pods on each node.

    Raises:
        Problem: a pod or the API server does not answer.
    """
    found = _held(client, sites, scale)
    bench = programming_pods.start(client, sites, image) if by_connection else None
    if bench is not None:
        found += followed(client, bench)
    served = {(pod.get("spec") or {}).get("nodeName") for pod in Workload(client, TRIALS).pods().values()}
    # the Service by which the nodes were tried is removed by now, which kube-proxy writes a second later
    changes_go_on = by_connection or scale.churn_per_s > 0
    for node, host in agents.read(client, sites, image, agent).items():
        found += agents.signs(node, host, agent, scale, has_servers=node in served, changes_go_on=changes_go_on)
    if scale.churn_per_s and _PROCESS.churn is not None:
        rate = _PROCESS.churn.achieved_per_s
        seen, enough = f"{rate:.1f} endpoints changed per second", rate >= _ENOUGH * scale.churn_per_s
        found += [_sign("churn_per_s", site.node, "changes accepted", seen, enough) for site in sites]
    if _PROCESS.load is not None:
        found += [
            _sign("services", site.node, "the API server meanwhile", _PROCESS.load.sentence, None) for site in sites
        ]
    return found


def time_changes(client: Client, sites: Sequence[Site], trial: Trial, image: str, agent: Agent) -> str:
    """Do the work of a trial of `steps.tools.programming`; its `Times` as JSON.

    Raises:
        Problem: a pod or the API server does not answer.
    """
    bench = programming_pods.start(client, sites, image)
    duration_s = float(trial.program.lasts_s(trial.duration_s, 0))
    before = agents.read(client, sites, image, agent)
    try:
        with recorded(client) as load:
            if trial.tool == "pod_started":
                found = pod_starts.observe(client, bench, duration_s)
            else:
                found = programming.observe(client, bench, trial.tool, duration_s, LATEST_S)
    finally:
        change.clear_programming(client)
    used = agents.used(before, agents.read(client, sites, image, agent), agent)
    made = msgspec.structs.replace(
        times(found, load.seconds), agents=used, api_read_p50_s=load.read_s(0.5), api_read_worst_s=load.read_s(1.0)
    )
    return msgspec.json.encode(made).decode()


def followed(client: Client, bench: ProgrammingPods) -> list[ScaleSign]:
    """Whether each site's node has got all that was accepted before now."""
    try:
        found = programming.await_all(client, bench, FOLLOWS_S)
    finally:
        change.clear_programming(client)
    return [
        _sign(
            "services",
            each.node,
            "a Service made after all others",
            "not answered" if each.seconds is None else f"answered {each.seconds:.2f} s after its acceptance",
            each.seconds is not None,
        )
        for each in found
    ]


def _held(client: Client, sites: Sequence[Site], scale: Scale) -> list[ScaleSign]:
    """What the API server holds, which every node's agents receive."""
    there, wanted = change.count(client), Quantity.of(scale)
    counted = (
        ("services", "Services", there.services, wanted.services),
        ("endpoints", "endpoints in EndpointSlices", there.endpoints, wanted.services * wanted.endpoints),
        ("policies", "NetworkPolicies", there.policies, wanted.policies),
    )
    return [
        _sign(factor, site.node, "the API server", f"{held} {what}", held == asked)
        for site in sites
        for factor, what, held, asked in counted
    ]


def _sign(factor: str, node: str, looked_at: str, seen: str, holds: bool | None) -> ScaleSign:  # noqa: FBT001 - its fields
    return ScaleSign(factor=factor, node=node, looked_at=looked_at, seen=seen, at=datetime.now(UTC), holds=holds)
