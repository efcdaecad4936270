"""Rows of older schema versions, as the current one has them: step by step, when they are read.

When SCHEMA_VERSION is raised, add what the step changes here. No stored file is ever rewritten for it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from analysis.errors import Unfit
from analysis.integrity.left_out import LeftOut
from analysis.inventory import Inventory
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


def without_steps(
    inventory: Inventory, steps: Steps, current: int, address: Callable[[str], str]
) -> tuple[Inventory, list[LeftOut]]:
    """An inventory without the runs that no steps bring to the version wanted, and these runs.

    Args:
        inventory: what a store holds.
        steps: what each version's step changes.
        current: the version wanted.
        address: gives the whole address of a file of the store.
    """
    stuck = {version for version in inventory.runs if any(step not in steps for step in range(version, current))}
    if not stuck:
        return inventory, []
    out = [
        LeftOut(
            entry.run_id,
            address(entry.name),
            f"has rows of schema version {entry.version}, and this program can't upgrade from it to {current}",
            "Read it with an older program; all other runs are shown.",
        )
        for entry in sorted(inventory.counting, key=lambda entry: entry.run_id)
        if entry.version in stuck
    ]
    return (
        replace(
            inventory,
            runs={version: rows for version, rows in inventory.runs.items() if version not in stuck},
            parts={
                table: tuple(part for part in parts if part.version not in stuck)
                for table, parts in inventory.parts.items()
            },
            counting=frozenset(entry for entry in inventory.counting if entry.version not in stuck),
        ),
        out,
    )
