"""Taking stock of a store: what is there, what of it counts, and what is left out and why."""

from collections.abc import Collection
from dataclasses import replace

from analysis.errors import Unsupported
from analysis.store.integrity.audit import ALWAYS, Audit, audit
from analysis.store.integrity.unnamed import runs_without_row
from analysis.store.inventory import ExcludedRun, Found, Inventory, select_runs, with_schemas
from analysis.store.left_out import LeftOut, repair_advice
from analysis.store.object_storage import UNREADABLE, ObjectStorage
from analysis.store.parquet import is_store_file, readable_runs, run_of_file

_LISTINGS = 5


def read_rows(files: ObjectStorage) -> Inventory:
    """What the rows of `runs/` say; the files that they name are not looked at.

    Raises:
        Unsupported: the store can't be read.
    """
    for _ in range(_LISTINGS):
        try:
            found, damaged = _read_listed(files, _list_runs(files))
        except FileNotFoundError:
            continue  # a writer replaced a row between the listing and the reading
        return select_runs(found, damaged)
    raise _restless(files)


def take_inventory(files: ObjectStorage, digested: Collection[str] = ALWAYS, run_id: str | None = None) -> Inventory:
    """What the store holds now. What is damaged is left out, by name, and nothing else is.

    Args:
        files: the store's.
        digested: the tables of which all content is compared with the digest in its file's name.
        run_id: a run of which that is done for all tables.

    Raises:
        Unsupported: the store can't be read.
    """
    files.check_there()
    for _ in range(_LISTINGS):
        listed = _list_runs(files)
        try:
            found, damaged = _read_listed(files, listed)
        except FileNotFoundError:
            continue
        stock = select_runs(found, damaged)
        seen = audit(files, stock.counting, digested, run_id)
        if seen.gone and _list_runs(files) != listed:
            continue  # replaced meanwhile; what is gone while no row has changed is lost
        if seen.faults or seen.gone:
            stock = select_runs(found, damaged, _faults(seen))
        stock = with_schemas(stock, seen.schemas)
        blocked = (*stock.blocked, *runs_without_row(files, stock, listed))
        return replace(stock, blocked=blocked, left_out=tuple(with_advice(files, one) for one in blocked))
    raise _restless(files)


def with_advice(files: ObjectStorage, one: ExcludedRun) -> LeftOut:
    """What does not count, with the whole address of its file and what to do about it."""
    remedy = one.remedy
    if not remedy and one.why.startswith(UNREADABLE):
        remedy = "All other runs are shown."
    if not remedy:
        documents = one.run_id is not None and files.is_there(f"raw/{one.run_id}")
        remedy = repair_advice(one.run_id, files.url, has_documents=documents)
    return LeftOut(one.run_id, files.address(one.name), one.why, remedy)


def _list_runs(files: ObjectStorage) -> list[str]:
    return [f"runs/{file.name}" for file in files.list("runs") if is_store_file(file.name)]


def _read_listed(files: ObjectStorage, listed: list[str]) -> tuple[Found, list[ExcludedRun]]:
    found, damaged = readable_runs(files, listed)
    return found, [ExcludedRun(run_of_file(name.partition("/")[2]), name, why.why) for name, why in damaged]


def _faults(seen: Audit) -> dict[str, str]:
    return {**seen.faults, **dict.fromkeys(sorted(seen.gone), "is not there")}


def _restless(files: ObjectStorage) -> Unsupported:
    return Unsupported(f"can't read {files.url}: it is being rewritten all the time; try again when the writer is done")
