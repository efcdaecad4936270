"""Checks of the files that the rows of `runs/` name: are they what was written?

Every file's footer is read: its length, its columns and their types, and its runs. Of visits and trials, from which
every figure comes, all of the content is compared with the digest in the file's name; of samples, which are many and in
no report, only when a query reads them, or for the one run that is reported.
"""

import hashlib
import io
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

from analysis.errors import DamagedFileError
from analysis.store.files.file_content import FOOTER_END_BYTES, ContentError, check_schema, footer_length, read_footer
from analysis.store.files.parquet import MOST_BYTES, NOT_AS_NAMED, readers
from analysis.store.index.inventory import Checked
from analysis.store.index.names import CHILDREN, digest_in, run_of_file
from analysis.store.index.run_entries import RunEntry
from analysis.store.storage.object_storage import ObjectStorage

ALWAYS: Final = frozenset({"visits", "trials"})
"""The tables of which each file's digest is compared whenever the store is opened."""

EVERY: Final = frozenset(CHILDREN)

_KEPT_BYTES: Final = 2**26
_STEP_BYTES: Final = 2**20
_END_BYTES: Final = 2**16
"""Read at once of a file's end: most footers fit, and on S3 each reading costs a round trip."""


@dataclass(frozen=True, slots=True)
class Audit:
    """The result of checking files: what is wrong, as clauses; those that are sound; and those that are not there."""

    faults: Mapping[str, str]
    sound: Mapping[str, Checked]
    gone: frozenset[str]


@dataclass(frozen=True, slots=True)
class Extent:
    """What of a store is checked.

    Attributes:
        tables: those of which files are opened.
        digested: those of which all content is compared with its digest.
        run_id: a run of which that is done for all tables.
        verdicts: whether the verdicts are kept in memory: those of a thousand runs are some hundred MiB.
    """

    tables: frozenset[str]
    digested: frozenset[str]
    run_id: str | None = None
    verdicts: bool = True

    def of(self, table: str, run_id: str) -> bool | None:
        """Whether a run's file of this table is read whole; None: it is not opened."""
        if run_id == self.run_id or table in self.digested:
            return True
        return False if table in self.tables else None


WHOLE: Final = Extent(EVERY, EVERY)
"""All content of all tables."""


def audit(files: ObjectStorage, entries: Iterable[RunEntry], extent: Extent) -> Audit:
    """Check the files that these rows of `runs/` name, as far as the extent says."""
    wanted: dict[str, tuple[int, bool]] = {}
    for entry in entries:
        for child in entry.children:
            whole = extent.of(child.partition("/")[0], entry.run_id)
            if whole is not None:
                wanted[child] = (entry.version, whole or wanted.get(child, (0, False))[1])
    with ThreadPoolExecutor(readers(files)) as pool:
        found = dict(zip(wanted, pool.map(lambda name: _check_file(files, name, *wanted[name]), wanted), strict=True))
    return Audit(
        faults={name: one for name, one in found.items() if isinstance(one, str)},
        sound=_kept({name: one for name, one in found.items() if isinstance(one, Checked)}),
        gone=frozenset(name for name, one in found.items() if one is None),
    )


def _kept(sound: Mapping[str, Checked]) -> dict[str, Checked]:
    """The same, with as much content as a report's memory has room for; a query reads the others again."""
    kept, total = {}, 0
    for name, one in sound.items():
        total += len(one.content or b"")
        kept[name] = one if total <= _KEPT_BYTES else replace(one, content=None)
    return kept


def _check_file(files: ObjectStorage, name: str, version: int, whole: bool) -> Checked | str | None:  # noqa: FBT001 - by pool.map
    """What is known of a sound file, or what is wrong with it; None: it is not there."""
    try:
        if whole and not files.local and name.partition("/")[0] in ALWAYS:  # each request costs a round trip
            content = files.read(name, MOST_BYTES)
            return replace(_check(io.BytesIO(content), name, version, whole=True), content=content)
        return files.reading(name, lambda stream: _check(stream, name, version, whole=whole))
    except FileNotFoundError:
        return None
    except DamagedFileError as damaged:
        return damaged.why
    except ContentError as error:
        return str(error)


def _check(stream: BinaryIO, name: str, version: int, *, whole: bool) -> Checked:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _END_BYTES))
    end = stream.read()
    length = footer_length(end[-FOOTER_END_BYTES:], size) + FOOTER_END_BYTES
    if length > len(end):
        stream.seek(size - length)
        end = stream.read()
    if whole:
        stream.seek(0)
        digest = hashlib.sha256(usedforsecurity=False)
        while piece := stream.read(_STEP_BYTES):
            digest.update(piece)
        if digest.hexdigest()[:16] != digest_in(name):
            raise ContentError(NOT_AS_NAMED)
    footer = read_footer(end[-length:], size)
    table, _, file_name = name.partition("/")
    check_schema(footer.schema, table, version)
    run_id = run_of_file(file_name)
    if run_id and footer.first_run is not None and (footer.first_run, footer.last_run) != (run_id, run_id):
        raise ContentError(f"is damaged: it has rows of {footer.first_run}")
    return Checked(footer.schema, footer.rows)
