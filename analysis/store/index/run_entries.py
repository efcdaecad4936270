"""Rows of `runs/` as they are read: each is checked, since code uses its columns as names, times and documents."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analysis.store.index.left_out import LeftOut
from analysis.store.index.names import CHILDREN, is_run_id, run_of_file, unfit_child
from analysis.store.schema import SCHEMA_VERSION, TIMESTAMP

WRITTEN_AT: Final = "store_written_at"
FILES: Final = "store_files"
BOOKKEEPING: Final = (pa.field(WRITTEN_AT, TIMESTAMP), pa.field(FILES, pa.list_(pa.string())))
"""Columns of `runs/` beyond the schema: when the row was written, and the files of its visits, trials and samples."""

MOST_CHARACTERS: Final = 2**20
"""Of `parameters` and `provenance`. Those of the largest plan take a hundredth of it."""

_LAST_YEAR: Final = 9000
"""Of a row's writing: the next row of its run must be later, and Python has no year after 9999."""


class _Document(BaseModel):
    """A JSON object, of which the fields that code reads are of their types."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _Dataplane(_Document):
    name: str
    title: str | None = None
    colour: str | None = None


class _Cell(_Document):
    topology: str | None = None
    protocol: str | None = None  # of version 1, instead of the next two
    tool: str | None = None
    transport: str | None = None
    direction: str | None = None


class _Tool(_Document):
    name: str | None = None
    tool: str | None = None
    transport: str | None = None
    figures: tuple[str, ...] = ()


class _Topology(_Document):
    name: str | None = None
    title: str | None = None
    host_network: bool | None = None


class _Repeat(_Document):
    visit: int | None = None
    dataplane: str | None = None
    round: int | None = None
    reason: str | None = None
    repeated_as: int | None = None


class _Finding(_Document):
    subject: str | None = None
    reason: str | None = None
    remedy: str | None = None


class Parameters(_Document):
    """Every field of `parameters` that is read; the bounds are those of the settings of these names."""

    profile: str | None = None
    environment: str | None = None
    label: str | None = None
    results: str | None = None
    continues: str | None = None
    rounds: Annotated[int | None, Field(ge=1, le=1_000)] = None
    budget_s: Annotated[float | None, Field(ge=60, le=172_800)] = None
    margin_ratio: Annotated[float | None, Field(gt=0, lt=1)] = None
    regression_limit_ratio: Annotated[float | None, Field(gt=0, lt=1)] = None
    dataplanes: tuple[str | _Dataplane, ...] | None = None
    cells: tuple[_Cell, ...] | None = None
    tools: tuple[_Tool, ...] | None = None
    topologies: tuple[_Topology, ...] | None = None
    skipped: tuple[_Finding, ...] | None = None
    rounds_run: int | None = None
    stopped: str | None = None
    decided_after: dict[str, int] | None = None
    repeats: tuple[_Repeat, ...] | None = None
    dealt: bool | None = None
    imported: dict[str, Any] | None = None


_DOCUMENTS: Final = {"parameters": Parameters, "provenance": _Document}
_READ: Final = ("run_id", "schema_version", WRITTEN_AT, FILES, *_DOCUMENTS)
_TIMES: Final = ("started_at", "finished_at")
_FIRST_US, _LAST_US = (
    int(time.replace(tzinfo=UTC).timestamp()) * 10**6
    for time in (datetime.min, datetime.max)  # noqa: DTZ901
)


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One row of `runs/`: its file, run, schema version and time, and the files of its visits, trials and samples."""

    name: str
    run_id: str
    version: int
    written_at: datetime
    children: tuple[str, ...]


def read_entries(name: str, table: pa.Table) -> list[RunEntry | LeftOut]:
    """The rows of a file of `runs/`; an invalid one gives what is wrong with it."""
    own = run_of_file(name.partition("/")[2])
    try:
        rows = table.select([column for column in _READ if column in table.column_names]).to_pylist()
    except (pa.ArrowException, ValueError, OverflowError) as error:
        return [LeftOut(own, name, f"has invalid values ({error})")]
    for column in (table[one] for one in _TIMES if one in table.column_names):
        found = pc.min_max(column.cast(pa.int64())).as_py()
        if found["min"] is not None and not _FIRST_US <= found["min"] <= found["max"] <= _LAST_US:
            return [LeftOut(own, name, "has a time outside the years 1 to 9999")]
    times = Counter(row["run_id"] for row in rows)
    return [_read_entry(name, own, row, times[row["run_id"]]) for row in rows]


def _read_entry(name: str, own: str | None, row: Mapping[str, Any], times: int) -> RunEntry | LeftOut:
    run_id, version, written_at, children = (row[column] for column in _READ[:4])
    if not is_run_id(run_id) or own not in {None, run_id}:
        return LeftOut(own, name, f"has a row of a run {str(run_id)[:200]!r}, which this file can't have")
    if times > 1:
        return LeftOut(run_id, name, f"has {times} rows for it")
    if not isinstance(version, int) or not isinstance(written_at, datetime) or not isinstance(children, list):
        return LeftOut(run_id, name, "has a row that lacks its version, its time or the names of its files")
    documents = ((name, model, row.get(name)) for name, model in _DOCUMENTS.items())
    faults = (_fault(run_id, written_at, children), *(_fault_of_document(*one) for one in documents))
    if version <= SCHEMA_VERSION and (fault := next(filter(None, faults), None)):
        return LeftOut(run_id, name, fault)
    return RunEntry(name, run_id, version, written_at, tuple(child for child in children if isinstance(child, str)))


def _fault(run_id: str, written_at: datetime, children: list[Any]) -> str | None:
    if written_at.year > _LAST_YEAR:
        return f"was written in the year {written_at.year}"
    many = f"names {len(children):,} files, and a run has one a table"
    if len(children) > len(CHILDREN):  # looked at first: each name of a hundred thousand would be, at each opening
        return many
    if odd := [child for child in children if unfit_child(child, run_id)]:
        return f"names a file {str(odd[0])[:200]!r} that can't be one of the run's"
    if len({child.partition("/")[0] for child in children}) < len(children):
        return many
    return None


def _fault_of_document(name: str, model: type[BaseModel], text: str | None) -> str | None:
    if text is None:
        return None
    if len(text) > MOST_CHARACTERS:
        return f"has {name} of {len(text):,} characters, more than {MOST_CHARACTERS:,}"
    try:
        model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return f"has invalid {name} ({'.'.join(map(str, (*first['loc'][:9], first['msg'])))[:300]})"
    return None
