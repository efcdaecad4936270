"""Wait until a client reaches its server, before the first turn: a new Service refuses connections for a while."""

import threading
import time
from collections.abc import Callable
from typing import Final

from steps.catalogue.tools import CONNECTIVITY
from steps.domain import Placement
from steps.tools import connect_probe

_REACH_S: Final = 90.0
"""How long a new Service may take to lead to its server. The dataplane settles meanwhile."""

ENDPOINTS_PER_S: Final = 10.0
"""How many Services get their endpoints in a second, at least (kube-controller-manager may write 20): a new one's come
after those of all earlier ones."""

MOST_SERVICES: Final = 2000
"""With more, a step would wait longer for its server than the others of its visit wait for it."""

_TRIED_S: Final = 0.1
_AGAIN_S: Final = 0.3


def reach_s(services: int) -> float:
    """How long a server may take to answer beside so many further Services, seconds."""
    return _REACH_S + services / ENDPOINTS_PER_S


def await_server(
    placement: Placement, stopped: threading.Event, report: Callable[[str], None], timeout_s: float
) -> bool:
    """Whether the server has answered; where it does not, the trials fail, each with its own reason.

    `placement`: of the client, whose own network this process is in. `stopped`: ends the wait. `report`: called with a
    sentence when the time is up.
    """
    address, port = placement.address, placement.ports[CONNECTIVITY.name]
    deadline_s = time.monotonic() + timeout_s
    while not stopped.is_set():
        tried = connect_probe.probe(address, port, _TRIED_S)
        if tried["count"]:
            return True
        if time.monotonic() >= deadline_s:
            report(f"{address} port {port} has not answered for {timeout_s:g} s ({tried['error']})")
            return False
        stopped.wait(_AGAIN_S)
    return False
