"""The comparison of two labels of an environment, as the verb compare makes its page."""

from collections.abc import Sequence

import duckdb

from analysis.errors import BadInput
from analysis.report import contrast_page
from analysis.site import pages
from analysis.site.contents.runs import RunLine
from analysis.stats.contrasts import run_groups
from analysis.stats.contrasts.figures import Compared
from analysis.summary.contrast.run_contrast import contrast_groups


def compare_labels(
    con: duckdb.DuckDBPyConnection, name: str, old: Sequence[RunLine], new: Sequence[RunLine], compared: Compared
) -> str:
    """The page of this name, which compares the runs of a label with those of an earlier one, or says why none can.

    Args:
        con: a connection with the views of `analysis.sql.database`.
        name: of the page.
        old: the runs of the earlier label.
        new: the runs of the later label.
        compared: what the options of a run mean for it.
    """
    sides = ((f"label={lines[0].label}", [line.run_id for line in lines]) for lines in (old, new))
    try:
        one, two = (run_groups.load_group(con, asked, run_ids) for asked, run_ids in sides)
        return contrast_page.render(contrast_groups(con, one, two, compared))
    except BadInput as refused:
        title = f"{new[0].label} against {old[0].label}"
        return pages.broken(name, "Not compared", title, f"{str(refused)[:1].upper()}{str(refused)[1:]}.")
