# ruff: noqa: S608 - the SQL is put together from names of the schema
"""Rows of older schema versions, as the current one has them: step by step, when they are read.

When SCHEMA_VERSION is raised, add what the step changes here. No stored file is ever rewritten for it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from analysis.errors import Unsupported
from analysis.store.inventory import Inventory
from analysis.store.left_out import LeftOut
from analysis.store.schema import SCHEMA_VERSION

Steps = Mapping[int, Mapping[str, str]]

_TOOLS_OF_VERSION_1: Final = (
    ("tcp", "iperf3", "tcp", ("received_bps", "sent_bps", "retransmits", "rtt_s")),
    ("udp", "iperf3", "udp", ("received_bps", "sent_bps", "lost_packets", "total_packets", "jitter_s")),
    ("connect", "tcp_connect", "tcp", ("connects_per_s", "connect_p50_s", "connect_p99_s")),
)
"""What a `protocol` of version 1 stands for: tool, transport, and the columns of `trials` that it filled."""


def _case(protocol: str, part: int) -> str:
    """SQL for a part of what a protocol stands for; null for one that was not known."""
    cases = " ".join(f"when '{entry[0]}' then '{entry[part]}'" for entry in _TOOLS_OF_VERSION_1)
    return f"case {protocol} {cases} end"


def _split(document: str, *lists: str, **more: str) -> str:
    """SQL for a JSON column with the `protocol` of each item of these lists split into tool and transport.

    What is no JSON stays as it is, and so does an item without a protocol: a verdict can be of a newer program.

    Args:
        document: the column.
        lists: the names of lists in it.
        more: what else to put into it, as SQL by name.
    """
    protocol = "item ->> '$.protocol'"
    patch = f"json_object('protocol', null, 'tool', {_case(protocol, 1)}, 'transport', {_case(protocol, 2)})"
    item = f"case when {protocol} is null then item else json_merge_patch(item, {patch}) end"
    split = {
        name: f"list_transform(from_json({document} -> '$.{name}', '[\"json\"]'), lambda item: {item})"
        for name in lists
    }
    parts = ", ".join(f"'{name}', {value}" for name, value in (split | more).items())
    return (
        f"case when json_valid({document}) then json_merge_patch({document}, json_object({parts})) else {document} end"
    )


def _to_version_2() -> dict[str, str]:
    named = ("name", "tool", "transport", "figures")
    tools = json.dumps([dict(zip(named, entry, strict=True)) for entry in _TOOLS_OF_VERSION_1])
    parameters, verdict = (
        _split("parameters", "cells", tools=f"'{tools}'::json"),
        _split("verdict", "comparisons", "changes"),
    )
    columns = f"{_case('protocol', 1)} as tool, {_case('protocol', 2)} as transport"
    return {
        "trials": f"select * exclude (protocol), {columns} from {{rows}}",
        "runs": f"select * replace ({parameters} as parameters, {verdict} as verdict) from {{rows}}",
    }


UPGRADES: Final[Steps] = {1: _to_version_2()}
"""version -> table -> the query that gives the rows of version + 1, from `{rows}`; tables left out stay as they are.

Such as `{1: {"trials": "select * exclude (jitter_ms), jitter_ms / 1000 as jitter_s from {rows}"}}`.
"""


def migrated_relation(
    rows: str, table: str, version: int, steps: Steps = UPGRADES, current: int = SCHEMA_VERSION
) -> str:
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
        Unsupported: a step is missing.
    """
    for step in range(version, current):
        if step not in steps:
            raise Unsupported(
                f"this store has rows of schema version {version}, and this program can't upgrade from version {step} "
                f"to {step + 1}; read it with an older program"
            )
        if query := steps[step].get(table):
            rows = f"({query.replace('{rows}', rows)})"
    return rows


def without_migration(
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
