"""The verb site: static pages of a whole store."""

from typing import Annotated, Literal

from cyclopts import Parameter

from analysis import memory, site
from analysis.console.commands import report_command
from analysis.console.documents import DocumentModel, PrintableDocument, grid_of, print_document
from analysis.console.markdown import link, table
from analysis.console.notices import print_notice
from analysis.console.terminal import Terminal
from steps.settings.compared import COMPARED
from workflows.cli import uncollected
from workflows.cli.opened_store import open_site, open_store
from workflows.flags.common import AsOwnerFlag, FormatFlag, ResultsFlag

_SITE = "Where the pages are written: a folder, file:// or s3://; if empty the folder site of the store."


class SiteDocument(DocumentModel):
    """What became of the pages."""

    document: Literal["site"] = "site"
    version: Literal[1] = 1
    address: str
    """Of the first page."""
    written: int
    """Pages that were made."""
    unchanged: int
    """Pages that were as they should be."""
    removed: int
    """Pages of runs that are gone."""
    broken: tuple[str, ...]
    """Pages that could not be made: each says why."""


def write_site(
    *,
    results: ResultsFlag = "results",
    site_address: Annotated[str, Parameter(name="--site", help=_SITE)] = "",
    as_owner: AsOwnerFlag = False,
    format: FormatFlag = "text",  # noqa: A002 - the flag's name
) -> int:
    """Write the pages of a whole store, or bring them up to date.

    Raises:
        BadInput: the store has no run.
        Unsupported: the store can't be read, or the pages can't be written.
    """
    memory.require()
    elsewhere = open_site(site_address, as_owner=as_owner) if site_address else None
    store = open_store(results, as_owner=as_owner)
    files = elsewhere or store.files.below(site.FOLDER)
    for run in uncollected.collect_all(store, print_notice):
        print_notice(f"`{report_command(store.url, run.run_id)}` analyses it and writes its report.")
    written = site.write_site(store, files, COMPARED)
    for notice in written.notices:
        print_notice(notice)
    print_document(_document(written, files.address("index.html")), format)
    return 0


def _document(written: site.Written, address: str) -> PrintableDocument:
    found = SiteDocument.of(written, address=address)

    def text(console: Terminal) -> None:
        console.print(written.sentence)
        console.print(f"Site: {address}", soft_wrap=True)

    return PrintableDocument(
        model=lambda: found,
        grid=lambda: grid_of(SiteDocument, [found]),
        markdown=lambda: f"{link('Site', address)}\n\n{_table(found)}",
        text=text,
    )


def _table(found: SiteDocument) -> str:
    counts = (found.written, found.unchanged, found.removed, len(found.broken))
    return table(("pages written", "as they were", "deleted", "that can't be made"), [map(str, counts)])
