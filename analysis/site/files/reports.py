"""The reports of a store as the site has them: where they are, if it lies in the store, and else as copies."""

import posixpath
from collections.abc import Iterable, Iterator
from typing import Final

from analysis.errors import BadInput
from analysis.report import INTERACTIVE
from analysis.site import names
from analysis.store.schema import TABLES
from analysis.store.storage.object_storage import ObjectStorage
from analysis.store.store import Store

_TITLES: Final = {"report.html": "The whole report", INTERACTIVE: "Interactive charts"}
_MOST_BYTES: Final = 64 * 2**20
_FOLDER: Final = "reports"
_OF_THE_STORE: Final = frozenset({*TABLES, _FOLDER, "raw", "comparisons"})


class Reports:
    """The reports of a store, seen from its site."""

    def __init__(self, store: Store, files: ObjectStorage) -> None:
        """Find them.

        Raises:
            BadInput: the site would lie among the store's own files.
            Unsupported: the store can't be read.
        """
        self._files = store.files
        self._way = _way(store.files, files)
        self._written_s = {
            entry.name: entry.modified_s
            for entry in store.files.tree(_FOLDER)
            if entry.name.rpartition("/")[2] in _TITLES
        }

    @property
    def linked(self) -> bool:
        """Whether the site lies in the store, so that its pages lead to the reports themselves."""
        return self._way is not None

    def links(self, run_id: str, page: str) -> list[tuple[str, str]]:
        """The titles of a run's reports, and the ways to them from a page of the site."""
        to_store = names.to_root(page) + (self._way or "")
        return [
            (title, f"{to_store}{_FOLDER}/{run_id}/{file}")
            for file, title in _TITLES.items()
            if f"{run_id}/{file}" in self._written_s
        ]

    def copies(self, run_ids: Iterable[str]) -> Iterator[tuple[str, str]]:
        """The reports to copy, each with what changes when it is written again; none into a site in the store."""
        for run_id in run_ids if self._way is None else ():
            for file in _TITLES:
                if (written_s := self._written_s.get(f"{run_id}/{file}")) is not None:
                    yield names.report(run_id, file), str(written_s)

    def read(self, name: str) -> bytes:
        """The report of which a file of the site is a copy.

        Raises:
            FileNotFoundError: it is gone.
            Unsupported: it can't be read, or is too large.
        """
        return self._files.read(name, _MOST_BYTES)


def _way(store: ObjectStorage, site: ObjectStorage) -> str | None:
    """The way from the root of a site to that of the store that it lies in; None: it lies in none.

    Raises:
        BadInput: it would lie among the store's own files.
    """
    if store.local != site.local or not f"{site.root}/".startswith(f"{store.root}/"):
        return None
    below = posixpath.relpath(site.root, store.root)
    if below == "." or below.partition("/")[0] in _OF_THE_STORE:
        raise BadInput(
            f"SITE can't be {site.url!r}, where the store has its own files: give another folder, such as "
            f"{store.address('site')}"
        )
    return "../" * (below.count("/") + 1)
