# ruff: noqa: S608 - the SQL is put together from names of the schema
"""Rows of older schema versions are upgraded step by step when they are read; no stored file is rewritten for it.

Whoever raises SCHEMA_VERSION adds the step to UPGRADES.
"""

import json
from collections.abc import Mapping
from typing import Final

from analysis.store.schema import SCHEMA_VERSION

Steps = Mapping[int, Mapping[str, str]]

_TOOLS_OF_VERSION_1: Final = (
    ("tcp", "iperf3", "tcp", ("received_bps", "sent_bps", "retransmits", "rtt_s")),
    ("udp", "iperf3", "udp", ("received_bps", "sent_bps", "lost_packets", "total_packets", "jitter_s")),
    ("connect", "tcp_connect", "tcp", ("connects_per_s", "connect_p50_s", "connect_p99_s")),
)
"""What a `protocol` of version 1 stands for: tool, transport, and the columns of `trials` that it filled."""


def _case(protocol: str, part: int) -> str:
    """SQL for a part of what a protocol stands for; null for an unknown one."""
    cases = " ".join(f"when '{entry[0]}' then '{entry[part]}'" for entry in _TOOLS_OF_VERSION_1)
    return f"case {protocol} {cases} end"


def _split(document: str, *lists: str, **more: str) -> str:
    """SQL for a JSON column with the `protocol` of each item of these lists in it split into tool and transport.

    Invalid JSON stays as it is, and so does an item without a protocol: a verdict can be of a newer program.
    `more`: other keys to set in it, as SQL by name.
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
"""version -> table -> the query that gives the rows of version + 1 from `{rows}`; other tables stay as they are.

Such as `{1: {"trials": "select * exclude (jitter_ms), jitter_ms / 1000 as jitter_s from {rows}"}}`.
"""


def migrated_relation(
    rows: str, table: str, version: int, steps: Steps = UPGRADES, current: int = SCHEMA_VERSION
) -> str:
    """What to select from, in SQL, so that rows of an older version come as the current one has them.

    `rows`: what to select the stored rows from. `steps`: what each version's step changes.
    """
    for step in range(version, current):
        if query := steps[step].get(table):
            rows = f"({query.replace('{rows}', rows)})"
    return rows
