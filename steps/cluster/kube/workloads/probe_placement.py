"""Probe pods on as many nodes as can run them: a node may have no room, or no image for its architecture."""

from collections.abc import Collection, Sequence

from analysis.console.excerpts import excerpt
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ApiError, DeniedError, TransientError
from steps.cluster.kube.workloads import probe_pods
from steps.cluster.kube.workloads.workload import NodesError, StillThereError, Workload


def place(client: Client, sites: Sequence[probe_pods.Site], image: str, needed: Collection[str]) -> dict[str, str]:
    """Start the pods on as many sites as can run them; why each other node runs none, by its name.

    Args:
        client: of the cluster.
        sites: to try, those of `needed` first.
        image: of the pods.
        needed: the nodes that must run them.

    Raises:
        Problem: a needed node does not run them, or no node does.
    """
    without: dict[str, str] = {}
    while True:
        left = [site for site in sites if site.node not in without]
        try:
            probe_pods.start(client, left, image, each=True)
        except TransientError:
            raise
        except (ApiError, DeniedError, NodesError) as problem:
            unfit = problem.nodes if isinstance(problem, NodesError) else _without_service(client, left, str(problem))
            new = {site.node: unfit[site.node] for site in left if site.node in unfit}
            if not new or new.keys() & set(needed) or len(new) == len(left):
                raise
            if isinstance(problem, StillThereError):
                # their names are needed, and the kubelet that does not end them may never answer
                Workload(client, probe_pods.PART).forget_ending(new.keys())
            without |= new  # at least one more, or this would not end
        else:
            return without


def _without_service(client: Client, sites: Sequence[probe_pods.Site], why: str) -> dict[str, str]:
    """The nodes whose Service was refused, each with the reason."""
    there = Workload(client, probe_pods.PART).services()
    return {site.node: excerpt(why) for index, site in enumerate(sites) if f"{probe_pods.PART}-{index}" not in there}
