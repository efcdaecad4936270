"""The verb site: static pages of a whole store."""

from typing import Annotated

from cyclopts import Parameter

from analysis import memory, site
from analysis.console.notices import print_notice
from analysis.console.terminal import Terminal
from analysis.errors import BadInput
from analysis.formatting import count
from analysis.store.object_storage import ObjectStorage
from steps.catalogue.options import method
from workflows.cli.opened_store import open_place, open_store
from workflows.flags.common import AsOwner, Results

_SITE = "Where the pages are written: a folder, file:// or s3://; the folder site of the store if empty."


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
    files = open_place(site_address, as_owner=as_owner) if site_address else None
    store = open_store(results, as_owner=as_owner)
    if not (found := store.inventory()).counting and not found.left_out:
        raise BadInput(f"The store {store.url} has no run yet: measure one with `make run`.")
    files = files or ObjectStorage(store.location(site.BESIDE))
    written = site.write_site(store, files, method)
    for name in written.broken[:_SHOWN]:
        print_notice(f"{files.address(name)} can't be as it should; it says why.")
    if more := len(written.broken) - _SHOWN:
        print_notice("")
    console = Terminal()
    console.print(sentence(written))
    console.print(f"Site: {files.address('index.html')}", soft_wrap=True)
    return 0
