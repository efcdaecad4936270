"""Probe pods on as many nodes as can run them: a node may have no room, or no image for its architecture."""

from collections.abc import Collection, Sequence

from analysis.console.excerpts import excerpt
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ApiError, DeniedError, TransientError
from steps.cluster.kube.probe.agent import Agent
from steps.cluster.kube.workloads import probe_pods
from steps.cluster.kube.workloads.workload import NodesError, StillThereError, Workload


def place(
    client: Client, sites: Sequence[probe_pods.Site], image: str, agent: Agent, needed: Collection[str]
) -> dict[str, str]:
    """Start the pods on as many sites as can run them; why each other node runs none, by its name.

    A pod that has a node and does not start there may be kept by the very network that is to be proven, so it is no
    reason to do without. One that was deleted and does not end may be so, too: new ones are started beside it.

    `sites`: to try, first those of `needed`, the nodes that must run them.

    Raises:
        Problem: a needed node does not run them, or no node does, or the network of one may be the reason.
    """
    without: dict[str, str] = {}
    forgotten: set[str] = set()
    while True:
        left = [site for site in sites if site.node not in without]
        try:
            probe_pods.start(client, left, image, agent, each=True)
        except TransientError:
            raise
        except StillThereError as problem:
            new_ones = problem.nodes.keys() - forgotten - set(needed)
            if not new_ones:
                raise
            Workload(client, probe_pods.PART).forget_ending(new_ones)  # their names are needed
            forgotten |= new_ones
        except (ApiError, DeniedError, NodesError) as problem:
            unfit = _unfit(client, left, problem)
            if not unfit or unfit.keys() & set(needed) or len(unfit) == len(left):
                raise
            without |= unfit  # at least one more, or this would not end
        else:
            return without


def _unfit(
    client: Client, sites: Sequence[probe_pods.Site], problem: ApiError | DeniedError | NodesError
) -> dict[str, str]:
    """The nodes that can't run the pods, each with the reason; none where it may be a node's network."""
    if not isinstance(problem, NodesError):
        return _without_service(client, sites, str(problem))
    tried = {site.node for site in sites}
    return {} if problem.doubtful else {node: why for node, why in problem.nodes.items() if node in tried}


def _without_service(client: Client, sites: Sequence[probe_pods.Site], why: str) -> dict[str, str]:
    """The nodes whose Service was refused, each with the reason."""
    there = Workload(client, probe_pods.PART).services()
    return {site.node: excerpt(why) for index, site in enumerate(sites) if f"{probe_pods.PART}-{index}" not in there}
