"""The raw documents of a run: where each lies below `raw/RUN/`, what it holds, and how it is written and read.

    run.json  preflight.json  snapshot.json  restore.json
    visit-01/configure.json  settle.json  retreat.json  prepare.json  clear.json
    visit-01/canary-before/canary.json.gz    visit-01/canary-after/canary.json.gz
    visit-01/TOPOLOGY/0001.json.gz           one for each trial

Every table can be rebuilt from these.
"""

import contextlib
import errno
import gzip
import os
import tempfile
import zlib
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import Field, ValidationError

from analysis.errors import Problem
from steps.clock import Mark
from steps.model import Change, Finding, Model, Moment, Placement, Proof, Sign, SwitchCost, Trial, Visit
from steps.monitor import Counters
from steps.settings import Settings

RUN: Final = "run.json"
PREFLIGHT: Final = "preflight.json"
SNAPSHOT: Final = "snapshot.json"
RESTORE: Final = "restore.json"
CONFIGURE: Final = "configure.json"
SETTLE: Final = "settle.json"
RETREAT: Final = "retreat.json"
PREPARE: Final = "prepare.json"
CLEAR: Final = "clear.json"
CANARY: Final = "canary.json.gz"

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

D = TypeVar("D", bound=Model)


def visit_directory(visit: int) -> str:
    """The directory of a visit."""
    return f"visit-{visit:02d}"


def canary_directory(moment: Moment) -> str:
    """The directory of a canary within its visit's."""
    return f"canary-{moment}"


def trial_name(trial: int) -> str:
    """The name of a trial's document within its topology's directory."""
    return f"{trial:04d}.json.gz"


class Shown(Model):
    """An arm as a reader sees it: name with its label, title, and colour as #RRGGBB."""

    name: str
    title: str
    colour: str


Trigger = Literal["submitted", "nightly", "local"]
"""Who asked for a run: a person on a cluster, the CronWorkflow, or a person on this machine."""


class Run(Model):
    """run.json: what was asked for."""

    run_id: str
    workflow_uid: str
    trigger: Trigger
    started_at: datetime
    started_mark: Mark | None = None
    settings: Settings
    dataplanes: tuple[Shown, ...]


class Preflight(Model):
    """preflight.json: what this cluster can do of it. `visits`: those that will run, without what is left out."""

    findings: tuple[Finding, ...]
    provenance: dict[str, object]
    visits: tuple[Visit, ...]


class Snapshot(Model):
    """snapshot.json: the cluster as it was before the first change."""

    taken_at: datetime
    snapshot: dict[str, object]


class Configure(Model):
    """configure.json: the switch; retreat.json: the way back from one that was not proven.

    `error`: why it failed, as a sentence; None if it did not.
    """

    visit: int
    started_at: datetime
    changes: tuple[Change, ...] = ()
    switch_s: float | None = None
    error: str | None = None


class Evidence(Model):
    """settle.json and clear.json: the signs of one moment, on the nodes that must be proven.

    `settle_s`: from the first look until the proof, which came at `proven_at`. `cost`: of the switch; None if nobody
    was connected across it. `connections_dropped`: as older documents have it. `error`: why the step failed; None if it
    did not. `final`: looking again could not have helped.
    """

    visit: int
    nodes: tuple[str, ...]
    signs: tuple[Sign, ...] = ()
    proof: Proof | None = None
    settle_s: float | None = None
    proven_at: datetime | None = None
    cost: SwitchCost | None = None
    connections_dropped: int | None = None
    error: str | None = None
    final: bool = False


class Prepare(Model):
    """prepare.json: where the trials find their servers."""

    visit: int
    placements: tuple[Placement, ...] = ()
    error: str | None = None


class Restore(Model):
    """restore.json: what putting everything back took.

    `evidence`: seen before that, of a visit that a Stop cut short, so that what it had measured need not be lost.
    `left`: what could not be put back, as sentences.
    """

    finished_at: datetime
    evidence: Evidence | None = None
    changes: tuple[Change, ...] = ()
    left: tuple[str, ...] = ()
    error: str | None = None


class Attempt(Model):
    """One run of a trial's program. `error`: why the program was of no use; its own complaints are in the output.

    `readings`: of each monitor, one before, one after and some between, in the order taken; `nat` likewise before and
    after. `window_offset_s`: seconds of warm-up after the first reading, left out of the CPU figures.
    """

    started_at: datetime
    argv: tuple[str, ...]
    stdout: str = ""
    stderr: str = ""
    exit_code: int | None = None
    wall_s: float | None = None
    window_offset_s: float = 0.0
    readings: dict[str, tuple[Counters, ...]] = Field(default_factory=dict)
    nat: tuple[Counters, ...] = ()
    foreign_cpu_ratio: float | None = None
    error: str | None = None


class TrialDocument(Model):
    """One measured trial. The last attempt counts; the earlier ones were disturbed and are kept."""

    version: Literal[1] = 1
    trial: Trial
    placement: Placement
    mtu_bytes: int | None
    services: int
    attempts: tuple[Attempt, ...]
    flags: tuple[str, ...] = ()
    error: str | None = None


class CanaryDocument(Model):
    """One canary; before the first trial also what the nodes do with nothing sent, two readings each."""

    version: Literal[1] = 1
    moment: Moment
    attempt: Attempt | None = None
    idle: dict[str, tuple[Counters, ...]] = Field(default_factory=dict)
    idle_foreign_cpu_ratio: float | None = None
    flags: tuple[str, ...] = ()
    error: str | None = None


def write(path: Path, document: Model) -> None:
    """Write a document whole or not at all; compressed where the name ends in .gz.

    Raises:
        Problem: it can't be written.
    """
    data = document.model_dump_json().encode()
    if path.suffix == ".gz":
        data = gzip.compress(data, compresslevel=3, mtime=0)
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
        remedy = "free some room" if error.errno in _FULL else "choose another place"
        raise Problem(f"{path} can't be written: {error.strerror or error}; {remedy}") from None


def read(path: Path, kind: type[D]) -> D:
    """Read a document.

    Raises:
        FileNotFoundError: there is none.
        Problem: it is cut short, damaged, or of another form.
    """
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        return kind.model_validate_json(data)
    except FileNotFoundError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise Problem(f"{path.name} is cut short or damaged") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Problem(f"{path.name} is damaged: {where + ': ' if where else ''}{first['msg']}") from None
    except OSError as error:
        raise Problem(f"{path.name} can't be read: {error.strerror or error}") from None
