"""The site: a folder of static pages from a whole store, which a browser opens by file:// as well as by a server.

Each page has a fingerprint of all that it is made of, so that after a night only what changed is made again.
"""

from contextlib import closing

import duckdb

from analysis.addresses import site_problem
from analysis.errors import BadInput, Unsupported
from analysis.site.contents.verdicts import read_verdicts
from analysis.site.files.reports import Reports
from analysis.site.files.writer import Written, write_pages
from analysis.site.plan import plan_pages
from analysis.sql import database
from analysis.stats.contrasts.figures import Compared
from analysis.store.storage.object_storage import ObjectStorage
from analysis.store.store import Store

__all__ = ["FOLDER", "Written", "write_site"]

FOLDER = "site"
"""The folder of a store's site, unless another is given: beside the reports, to which its pages then lead."""


def write_site(store: Store, files: ObjectStorage, compared: Compared) -> Written:
    """Bring the site of a store up to date.

    Args:
        store: the store.
        files: the site's folder or bucket. Outside of the store it gets copies of the reports.
        compared: what the options of a run mean for comparing it.

    Raises:
        BadInput: the store has no run, or the site would lie among the store's own files.
        Unsupported: the store can't be read, the site can't be written, or something else is there.
    """
    reports = Reports(store, files)

    def write(*, lenient: bool) -> Written:
        with closing(database.connect(store, asking="", verdicts=False)) as con:
            pages = plan_pages(con, read_verdicts(store), reports, compared, lenient=lenient)
            if not pages:
                raise BadInput(f"The store {store.url} has no run yet: measure one with `make run`.")
            try:
                return write_pages(files, pages)
            except Unsupported as problem:  # of the site's own files
                raise Unsupported(str(problem) if reports.linked else site_problem(str(problem))) from problem

    try:
        return database.with_sound_files(store, lambda: write(lenient=False))
    except duckdb.Error:  # of no file that can be left out: what can't be queried costs its own pages
        return write(lenient=True)
