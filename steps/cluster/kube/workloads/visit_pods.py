"""The manifests of all pods that a visit has at once, for a dry run of their admission. Pure."""

from collections.abc import Sequence
from typing import Any

from steps.catalogue.options import Settings
from steps.catalogue.tools import CONNECTIVITY
from steps.catalogue.topologies import Topology
from steps.cluster.kube.workloads import connectivity, filler_services, manifests
from steps.cluster.kube.workloads.manifests import Container
from steps.cluster.kube.workloads.probe_pods import Site

Object = dict[str, Any]


def at_once(
    servers: Sequence[Object], paths: Sequence[Topology], places: Sequence[Site], image: str, settings: Settings
) -> list[Object]:
    """The servers and monitors, a client of each kind, the pod behind the many Services, and a step of the workflow.

    Args:
        servers: the manifests of servers and monitors.
        paths: the topologies that are measured.
        places: the client's node and the server's.
        image: of the pods.
        settings: of the run.
    """
    near, far = places[0].node, places[-1].node
    client = Container(connectivity.REACH, ("true",), requests=manifests.STEP_REQUESTS)
    made = [
        *servers,
        *(
            manifests.pod(
                f"{connectivity.REACH}-{kind}",
                connectivity.REACH,
                kind,
                near,
                [client],
                image,
                deadline_s=connectivity.DEADLINE_S,
            )
            for kind in sorted({path.client for path in paths})
        ),
        manifests.largest_step(near, image),
    ]
    return [*made, filler_services.backend(far, image, CONNECTIVITY.port)] if settings.services else made
