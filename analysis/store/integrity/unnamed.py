"""Files of visits, trials and samples that no row of `runs/` names: what is left of a run whose row is lost."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from analysis.errors import Problem
from analysis.store.files.parquet import read_table
from analysis.store.index.inventory import Inventory
from analysis.store.index.left_out import LeftOut
from analysis.store.index.names import CHILDREN, is_packed, is_run_id, is_store_file, run_of_file
from analysis.store.storage.folder import Entry
from analysis.store.storage.object_storage import ObjectStorage

REST_S: Final = 3600
"""A younger file that no row names may be of a run whose row is about to be written, where no lock says otherwise."""

LOST: Final = "is there, but no row of runs/ names it"


def list_run_files(files: ObjectStorage) -> list[str]:
    """The files of `runs/`."""
    return [f"runs/{file.name}" for file in files.list("runs") if is_store_file(file.name)]


def runs_without_row(files: ObjectStorage, stock: Inventory, listed: Sequence[str]) -> list[LeftOut]:
    """The runs that have files, but no row in the inventory that comes from these files of `runs/`.

    A writer writes a run's files before its row. So in a folder the check holds the lock; where there is none, only
    files count that are an hour old.
    """
    half_named = _half_named(stock)
    if not half_named and not unreferenced_files(files, stock):
        return []
    with contextlib.suppress(Problem), files.no_writer() as quiet:
        if list_run_files(files) != list(listed):
            return []
        now = time.time()
        found = [
            name for name, file in unreferenced_files(files, stock).items() if quiet or now - file.modified_s > REST_S
        ]
        return _by_run(files, stock, [*half_named, *found])
    return []


def _half_named(stock: Inventory) -> list[str]:
    """Packed files that single runs name, and no packed row: of their other runs the rows are lost."""
    by_single = {child for entry in stock.entries if not is_packed(entry.name) for child in entry.children}
    by_packed = {child for entry in stock.entries if is_packed(entry.name) for child in entry.children}
    return sorted(child for child in by_single - by_packed if is_packed(child))


def unreferenced_files(files: ObjectStorage, stock: Inventory) -> dict[str, Entry]:
    """The files of the child tables that no row names; none where the folders can't be listed."""
    named = {child for entry in stock.entries for child in entry.children}
    with contextlib.suppress(Problem), ThreadPoolExecutor(len(CHILDREN)) as pool:
        return {
            name: file
            for table, listed in zip(CHILDREN, pool.map(files.list, CHILDREN), strict=True)
            for file in listed
            if is_store_file(file.name) and (name := f"{table}/{file.name}") not in named
        }
    return {}


def runs_in(files: ObjectStorage, name: str) -> frozenset[str]:
    """The runs that have rows in a file.

    Raises:
        FileNotFoundError: it is not there.
        DamagedFileError: it is not what was written.
    """
    run_id = run_of_file(name.partition("/")[2])
    if run_id is not None:
        return frozenset({run_id})
    table = read_table(files, name)
    if "run_id" not in table.column_names:
        return frozenset()
    return frozenset(run for run in table["run_id"].unique().to_pylist() if is_run_id(run))


def _by_run(files: ObjectStorage, stock: Inventory, names: Iterable[str]) -> list[LeftOut]:
    known = {entry.run_id for entry in stock.entries} | {one.run_id for one in stock.left_out}
    files_of: dict[str, str] = {}
    packed: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names, key=lambda name: CHILDREN.index(name.partition("/")[0])):  # the smallest first
        run_id = run_of_file(name.partition("/")[2])
        if run_id is None:
            packed[name.partition("/")[2].partition(".")[0]].append(name)
        elif run_id not in known:
            files_of.setdefault(run_id, name)
    for found in packed.values():
        for name in found:
            with contextlib.suppress(Problem, FileNotFoundError):
                for run_id in sorted(runs_in(files, name) - known):
                    files_of.setdefault(run_id, name)
                break
    return [LeftOut(run_id, name, LOST) for run_id, name in files_of.items()]
