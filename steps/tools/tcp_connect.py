"""The connect probe: the latency of a TCP connect, which the long streams of iperf3 don't show. Pure.

The program is `steps.tools.connect_probe`, which is run by its file and without site-packages, to start in a few
milliseconds from any directory.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from steps.tools import bounds, connect_probe
from steps.tools.bounds import BitRate, Seconds, Whole
from steps.tools.failure import Failure
from steps.tools.tool import FEW, PYTHON, Output, OwnCpu, Task, Tool, Variant, decode_output, shown_time

PROBE_S: Final = 0.25
"""The duration of a probe: some thousand connections, enough for a 99.9th percentile."""

_PROBE: Final = "the connect probe"


class Connects(msgspec.Struct, frozen=True):
    """The results of the probe; see `steps.tools.connect_probe.ConnectReport`."""

    connects_per_s: BitRate | None
    p50_s: Seconds | None
    p99_s: Seconds | None
    count: Whole
    errors: Whole
    error: str | None
    duration_s: Seconds
    cpu_s: Seconds | None = None
    p999_s: Seconds | None = None
    samples: ClassVar[tuple[Mapping[str, object], ...]] = ()

    @property
    def columns(self) -> Mapping[str, object]:
        """The figures, by their columns of `trials`."""
        figures = (self.connects_per_s, self.p50_s, self.p99_s, self.p999_s)
        return dict(zip(_FIGURES, figures, strict=True))

    @property
    def flags(self) -> tuple[str, ...]:
        """`connect-errors` where some connections failed, and whether they were too few."""
        few = (FEW,) if self.count < connect_probe.OBSERVATIONS[0.999] else ()
        return (*(("connect-errors",) if self.errors else ()), *few)

    @property
    def sentence(self) -> str:
        """The median, and the 99th percentile where there is one."""
        end = f", 99 % within {shown_time(self.p99_s)}" if self.p99_s is not None else ""
        return f"connect in {shown_time(self.p50_s)}{end}"


_FIGURES: Final = ("connects_per_s", "connect_p50_s", "connect_p99_s", "connect_p999_s")
_CONNECTS: Final = msgspec.json.Decoder(Connects)


def server(port: int) -> list[str]:
    """The server's argument vector."""
    return [PYTHON, "-m", "steps.tools.connect_probe", "serve", str(port)]


def read(_task: Task, _argv: Sequence[str], output: Output) -> Connects | Failure:
    """The results in the probe's output."""
    connects = decode_output(_CONNECTS, output, _PROBE)
    if isinstance(connects, Failure):
        return connects
    if connects.count == 0:
        return Failure(f"none of {connects.errors} connects succeeded: {bounds.one_line(connects.error or str(None))}")
    return _consistent(connects)


def own_cpu(_task: Task, output: Output) -> OwnCpu:
    """What the client used of the CPU; its server does not report it."""
    connects = bounds.decode(_CONNECTS, output.stdout, _PROBE, len(output.stdout))
    return OwnCpu(client_s=None if isinstance(connects, Failure) else connects.cpu_s)


def _consistent(connects: Connects) -> Connects | Failure:
    rate, p50_s = connects.connects_per_s, connects.p50_s
    if rate is None or p50_s is None or not connects.duration_s:
        return Failure(f"{_PROBE} counted {connects.count} connects and gives no figures for them")
    expected = connects.count / connects.duration_s
    ordered = [each for each in (p50_s, connects.p99_s, connects.p999_s) if each is not None]
    if abs(rate - expected) > 0.01 * max(rate, expected) or ordered != sorted(ordered):
        return Failure(f"{_PROBE}'s figures contradict each other")
    return connects


def _tool(clients: int) -> Tool:
    """The tool with so many connections at once."""

    def command(_task: Task, address: str, port: int) -> list[str]:
        probe = [PYTHON, "-I", "-S", connect_probe.__file__, "probe", address, str(port), f"{PROBE_S:g}"]
        return [*probe, str(clients)] if clients > 1 else probe

    end, words = (f"{clients}", f", {clients} at once") if clients > 1 else ("", "")
    return Tool(
        name="_".join(filter(None, ("tcp_connect", end))),
        variants=(Variant("-".join(filter(None, ("connect", end))), f"new connections{words}", "tcp", _FIGURES),),
        port=5202,
        command=command,
        server=server,
        server_of="tcp_connect" if clients > 1 else "",
        bind=(),
        read=read,
        own_cpu=own_cpu,
        directions=("forward",),
        fixed_s=PROBE_S,
    )


TOOL: Final = _tool(1)
AT_ONCE: Final = (_tool(8), _tool(64))
