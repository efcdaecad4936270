"""Whether a measuring client is in the network that it must be in, and has it to itself. Needs no rights.

A client listens on no port. What does in its pod's network is a proxy: a mesh's sidecar, or an ambient mesh's agent,
which opens its ports in the pods that it redirects.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from analysis.errors import BadInput
from steps import documents
from steps.catalogue.environments import is_lab
from steps.catalogue.topologies import BY_NAME
from steps.domain import Placement, Trial
from steps.tools.tool import MONITOR_PORT

_TABLES: Final = ("tcp", "tcp6")
_LISTEN: Final = "0A"
_ADDRESS, _STATE = 1, 3
_PRIVILEGED: Final = 1023
_STEP: Final = "ARGO_CONTAINER_NAME"
"""Set in the containers of a workflow's pods, and nowhere else."""


def check_place(placement: Placement, environment: str) -> None:
    """Refuse a placement that would measure or read counters outside the lab's namespaces, or outside the step's pod.

    Raises:
        BadInput: the placement is not one that this environment makes.
    """
    monitors = [*placement.monitors, *([placement.nat_monitor] if placement.nat_monitor is not None else [])]
    sources = [monitor.source for monitor in monitors]
    if placement.turns is not None:
        sources.append(placement.turns)
    remote = [source.startswith("http:") for source in sources]
    if is_lab(environment):
        fits = placement.namespace is not None and not any(remote)
    else:
        own_port = [urlsplit(source).port == MONITOR_PORT or _is_node_port(placement, source) for source in sources]
        fits = placement.namespace is None and all(remote) and all(own_port)
    if not fits:
        raise BadInput(
            f"the placement of {placement.topology} was not made in the environment {environment}: its document was "
            "changed after `prepare`. Run the visit again."
        )


def _is_node_port(placement: Placement, source: str) -> bool:
    """Whether it may be the NodePort by which a client outside reaches the server of turns."""
    topology = BY_NAME.get(placement.topology)
    from_outside = topology is not None and topology.client == "outside"
    return from_outside and source == placement.turns and (urlsplit(source).port or 0) > _PRIVILEGED


def listening_ports(proc_net: Path = Path("/proc/self/net")) -> tuple[int, ...]:
    """The TCP ports with a listener in this process's network, ascending."""
    ports = set()
    for table in _TABLES:
        try:
            lines = (proc_net / table).read_text().splitlines()[1:]
        except OSError:  # a kernel without IPv6
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > _STATE and fields[_STATE] == _LISTEN:
                ports.add(int(fields[_ADDRESS].rpartition(":")[2], 16))
    return tuple(sorted(ports))


def sharing_reason(
    placement: Placement,
    variables: Mapping[str, str] = os.environ,
    proc_net: Path = Path("/proc/self/net"),
) -> str | None:
    """Why this pod's network is not the client's alone, as a sentence; None: it is, or it is the node's."""
    if _STEP not in variables or placement.host_network or placement.namespace is not None:
        return None
    ports = listening_ports(proc_net)
    if not ports:
        return None
    listed = ", ".join(map(str, ports))
    return (
        f"something that is not the benchmark's listens in the client's pod (TCP port {listed}): a service mesh's "
        "proxy would be measured. Take the benchmark's namespace out of the mesh."
    )


def refuse(placement: Placement, trials: Sequence[Trial], directory: Path, reason: str) -> None:
    """Write a failed document for each trial, with the reason as its error, instead of measuring it.

    Raises:
        Problem: a document can't be written.
    """
    for trial in trials:
        document = documents.TrialDocument(trial=trial, placement=placement, mtu_bytes=None, attempts=(), error=reason)
        documents.write_document(directory / documents.trial_name(trial.trial), document)
