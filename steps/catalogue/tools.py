"""The measuring programs: one entry each, and one file or folder in `steps/tools/`.

A protocol, as options call it, is the name of a variant: a tool over one transport.
"""

from collections.abc import Iterable
from typing import Final

from steps.tools import programming, tcp_connect
from steps.tools.iperf3 import iperf3, shapes
from steps.tools.ladder import udp_ladder
from steps.tools.sockperf import sockperf
from steps.tools.tool import Tool, Variant

TOOLS: Final = (
    iperf3.TOOL,
    tcp_connect.TOOL,
    sockperf.TOOL,
    *sockperf.LOADED,
    *tcp_connect.AT_ONCE,
    *shapes.TOOLS,
    *udp_ladder.TOOLS,
    *programming.TOOLS,
)

BY_NAME: Final = {tool.name: tool for tool in TOOLS}

SERVED: Final = tuple(tool for tool in TOOLS if not tool.server_of)
"""Those with a server of their own."""

VARIANTS: Final[dict[str, tuple[Tool, Variant]]] = {
    variant.name: (tool, variant) for tool in TOOLS for variant in tool.variants
}
"""Each tool over each of its transports, by the name of the variant."""

CANARY: Final = iperf3.TOOL
"""Measures the canaries."""

CONNECTIVITY: Final = tcp_connect.TOOL
"""Checks whether a server can be reached: any number of clients may connect to its server."""


def measures_in(tool: Tool, *, lab: bool) -> bool:
    """Whether a tool can measure in the lab, or else on a cluster."""
    return tool.place in {"anywhere", "lab" if lab else "cluster"}


def variant(tool: str, transport: str) -> Variant | None:
    """A tool over a transport; None where there is none."""
    found = BY_NAME.get(tool)
    return next((each for each in found.variants if each.transport == transport), None) if found is not None else None


def served(names: Iterable[str]) -> list[Tool]:
    """The tools whose servers a visit needs: those of its trials, of the canaries and of the connectivity check."""
    wanted = {*(BY_NAME[name].served_by for name in names), CANARY.name, CONNECTIVITY.name}
    return [tool for tool in SERVED if tool.name in wanted]
