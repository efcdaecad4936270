"""The inventory of a store: what is there, what of it counts, and what is left out and why."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import pyarrow as pa

from analysis.console.commands import report_command
from analysis.errors import Unsupported
from analysis.store.files.parquet import readable_runs
from analysis.store.index.inventory import Checked, Found, Inventory, select_runs
from analysis.store.index.left_out import LeftOut
from analysis.store.index.names import run_of_file
from analysis.store.index.run_entries import RunEntry
from analysis.store.index.selection import ABOUT, Choice, every_run
from analysis.store.integrity.audit import Extent, audit
from analysis.store.integrity.unnamed import list_run_files, runs_without_row
from analysis.store.schema import VERDICT, arrow_schema
from analysis.store.storage.object_storage import UNREADABLE, ObjectStorage

_LISTINGS = 5


def read_rows(files: ObjectStorage) -> Inventory:
    """The inventory by the rows of `runs/` alone; the files that they name are not checked."""
    for _ in range(_LISTINGS):
        try:
            return select_runs(*_read_listed(files, list_run_files(files)))
        except FileNotFoundError:
            continue  # a writer replaced a row between the listing and the reading
    raise _restless(files)


def take_inventory(
    files: ObjectStorage,
    extent: Extent,
    choice: Choice = every_run,
    known: Mapping[str, str] = MappingProxyType({}),
) -> Inventory:
    """The inventory. What is damaged is left out, by name, and nothing else is.

    Args:
        files: the store's.
        extent: what is checked of a run's files.
        choice: the runs of which files are opened. All others are believed.
        known: what is wrong with files, by name, beyond what is checked here.
    """
    files.check_there()
    for _ in range(_LISTINGS):
        listed = list_run_files(files)
        try:
            found, damaged = _read_listed(files, listed, without="" if extent.verdicts else VERDICT)
        except FileNotFoundError:
            continue
        select = partial(select_runs, found, damaged)
        stock = _checked(files, listed, select, extent, choice, known)
        if stock is None:
            continue
        left_out = (*stock.left_out, *runs_without_row(files, stock, listed))
        return replace(stock, left_out=tuple(_with_advice(files, one) for one in left_out))
    raise _restless(files)


def _checked(
    files: ObjectStorage,
    listed: list[str],
    select: Callable[[Mapping[str, str]], Inventory],
    extent: Extent,
    choice: Choice,
    known: Mapping[str, str],
) -> Inventory | None:
    """The inventory with the files of the chosen runs, once they are checked; None: some were replaced meanwhile."""
    faults, sound, done = dict(known), dict[str, Checked](), set[RunEntry]()
    while True:
        stock = select(faults)
        chosen = _chosen(stock, choice, extent.run_id)
        checked = audit(files, chosen - done, extent)
        if checked.gone and list_run_files(files) != listed:
            return None  # what is gone while no row has changed is lost
        faults |= {**checked.faults, **dict.fromkeys(sorted(checked.gone), "is not there")}
        sound |= checked.sound
        if not checked.faults and not checked.gone:
            names = {child for entry in chosen for child in entry.children}
            return stock.reading({name: one for name, one in sound.items() if name in names})
        done |= chosen  # without those at fault, the choice may be another


def _chosen(stock: Inventory, choice: Choice, run_id: str | None) -> frozenset[RunEntry]:
    if choice is every_run:
        return stock.counting
    rows = [
        pa.table({name: rows[name] if name in rows.column_names else pa.nulls(len(rows)) for name in ABOUT})
        for rows in stock.runs.values()
    ]
    schema = arrow_schema("runs")
    empty = pa.schema([schema.field(name) for name in ABOUT]).empty_table()
    wanted = {run_id, *choice(pa.concat_tables([empty, *rows], promote_options="permissive"))}
    return frozenset(entry for entry in stock.counting if entry.run_id in wanted)


def _with_advice(files: ObjectStorage, one: LeftOut) -> LeftOut:
    """A run left out, with the whole address of its file and what to do about it. No advice deletes anything."""
    remedy = one.remedy
    if not remedy and one.reason.startswith(UNREADABLE):
        remedy = "All other runs are shown."
    elif not remedy and one.run_id and files.is_there(f"raw/{one.run_id}"):
        remedy = (
            f"Put the file back from a copy, or type `{report_command(files.url, one.run_id)}`, which collects the run "
            f"again from its raw documents in raw/{one.run_id}."
        )
    elif not remedy:
        remedy = "Put the file back from a copy; all other runs are shown."
    return replace(one, file=files.address(one.file), remedy=remedy)


def _read_listed(files: ObjectStorage, listed: list[str], without: str = "") -> tuple[Found, list[LeftOut]]:
    found, damaged = readable_runs(files, listed, without)
    return found, [LeftOut(run_of_file(name.partition("/")[2]), name, error.why) for name, error in damaged]


def _restless(files: ObjectStorage) -> Unsupported:
    return Unsupported(f"can't read {files.url}: it is being rewritten all the time; try again when the writer is done")
