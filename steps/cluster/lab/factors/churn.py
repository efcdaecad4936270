"""Endpoints of unused Services that change all the time, by a process in the lab, which ends with its servers."""

import json
import os
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from steps.catalogue.factors import Scale
from steps.cluster.lab.mechanism import Mechanism
from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.addresses import LabNode
from steps.cluster.lab.network.processes import processes, start_detached
from steps.domain import Change, ScaleSign
from steps.polling import poll

STATUS: Final = Path("/run/lab/churn.json")
"""What the process has done so far."""

_PROCESS: Final = Path("/run/lab/churn.pid")
_LOG: Final = Path("/run/lab/churn.log")
_LEAST_S: Final = 2.0
"""How long it must have run before its rate says something."""

_LEAST_RATIO: Final = 0.9
"""Of the rate that was asked for."""

_END_S: Final = 30.0
_POLL_S: Final = 0.01


def is_made(mechanism: Mechanism, scale: Scale) -> bool:
    """Whether there is any."""
    del mechanism
    return scale.churn_per_s > 0


def apply(mechanism: Mechanism, before: Scale | None, scale: Scale) -> list[Change]:
    """Start the process that changes endpoints."""
    del before
    if not scale.churn_per_s:
        return []
    _LOG.parent.mkdir(parents=True, exist_ok=True)
    STATUS.unlink(missing_ok=True)
    program = (sys.executable, "-m", "steps.cluster.lab.churning", mechanism.name, scale.model_dump_json())
    _PROCESS.write_text(str(start_detached(addresses.NODE_A.name, program, _LOG)))
    return [
        Change(what=f"{scale.churn_per_s:g} endpoints change a second on both nodes", command=" ".join(program[1:3]))
    ]


def stop() -> None:
    """End the process, with the programs that it runs, and wait until it is gone."""
    if not _PROCESS.exists():
        return
    process = int(_PROCESS.read_text())
    if process in processes((addresses.NODE_A.name,)):
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGTERM)
        poll(
            lambda: process in processes((addresses.NODE_A.name,)),
            lambda alive: not alive,
            pause_s=_POLL_S,
            timeout_s=_END_S,
        )
    _PROCESS.unlink(missing_ok=True)


def count(mechanism: Mechanism, node: LabNode, scale: Scale) -> list[ScaleSign]:
    """The rate at which endpoints have changed on the node."""
    del mechanism
    if not scale.churn_per_s:
        return []
    done, seconds, error = 0, 0.0, ""
    with suppress(OSError, ValueError, KeyError):
        status = json.loads(STATUS.read_text())
        done, seconds, error = int(status["changes"][node.name]), float(status["seconds"]), str(status["error"])
    rate = done / seconds if seconds else 0.0
    return [
        ScaleSign(
            factor="churn_per_s",
            node=node.name,
            looked_at="endpoints that the lab has changed",
            seen=f"{done} in {seconds:.1f} s, {rate:.3g}/s of {scale.churn_per_s:g}/s{': ' + error if error else ''}",
            at=datetime.now(UTC),
            holds=seconds >= _LEAST_S and rate >= _LEAST_RATIO * scale.churn_per_s,
        )
    ]
