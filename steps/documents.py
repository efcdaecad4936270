"""The raw documents of a run below `raw/RUN/`: their names, their contents, and how they are written and read.

    run.json  preflight.json  snapshot.json  restore.json  late.json
    visit-01/configure.json  settle.json  retreat.json  prepare.json  clear.json
    visit-01/host-network/0001.json.gz       one for each reference, by the position of the trial after it
    visit-01/TOPOLOGY/0001.json.gz           one for each trial
    visit-01/scale/changes.json              the changes of the scale, where there are several
    visit-01/scale/0001.json.gz              one for each trial that the step `scale` measures itself

Older runs have the first and the last reference as visit-01/canary-before/canary.json.gz and canary-after.

Every table can be rebuilt from them.
"""

import errno
import gzip
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from analysis.errors import Problem
from analysis.store.storage import atomic
from steps import domain
from steps.bounded_files import read_bounded
from steps.catalogue.factors import Scale
from steps.counters import Counters
from steps.strict_model import Count, Instant, Seconds, StrictModel, faults_of

RUN: Final = "run.json"
PREFLIGHT: Final = "preflight.json"
SNAPSHOT: Final = "snapshot.json"
RESTORE: Final = "restore.json"
LATE: Final = "late.json"
CONFIGURE: Final = "configure.json"
SETTLE: Final = "settle.json"
RETREAT: Final = "retreat.json"
PREPARE: Final = "prepare.json"
CLEAR: Final = "clear.json"
CHANGES: Final = "changes.json"
"""In the folder of the step `scale`."""

CANARY: Final = "canary.json.gz"
CANARIES: Final[dict[str, domain.Moment]] = {f"canary-{moment}/{CANARY}": moment for moment in domain.MOMENTS}
"""The canaries of older runs, below the visit's directory."""

MOST_BYTES: Final = 16 * 1024 * 1024
"""The largest document, unpacked: twenty times a visit's on a large cluster."""

MOST_READINGS: Final = 200_000
"""Of a monitor in one attempt: one a second for the longest trial, with as many to spare."""

_MOST_VALUES: Final = 1_000_000
"""Values of a document other than a trial's: four times those of the longest plan."""

_MOST_FAULTS: Final = 1_000

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

ATTEMPTS: Final = 3
"""How often a trial is measured at most: twice more where others disturbed it."""

Changes = Annotated[tuple[domain.Change, ...], Field(max_length=10_000, fail_fast=True)]
FlagNames = Annotated[tuple[str, ...], Field(max_length=100, fail_fast=True)]
ProgramOutput = Annotated[str, Field(max_length=10**9)]
"""What a program wrote, as long as the document's size permits."""

Readings = Annotated[
    dict[str, Annotated[tuple[Counters, ...], Field(min_length=1, max_length=MOST_READINGS, fail_fast=True)]],
    Field(max_length=16),
]
"""By monitored node."""

D = TypeVar("D", bound=StrictModel)


def visit_directory(visit: int) -> str:
    """The directory of a visit."""
    return f"visit-{visit:02d}"


def trial_name(trial: int) -> str:
    """The name of a trial's document within its topology's directory; likewise of a reference, by its position."""
    return f"{trial:04d}.json.gz"


class Preflight(StrictModel):
    """preflight.json: what this cluster supports of it. `visits`: those that will run, without what is left out."""

    findings: Annotated[tuple[domain.Finding, ...], Field(max_length=10_000, fail_fast=True)]
    provenance: dict[str, object]
    visits: Annotated[tuple[domain.Visit, ...], Field(max_length=domain.MOST_TRIALS, fail_fast=True)]


class Configure(StrictModel):
    """configure.json: the switch; retreat.json: the switch back from a dataplane that was not proven.

    `error`: why it failed, as a sentence, here and below; None if it did not.
    """

    visit: int
    started_at: Instant
    changes: Changes = ()
    switch_s: Seconds | None = None
    error: str | None = None


class Evidence(StrictModel):
    """settle.json and clear.json: the signs of one moment, on the nodes that must be proven.

    `settle_s`: from the first observation until the proof, at `proven_at`. `cost`: of the switch until then;
    None if no connections were open across it, or one might yet recover. `connections_dropped`: in older documents.
    `final`: waiting longer was pointless.
    """

    visit: int
    nodes: Annotated[tuple[str, ...], Field(max_length=10_000, fail_fast=True)]
    signs: Annotated[tuple[domain.Sign, ...], Field(max_length=100_000, fail_fast=True)] = ()
    proof: domain.Proof | None = None
    settle_s: Seconds | None = None
    proven_at: Instant | None = None
    cost: domain.SwitchCost | None = None
    connections_dropped: Count | None = None
    error: str | None = None
    final: bool = False


class ScaleChange(StrictModel):
    """One change of the scale within a visit, and what was counted on the measured nodes after it.

    `position`: of the first trial after it. `change_s`: from the first change until the last was made; `count_s`: from
    then until every node had what the scale asks for. `error`: why it was not made or not proven, as a sentence.
    """

    scale: Scale
    position: Count
    started_at: Instant
    changes: Changes = ()
    signs: Annotated[tuple[domain.ScaleSign, ...], Field(max_length=100_000, fail_fast=True)] = ()
    change_s: Seconds | None = None
    count_s: Seconds | None = None
    error: str | None = None


