"""Writing a site: only pages whose input has changed are made, each is written whole, and those of no run go."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from analysis import formatting
from analysis.site.files import manifest
from analysis.site.files.manifest import Manifest
from analysis.site.names import FOLDERS
from analysis.store.index.left_out import SHOWN
from analysis.store.storage.object_storage import ObjectStorage

_WRITERS: Final = 8
"""Files written at once: each waits for a disk, or costs a round trip."""

_BATCH: Final = 2 * _WRITERS
"""Pages in memory at once."""


@dataclass(frozen=True, slots=True)
class Page:
    """A file of the site.

    Attributes:
        name: its path in the site.
        fingerprint: of all that it is made of, never empty; a page with the same one is not made again.
        make: makes it.
    """

    name: str
    fingerprint: str
    make: Callable[[], "Made"]


@dataclass(frozen=True, slots=True)
class Made:
    """The content of a page. `whole`: whether it says what it should; if not, the next build makes it again."""

    content: bytes
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Written:
    """How many files were written, were up to date, were deleted; and which of the written only say what is wrong."""

    written: int
    unchanged: int
    removed: int
    broken: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """How many of each: `1 012 pages: 14 written, 998 as they were; 2 old pages deleted.`."""
        gone = f"; {formatting.count(self.removed, 'old page')} deleted" if self.removed else ""
        pages = formatting.count(self.written + self.unchanged, "page")
        return f"{pages}: {self.written} written, {self.unchanged} as they were{gone}."

    @property
    def notices(self) -> tuple[str, ...]:
        """A sentence for each of the first pages that only say what is wrong, and one that counts the others."""
        more = len(self.broken) - SHOWN
        named = tuple(f"The page {name} could not be made: it says why." for name in self.broken[:SHOWN])
        return (*named, f"{more} more pages could not be made.") if more > 0 else named


def write_pages(files: ObjectStorage, pages: Sequence[Page]) -> Written:
    """Bring a site's folder or bucket up to date, so that it has these pages and no others.

    Raises:
        Unsupported: it can't be read or written, or something else is there.
    """
    with files.lock():
        before = manifest.read(files)
        there = _there(files)
        changed = [p for p in pages if p.name not in there or before.pages.get(p.name) != p.fingerprint]
        gone = sorted(set(before.pages) - {page.name for page in pages})
        found: dict[str, str] = {}
        if changed or gone:
            known = before.pages | {page.name: "" for page in changed}
            manifest.write(files, Manifest(pages=known))
            found = dict(_put(files, changed))
            for name in gone:
                files.delete_with_folder(name)
            kept = {page.name: before.pages[page.name] for page in pages if page.name not in found}
            manifest.write(files, Manifest(pages=dict(sorted((kept | found).items()))))
    broken = tuple(name for name, fingerprint in found.items() if not fingerprint)
    return Written(len(changed), len(pages) - len(changed), len(gone), broken)


def _there(files: ObjectStorage) -> set[str]:
    """The files that are there, in the folders that a site has."""
    found = {entry.name for entry in files.list("")}
    for folder in FOLDERS:
        found |= {f"{folder}/{entry.name}" for entry in files.list(folder)}
    return found | {f"reports/{entry.name}" for entry in files.tree("reports")}


def _put(files: ObjectStorage, changed: Sequence[Page]) -> Iterator[tuple[str, str]]:
    """Make and write pages; each one's name and fingerprint."""
    with ThreadPoolExecutor(_WRITERS) as pool:
        for first in range(0, len(changed), _BATCH):
            batch = [(page, page.make()) for page in changed[first : first + _BATCH]]
            list(pool.map(lambda one: files.put(one[0].name, one[1].content), batch))
            yield from ((page.name, page.fingerprint if made.whole else "") for page, made in batch)
