"""Whether a measuring client has its pod's network to itself. Seen from within, so that it needs no rights.

A client listens at no port. What does in its pod's network is a proxy: a mesh's sidecar, or an ambient mesh's agent,
which opens its ports in the pods that it redirects.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from steps import documents
from steps.catalogue.options import Settings
from steps.domain import Placement, Trial

_TABLES: Final = ("tcp", "tcp6")
_LISTEN: Final = "0A"
_ADDRESS, _STATE = 1, 3
_STEP: Final = "ARGO_CONTAINER_NAME"
"""Set in the containers of a workflow's pods, and nowhere else."""


def listening_ports(proc_net: Path = Path("/proc/self/net")) -> tuple[int, ...]:
    """The TCP ports that anything listens at in this process's network, ascending."""
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
    """Why this pod is no place to measure from, as a sentence; None where it is, or its network is its node's."""
    if _STEP not in variables or placement.host_network or placement.prefix:
        return None
    ports = listening_ports(proc_net)
    if not ports:
        return None
    listed = ", ".join(map(str, ports))
    return (
        f"something that is not ours listens in the client's pod (TCP port {listed}): a service mesh's proxy would be "
        "measured. Take the benchmark's namespace out of the mesh."
    )


def refuse(placement: Placement, trials: Sequence[Trial], settings: Settings, directory: Path, reason: str) -> None:
    """Leave a document for each trial that says why it was not attempted.

    Args:
        placement: where the trials' ends are.
        trials: that were to be measured.
        settings: of the run.
        directory: gets `raw.trial_name(...)` for each trial.
        reason: becomes the error of each.

    Raises:
        Problem: a document can't be written.
    """
    for trial in trials:
        document = documents.TrialDocument(
            trial=trial, placement=placement, mtu_bytes=None, services=settings.services, attempts=(), error=reason
        )
        documents.write_document(directory / documents.trial_name(trial.trial), document)
