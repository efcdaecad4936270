"""How late a change works: tools that change the cluster again and again and time each change. Pure.

Their client is the step `scale`, by the port of the cluster under test, which reports `Times`. On a cluster the time of
a change is from the API server's acceptance to the first connection that shows it, on each measured node. In the lab it
is that of the dataplane's own update, in which no Kubernetes has a part.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta

from steps.tools import bounds, connect_probe, tcp_connect
from steps.tools.bounds import Seconds, Whole
from steps.tools.failure import Failure
from steps.tools.tool import FEW, Output, Task, Tool, ToolPlace, Variant, decode_output, shown_time

PROGRAM: Final = "times of changes"
"""What an attempt has in the place of a command."""

LOST: Final = "changes-failed"
"""The flag of a trial in which some changes never worked."""

_MOST: Final = 10_000
"""Times of a trial: more are no output of the step `scale`."""


class Agents(msgspec.Struct, frozen=True):
    """The memory and the CPUs of agents, by their columns of `trials`: the larger of the measured nodes' figures.

    None can't be read.
    """

    felix_memory_bytes: Whole | None = None
    kube_proxy_memory_bytes: Whole | None = None
    kernel_memory_bytes: Whole | None = None
    felix_cpu_ratio: Seconds | None = None
    kube_proxy_cpu_ratio: Seconds | None = None

    @property
    def columns(self) -> dict[str, object]:
        """Those that could be read."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}


class Times(msgspec.Struct, frozen=True):
    """What was timed.

    Attributes:
        p50_s: median of the times; None: no change worked.
        p99_s: 99th percentile; None below 100 observations.
        worst_s: the longest; None where a change never worked.
        observed: how many times the figures rest on: each change counts once on each measured node.
        failed: changes that were accepted and never worked in time, counted likewise.
        duration_s: of all of it.
        clock_skew_s: the most by which the clocks that the times rest on may differ; None: they rest on one.
        error: the last failure, a sentence; None: there was none.
        agents: what the dataplane's agents and the kernel held afterwards, and used meanwhile.
        seconds: each time, so that those of several visits give percentiles together; empty in the lab.
        api_read_p50_s: median time of the API server's answers to a small read meanwhile; None: there is none.
        api_read_worst_s: the slowest of them.
    """

    p50_s: Seconds | None
    p99_s: Seconds | None
    worst_s: Seconds | None
    observed: Whole
    failed: Whole
    duration_s: Seconds
    clock_skew_s: Seconds | None = None
    error: str | None = None
    agents: Agents = Agents()
    seconds: Annotated[tuple[Seconds, ...], Meta(max_length=_MOST)] = ()
    api_read_p50_s: Seconds | None = None
    api_read_worst_s: Seconds | None = None


def times_of(seconds: Sequence[float], failed: int, duration_s: float, error: str | None) -> Times:
    """The figures of single times by one clock. `failed`, `duration_s`, `error`: as in `Times`."""
    ordered = sorted(seconds)
    return Times(
        p50_s=connect_probe.percentile(ordered, 0.5),
        p99_s=connect_probe.percentile(ordered, 0.99),
        worst_s=ordered[-1] if ordered and not failed else None,
        observed=len(ordered),
        failed=failed,
        duration_s=duration_s,
        error=error,
    )


class Timed(msgspec.Struct, frozen=True):
    """The results of a trial. `names`: the columns of the three times, of how many there were, and of those missed."""

    times: Times
    names: tuple[str, ...]
    samples: ClassVar[tuple[Mapping[str, object], ...]] = ()

    @property
    def duration_s(self) -> float:
        """Seconds from the first change to the last observation."""
        return self.times.duration_s

    @property
    def columns(self) -> Mapping[str, object]:
        """The figures, by their columns of `trials`."""
        times = self.times
        figures = (times.p50_s, times.p99_s, times.worst_s, times.observed, times.failed)
        more: dict[str, object] = {name: getattr(times, name) for name in _MORE if getattr(times, name) is not None}
        if times.seconds:
            more["programming_s"] = list(times.seconds)
        return dict(zip(self.names, figures, strict=True)) | more | times.agents.columns

    @property
    def flags(self) -> tuple[str, ...]:
        """Whether changes never worked, and whether there were too few for a percentile."""
        times = self.times
        return (*((LOST,) if times.failed else ()), *((FEW,) if times.p99_s is None else ()))

    @property
    def sentence(self) -> str:
        """The median, how many changes there were, and how many of them never worked."""
        times = self.times
        missed = f", {times.failed} never" if times.failed else ""
        return f"half of {times.observed} changes within {shown_time(times.p50_s)}{missed}"


_MORE: Final = ("clock_skew_s", "api_read_p50_s", "api_read_worst_s")
_TIMES: Final = msgspec.json.Decoder(Times)
_CLIENT: Final = "the step scale"
KERNEL_MEMORY: Final = "kernel_memory_bytes"
UPDATES: Final = ("update_p50_s", "update_p99_s", "update_worst_s", "updates", "updates_failed")
PROGRAMMING: Final = (
    "programming_p50_s",
    "programming_p99_s",
    "programming_worst_s",
    "programming_observed",
    "programming_failed",
)


def _tool(name: str, title: str, place: ToolPlace, names: tuple[str, ...], lasts_s: float) -> Tool:
    def read(_task: Task, _argv: Sequence[str], output: Output) -> Timed | Failure:
        times = decode_output(_TIMES, output, _CLIENT)
        if isinstance(times, Failure):
            return times
        if not times.observed or times.p50_s is None:
            return Failure(
                f"none of {times.failed} changes worked: {bounds.one_line(times.error or 'no reason was given')}"
            )
        if times.p99_s is not None and times.p99_s < times.p50_s:
            return Failure(f"the {PROGRAM} contradict each other")
        return Timed(times, names)

    return Tool(
        name=name,
        variants=(Variant(name.replace("_", "-"), title, "tcp", (*names, KERNEL_MEMORY)),),
        port=tcp_connect.TOOL.port,
        command=lambda _task, _address, _port: (PROGRAM, name),
        server=tcp_connect.server,
        server_of=tcp_connect.TOOL.name,
        read=read,
        directions=("forward",),
        fixed_s=lasts_s,
        once_a_visit=True,
        by_scale=True,
        place=place,
    )


TOOLS: Final = (
    _tool("rules_update", "an update of the rules", "lab", UPDATES, 1.0),
    _tool("service_added", "a new Service", "cluster", PROGRAMMING, 5.0),
    _tool("endpoint_added", "a new endpoint", "cluster", PROGRAMMING, 5.0),
    _tool("endpoint_removed", "a removed endpoint", "cluster", PROGRAMMING, 5.0),
    _tool("policy_enforced", "a new NetworkPolicy", "cluster", PROGRAMMING, 10.0),
    _tool("pod_started", "a new pod", "cluster", PROGRAMMING, 15.0),
)
"""`lasts_s` is how long a trial may take to change and observe; what was begun by then is finished."""
