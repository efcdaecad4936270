"""The verb site: static pages of a whole store."""

from typing import Annotated

from cyclopts import Parameter

from analysis import memory, site
from analysis.console.commands import report_command
from analysis.console.notices import print_notice
from analysis.console.terminal import Terminal
from analysis.stats.contrasts.figures import Compared
from steps.catalogue.options import QUANTITIES, method
from workflows.cli import uncollected
from workflows.cli.opened_store import open_site, open_store
from workflows.flags.common import AsOwner, Results

_SITE = "Where the pages are written: a folder, file:// or s3://; if empty the folder site of the store."


def write_site(
    *,
    results: Results = "results",
    site_address: Annotated[str, Parameter(name="--site", help=_SITE)] = "",
    as_owner: AsOwner = False,
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
    written = site.write_site(store, files, Compared(method, QUANTITIES))
    for notice in written.notices:
        print_notice(notice)
    console = Terminal()
    console.print(written.sentence)
    console.print(f"Site: {files.address('index.html')}", soft_wrap=True)
    return 0
