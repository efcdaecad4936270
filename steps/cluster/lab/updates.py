"""How long the lab's dataplane takes for an update of its own: one Service more, and that Service less."""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from analysis.errors import Problem
from steps.catalogue.factors import Scale
from steps.cluster.lab.mechanism import Mechanism
from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.services import all_ports, filler_port
from steps.tools.programming import Times, times_of

MOST: Final = 400
"""Updates of a trial."""


def time_updates(mechanism: Mechanism, scale: Scale, seconds: float) -> Times:
    """Update the nodes in turn, each time to and fro, for so long; once each at least.

    The program that a dataplane is updated by is part of the time; what this project does to write its input is not.

    Raises:
        Problem: this mechanism can't be updated.
    """
    if mechanism.tables is None:
        raise Problem(f"{mechanism.name} has no update of its own, so there is nothing to time.")
    ports, extra = all_ports(scale.services, scale.endpoints), filler_port(scale.services, scale.endpoints)
    update = mechanism.tables.update
    runs: list[Callable[[], None]] = []
    for node in addresses.NODES:
        runs += [update(node, [extra, *ports], [extra], []), update(node, ports, [], [extra])]
    times: list[float] = []
    failed, error, began = 0, None, time.monotonic()
    while not times or (time.monotonic() - began < seconds and len(times) + failed < MOST):
        for run in runs:
            before = time.perf_counter()
            try:
                run()
            except Problem as problem:
                failed, error = failed + 1, str(problem)
            else:
                times.append(time.perf_counter() - before)
        if failed and not times:
            break
    return times_of(times, failed, time.monotonic() - began, error=error)


def as_json(times: Times) -> str:
    """As the tool reads it."""
    return msgspec.json.encode(times).decode()
