"""The verb compare: two runs, or two groups of runs, against each other."""

import hashlib
import re
from contextlib import closing
from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from analysis import memory
from analysis.console.documents import print_document
from analysis.console.notices import print_notice
from analysis.errors import BadInput, Unsupported
from analysis.report import contrast_page
from analysis.sql import database
from analysis.stats.contrasts import run_groups
from analysis.stats.contrasts.figures import Compared
from analysis.stats.contrasts.run_groups import RunGroup
from analysis.store.index.left_out import sentences
from analysis.store.index.selection import beside, no_run
from analysis.store.store import Store
from analysis.summary.contrast.markdown import to_markdown
from analysis.summary.contrast.run_contrast import RunContrast, contrast_groups
from steps.settings.compared import COMPARED
from workflows.cli import uncollected
from workflows.cli.opened_store import open_store
from workflows.cli.tables import contrast_table
from workflows.flags.common import AsOwnerFlag, FormatFlag, ResultsFlag

FOLDER = "comparisons"
"""Of the store, for the pages."""


def compare(
    a: Annotated[
        str,
        Parameter(help=f"The runs to compare with: {run_groups.GRAMMAR}; the one before the latest if empty."),
    ] = "latest~1",
    b: Annotated[str, Parameter(help="The runs to compare, named likewise; the latest if empty.")] = "latest",
    *,
    any_method: Annotated[
        bool, Parameter(help="Compare also figures that an option makes another quantity.", negative="")
    ] = False,
    results: ResultsFlag = "results",
    as_owner: AsOwnerFlag = False,
    format: FormatFlag = "text",  # noqa: A002 - the flag's name
) -> int:
    """Compare the runs B with the runs A, write the comparison's page where the store can be written, and print it.

    Returns 0.

    Raises:
        BadInput: a side names no run or more than it should, or the two have nothing in common to compare.
        Unsupported: the store can't be read, or a limit of memory is too low.
    """
    memory.require()
    store = open_store(results, as_owner=as_owner)
    uncollected.collect_all(store, print_notice)
    known = replace(COMPARED, any_method=any_method)
    found, name = database.with_sound_files(store, lambda: compare_in(store, a, b, known))
    print_document(contrast_table.document(found, _write(store, found, name)), format)
    return 0


def _write(store: Store, found: RunContrast, name: str) -> dict[str, str]:
    """Write the pages of a comparison; returns their names and addresses, none where the store can only be read."""
    files = {kind: f"{FOLDER}/{name}.{ending}" for kind, ending in (("Page", "html"), ("Markdown", "md"))}
    beside = {kind: store.location(file) for kind, file in files.items()}
    page, markdown = contrast_page.render(found), to_markdown(found, beside["Page"])
    try:
        store.files.put(files["Page"], page.encode())
        store.files.put(files["Markdown"], markdown.encode())
    except Unsupported as problem:
        # what was computed needs no page: it is printed all the same
        print_notice(
            f"{problem}. The comparison is printed without its page, which is written into its store: for one, copy "
            "this store to where it can be written, and give that as RESULTS."
        )
        return {}
    return beside


def compare_in(store: Store, a: str, b: str, known: Compared) -> tuple[RunContrast, str]:
    """The comparison of two sides, as they are named, in a store, and the name of its page.

    Raises:
        BadInput: a side names no run or more than it should, or the two have nothing in common to compare.
    """
    texts = (a or "latest~1", b or "latest")
    with closing(database.connect(store, asking="", choice=no_run)) as con:
        listed = run_groups.list_runs(con)
    while True:  # ends, since a run that is left out is taken off the list
        one, two = (run_groups.select(text, listed) for text in texts)
        with closing(database.connect(store, asking="", choice=beside(*one, *two))) as con:
            gone = {lost.run_id: lost for lost in database.left_out(con)}
            if not gone.keys() & {*one, *two}:
                for sentence in sentences(list(gone.values())):
                    print_notice(sentence)
                sides = [run_groups.load_group(con, text, ids) for text, ids in zip(texts, (one, two), strict=True)]
                return contrast_groups(con, sides[0], sides[1], known), page_name(sides[0], sides[1])
        for text in texts:
            if text in gone:
                raise BadInput(gone[text].sentence)
        listed = [run for run in listed if run.run_id not in gone]


def page_name(a: RunGroup, b: RunGroup) -> str:
    """The name of a comparison's page: the same for the same runs or labels, another for others."""
    names = [group.name for group in (a, b)]
    # letters that every file system and address takes
    slugs = [re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")[:60] or "runs" for name in names]
    digest = hashlib.sha256("\n".join([a.environment, b.environment, *names]).encode()).hexdigest()[:8]
    return "-".join(["compare", *slugs, digest])
