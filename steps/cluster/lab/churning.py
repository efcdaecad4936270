"""Change endpoints of unused Services on both nodes, so many a second, by `python -m steps.cluster.lab.churning`.

Like kube-proxy it writes once a second at most, all that is due by then; where an update takes longer, more is due
after it. `steps.cluster.lab.factors.churn` starts it.
"""

import json
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from analysis.errors import Problem
from analysis.store.storage import atomic
from steps.catalogue.factors import Scale
from steps.cluster.lab.dataplanes import traits
from steps.cluster.lab.factors.churn import STATUS
from steps.cluster.lab.mechanism import mechanisms
from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.addresses import LabNode
from steps.cluster.lab.network.services import ServicePort, all_ports, filler_port
from steps.cluster.lab.tables import Tables

PERIOD_S: Final = 1.0
"""kube-proxy's minSyncPeriod."""


def due(scale: Scale, elapsed_s: float, done: int) -> int:
    """How many endpoints are to change by now, of each Service one at most. Pure."""
    return min(scale.services, int(elapsed_s * scale.churn_per_s) - done)


def replaced(scale: Scale, done: int, number: int) -> Iterator[tuple[ServicePort, ServicePort]]:
    """The Services whose turn it is, as they were and as they become. Pure.

    `done`: how many changes there were so far. `number`: how many follow.
    """
    for change in range(done, done + number):
        times, index = divmod(change, scale.services)
        yield filler_port(index, scale.endpoints, times), filler_port(index, scale.endpoints, times + 1)


def churn(tables: Tables, scale: Scale, stopped: threading.Event) -> None:
    """Change endpoints until it is stopped, and write down how many were changed on each node.

    Raises:
        Problem: an update failed; what was done until then is written down.
    """
    ports, began, done = all_ports(scale.services, scale.endpoints), time.monotonic(), 0
    changes = dict.fromkeys((node.name for node in addresses.NODES), 0)
    while not stopped.wait(max(0.0, PERIOD_S - (time.monotonic() - began) % PERIOD_S)):
        number = due(scale, time.monotonic() - began, done)
        pairs = list(replaced(scale, done, number))
        error = ""
        try:
            _update(tables, ports, pairs)
        except Problem as problem:
            error = str(problem)
        else:
            done += number
            changes = dict.fromkeys(changes, done)
        atomic.write(
            STATUS, json.dumps({"changes": changes, "seconds": time.monotonic() - began, "error": error}).encode()
        )


def _update(tables: Tables, ports: Sequence[ServicePort], pairs: Sequence[tuple[ServicePort, ServicePort]]) -> None:
    """One update of both nodes, side by side."""

    def of_node(node: LabNode) -> None:
        tables.update(node, ports, [after for _, after in pairs], [before for before, _ in pairs])()

    with ThreadPoolExecutor(len(addresses.NODES)) as pool:
        list(pool.map(of_node, addresses.NODES))


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    name, scale = arguments
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    (mechanism,) = (each for each in mechanisms(traits()) if each.name == name)
    if mechanism.tables is not None:
        churn(mechanism.tables, Scale.model_validate_json(scale), stopped)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
