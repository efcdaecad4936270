"""Rows of older schema versions, as the current one has them: step by step, when they are read.

When SCHEMA_VERSION is raised, add what the step changes here. No stored file is ever rewritten for it.
"""

from collections.abc import Mapping
from typing import Final

from analysis.errors import Unfit
from analysis.schema import SCHEMA_VERSION

Steps = Mapping[int, Mapping[str, str]]

UPGRADES: Final[Steps] = {}
"""version -> table -> the query that gives the rows of version + 1, from `{rows}`; tables left out stay as they are.

Such as `{1: {"trials": "select * exclude (jitter_ms), jitter_ms / 1000 as jitter_s from {rows}"}}`.
"""


def upgraded(rows: str, table: str, version: int, steps: Steps = UPGRADES, current: int = SCHEMA_VERSION) -> str:
    """What to select from, so that rows of a version come as the current one has them.

    Args:
        rows: what to select the stored rows from, in SQL.
        table: runs, visits, trials or samples.
        version: that of the stored rows.
        steps: what each version's step changes.
        current: the version wanted.

    Returns:
        `rows` itself, or a query in parentheses.

    Raises:
        Unfit: a step is missing.
    """
    for step in range(version, current):
        if step not in steps:
            raise Unfit(
                f"this store has rows of schema version {version}, and this program can't upgrade from version {step} "
                f"to {step + 1}; read it with an older program"
            )
        if query := steps[step].get(table):
            rows = f"({query.format(rows=rows)})"
    return rows