class Scales(StrictModel):
    """scale/changes.json: the changes of the scale after the visit's first, which prepare.json has."""

    visit: int
    changes: Annotated[tuple[ScaleChange, ...], Field(max_length=domain.MOST_TRIALS, fail_fast=True)] = ()


class Prepare(StrictModel):
    """prepare.json: where the trials find their servers.

    `scale`: the visit's first. `prepared_at`: when the servers were there. None: in older documents.
    """

    visit: int
    prepared_at: Instant | None = None
    scale: ScaleChange | None = None
    placements: Annotated[tuple[domain.Placement, ...], Field(max_length=100, fail_fast=True)] = ()
    error: str | None = None


class Restore(StrictModel):
    """restore.json: the changes that put everything back.

    `evidence`: taken before that, of a visit that a Stop interrupted, so that its finished trials count.
    `left`: what could not be put back, as sentences.
    """

    finished_at: Instant
    evidence: Evidence | None = None
    changes: Changes = ()
    left: Annotated[tuple[str, ...], Field(max_length=10_000, fail_fast=True)] = ()
    error: str | None = None


class Late(StrictModel):
    """late.json: the evidence of every visit that a Stop interrupted, from all ends of a run that was retried."""

    evidence: Annotated[tuple[Evidence, ...], Field(max_length=1_000, fail_fast=True)] = ()


Ratio = Annotated[float, Field(ge=0, le=1_000)]
"""A share; slightly above 1 where clocks disagree."""


class Attempt(StrictModel):
    """One execution of a trial's program. `error`: why it failed, beside its own messages in the output.

    `quiet_wait_s`: how long it waited until its nodes were quiet; None: it did not look.
    `readings`: of each monitor in the order taken, the first before and the last after the program; `nat` likewise.
    `window_offset_s`: seconds of warm-up after the first reading, left out of the CPU figures.
    """

    started_at: Instant
    argv: Annotated[tuple[str, ...], Field(max_length=1_000, fail_fast=True)]
    stdout: ProgramOutput = ""
    stderr: ProgramOutput = ""
    exit_code: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = None
    wall_s: Seconds | None = None
    window_offset_s: Seconds = 0.0
    quiet_wait_s: Seconds | None = None
    readings: Readings = Field(default_factory=dict)
    nat: Annotated[tuple[Counters, ...], Field(max_length=MOST_READINGS, fail_fast=True)] = ()
    foreign_cpu_ratio: Ratio | None = None
    error: str | None = None


class TrialDocument(StrictModel):
    """One measured trial. The last attempt counts; the earlier ones were disturbed.

    `turn`: its place among all turns of the visit, in the order measured; None: unknown, as in older documents.
    """

    version: Literal[1] = 1
    trial: domain.Trial
    placement: domain.Placement
    turn: Count | None = None
    mtu_bytes: Count | None
    attempts: Annotated[tuple[Attempt, ...], Field(max_length=ATTEMPTS, fail_fast=True)]
    flags: FlagNames = ()
    error: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _upgrade(cls, data: Any) -> Any:  # noqa: ANN401 - whatever a document holds
        """Read older documents, which have a number of Services beside the trial."""
        if not isinstance(data, dict) or "services" not in data or not isinstance(data.get("trial"), dict):
            return data
        others = {name: value for name, value in data.items() if name != "services"}
        return {**others, "trial": {"scale": {"services": data["services"]}, **data["trial"]}}


class CanaryDocument(StrictModel):
    """One reference of the host network; the first and the last are the canaries.

    Before the first trial it has two readings of each idle node, too. `turn`: as of a trial.
    """

    version: Literal[1] = 1
    moment: Literal[domain.Moment, "between"]
    turn: Count | None = None
    attempt: Attempt | None = None
    idle: Readings = Field(default_factory=dict)
    idle_foreign_cpu_ratio: Ratio | None = None
    flags: FlagNames = ()
    error: str | None = None


def write_document(path: Path, document: StrictModel) -> None:
    """Write a document atomically; compressed where the name ends in .gz.

    Raises:
        Problem: it can't be written.
    """
    data = document.model_dump_json().encode()
    if path.suffix == ".gz":
        data = gzip.compress(data, compresslevel=3, mtime=0)
    try:
        atomic.write(path, data)
    except OSError as error:
        remedy = "free some room" if error.errno in _FULL else "choose another place"
        raise Problem(f"{path} can't be written: {error.strerror or error}; {remedy}") from None


def read_document(path: Path, kind: type[D], most: int = MOST_BYTES) -> D:
    """Read a document of this kind. `most`: bytes, unpacked.

    Raises:
        FileNotFoundError: there is none.
        Problem: it is cut short, damaged, too large, or does not fit the model.
    """
    data = read_bounded(path, most, _MOST_VALUES if most <= MOST_BYTES else None)
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        # listing a million faults takes gigabytes
        fault = faults_of(error)[0] if error.error_count() <= _MOST_FAULTS else f"it has {error.error_count()} faults"
        raise Problem(f"{path.name} is damaged: {fault}") from None
    except (RecursionError, UnicodeError) as error:
        fault = "nested too deeply" if isinstance(error, RecursionError) else "not UTF-8 text"
        raise Problem(f"{path.name} is damaged: it is {fault}") from None
    except MemoryError:
        raise Problem(f"{path.name} is too large for this machine's memory") from None
