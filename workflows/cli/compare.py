"""The verb compare: two runs, or two groups of runs, against each other."""

import hashlib
import re
from collections.abc import Collection
from contextlib import closing, suppress
from typing import Annotated

import pyarrow as pa
from cyclopts import Parameter

from analysis import memory
from analysis.console.documents import print_document
from analysis.console.notices import print_notice
from analysis.errors import BadInput
from analysis.report import contrast_page
from analysis.sql import database
from analysis.stats import run_groups
from analysis.stats.contrast_figures import Compared
from analysis.stats.run_groups import RunGroup
from analysis.store.left_out import sentences
from analysis.store.selection import Choice, beside
from analysis.store.store import Store
from analysis.summary.contrast_markdown import to_markdown
from analysis.summary.run_contrast import RunContrast, contrast_groups
from steps.catalogue.options import QUANTITIES, method
from workflows.cli import contrast_table, uncollected
from workflows.cli.opened_store import open_store
from workflows.flags.common import AsOwner, Format, Results

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
    results: Results = "results",
    as_owner: AsOwner = False,
    format: Format = "text",  # noqa: A002 - the flag's name
) -> int:
    """Compare the runs B with the runs A, write the comparison's page, and print it. Returns 0.

    Raises:
        BadInput: a side names no run or more than it should, or the two have nothing in common to compare.
        Unsupported: the store can't be read or written, or a limit of memory is too low.
    """
    memory.require()
    store = open_store(results, as_owner=as_owner)
    uncollected.collect_all(store, print_notice)
    known = Compared(method, QUANTITIES, any_method=any_method)
    found, name = database.with_sound_files(store, lambda: compare_in(store, a, b, known))
    page = store.location(f"{FOLDER}/{name}.html")
    store.files.put(f"{FOLDER}/{name}.html", contrast_page.render(found).encode())
    store.files.put(f"{FOLDER}/{name}.md", to_markdown(found, page).encode())
    places = {"Page": page, "Markdown": store.location(f"{FOLDER}/{name}.md")}
    print_document(contrast_table.document(found, places), format)
    return 0


def compare_in(store: Store, a: str, b: str, known: Compared) -> tuple[RunContrast, str]:
    """The comparison of two sides, as they are named, in a store, and the name of its page.

    Raises:
        BadInput: a side names no run or more than it should, or the two have nothing in common to compare.
    """
    a, b = a or "latest~1", b or "latest"
    with closing(database.connect(store, asking="", choice=_named(a, b))) as con:
        for sentence in sentences(database.left_out(con)):
            print_notice(sentence)
        listed = run_groups.list_runs(con)
        one, two = (_group(con, text, listed) for text in (a, b))
        return contrast_groups(con, one, two, known), page_name(one, two)


def _named(*texts: str) -> Choice:
    """The runs of the environments of those that are named, since their histories say how far nights scatter."""

    def chosen(rows: pa.Table) -> Collection[str]:
        listed = run_groups.list_rows(rows.to_pylist())
        found: list[str] = []
        for text in texts:
            with suppress(BadInput):  # which is said once the store is open
                found += run_groups.select(text, listed)
        return beside(*found)(rows)

    return chosen


def _group(con: database.Connection, text: str, listed: list[run_groups.ListedRun]) -> RunGroup:
    try:
        return run_groups.load_group(con, text, run_groups.select(text, listed))
    except BadInput as problem:
        gone = [one for one in database.left_out(con) if one.run_id == text]
        raise BadInput(gone[0].sentence if gone else str(problem)) from problem


def page_name(a: RunGroup, b: RunGroup) -> str:
    """The name of a comparison's page: the same for the same runs or labels, another for others."""
    names = [group.name for group in (a, b)]
    digest = hashlib.sha256("\n".join([a.environment, b.environment, *names]).encode()).hexdigest()[:8]
    return "-".join(["compare", *(_slug(name) for name in names), digest])


def _slug(name: str) -> str:
    """A name in letters that every file system and address takes, at most 60 of them."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")[:60] or "runs"
