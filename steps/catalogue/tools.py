"""The measuring programs: one entry each, made by a file of its own in `steps/tools/`. Adding one touches no other.

What options call a protocol is the name of a variant: a tool over one transport.
"""

from collections.abc import Iterable
from typing import Final

from steps.tools import iperf3, tcp_connect
from steps.tools.tool import Tool, Variant

TOOLS: Final = (
    iperf3.TOOL,
    tcp_connect.TOOL,
)

BY_NAME: Final = {tool.name: tool for tool in TOOLS}

VARIANTS: Final[dict[str, tuple[Tool, Variant]]] = {
    variant.name: (tool, variant) for tool in TOOLS for variant in tool.variants
}
"""Each tool over each of its transports, by the name of the variant."""

CANARY: Final = iperf3.TOOL
"""Measures each visit's canary."""

CONNECTIVITY: Final = tcp_connect.TOOL
"""Asked whether a server can be reached: its server minds no client."""


def variant(tool: str, transport: str) -> Variant | None:
    """A tool over a transport; None where there is none."""
    found = BY_NAME.get(tool)
    return next((each for each in found.variants if each.transport == transport), None) if found is not None else None


def served(names: Iterable[str]) -> list[Tool]:
    """The tools whose servers a visit needs: those of its trials, and what is measured and asked in every visit."""
    wanted = {*names, CANARY.name, CONNECTIVITY.name}
    return [tool for tool in TOOLS if tool.name in wanted]
