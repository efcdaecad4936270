"""All pods that a visit has at once, as manifests, so that they can be asked about before the first is made. Pure."""

from collections.abc import Sequence
from typing import Any

from steps.catalogue.tools import CONNECTIVITY
from steps.catalogue.topologies import Topology
from steps.cluster.kube import padding, pods, reach
from steps.cluster.kube.looking import Site
from steps.cluster.kube.pods import Container
from steps.settings import Settings

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
    asking = Container(reach.REACH, ("true",), requests=pods.STEP_REQUESTS)
    made = [
        *servers,
        *(
            pods.pod(f"{reach.REACH}-{kind}", reach.REACH, kind, near, [asking], image)
            for kind in sorted({path.client for path in paths})
        ),
        pods.largest_step(near, image),
    ]
    return [*made, padding.backend(far, image, CONNECTIVITY.port)] if settings.services else made
