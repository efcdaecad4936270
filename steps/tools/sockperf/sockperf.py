"""sockperf 3.7: requests of a few bytes, each sent once the one before is answered; alone, and beside a load. Pure.

The program is `ping_pong`, which runs sockperf, and iperf3 for a load: first without a limit, for a second,
then at a share of what that measured.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from steps.tools import bounds
from steps.tools.bounds import Seconds
from steps.tools.failure import Failure
from steps.tools.iperf3 import iperf3, plan
from steps.tools.iperf3.intervals import MICROSECOND
from steps.tools.sockperf import ping_pong, report, responses
from steps.tools.sockperf.report import SockperfFigures
from steps.tools.sockperf.responses import Responses
from steps.tools.tool import FEW, PYTHON, Output, OwnCpu, Task, Tool, Variant, decode_output

LEAD_S: Final = 2
"""sockperf sleeps so long before each of its tests, and a load is measured and begun meanwhile."""

TEST_S: Final = 1
"""The duration of a test, the shortest that sockperf takes: some ten thousand responses."""

OWN_WARM_UP_S: Final = 0.45
"""What sockperf leaves out of its figures, at the beginning and the end of its time."""

MESSAGE_BYTES: Final = 64

UNANSWERED: Final = "unanswered"
"""The flag of a trial at whose end a request was still waiting, so that the slowest reply is not known."""

LOST: Final = "lost-messages"
DUPLICATES: Final = "duplicate-messages"
LOAD_OFF: Final = "load-off"
CLOCK: Final = "clock-source"

_CLOCKS: Final = frozenset({"tsc", "kvm-clock", "xen", "hyperv_clocksource_tsc_page", "arch_sys_counter"})
"""The kernel's clock sources that rest on the counter that sockperf reads itself."""

_SHARES: Final = (0.5, 0.9, 0.99, 0.999)
_STALL_S: Final = 0.1
_SHORTEST_SHARE: Final = 0.9
_LOAD_SLACK: Final = 0.1
_BEGUN_BY_S: Final = LEAD_S + 0.3
"""sockperf's figures begin 0.4 s after its wait."""

_PROGRAM: Final = "the ping-pong probe"


class _Ran(msgspec.Struct, frozen=True):
    argv: list[str]
    stdout: str
    stderr: str
    exit_code: int | None


class _Account(msgspec.Struct, frozen=True):
    """What the program printed; see `steps.tools.sockperf.ping_pong.Account`."""

    clock_source: str | None
    cpu_s: Seconds
    client: _Ran
    unlimited: _Ran | None
    load: _Ran | None
    load_began_s: Seconds | None


_ACCOUNT: Final = msgspec.json.Decoder(_Account)


def _message_bytes(task: Task) -> int:
    return task.block_size_bytes or MESSAGE_BYTES


def _client(task: Task, address: str, port: int) -> list[str]:
    argv = ["sockperf", "ping-pong", "-i", address, "-p", str(port), "-t", str(TEST_S)]
    argv += ["-m", str(_message_bytes(task)), "--full-rtt"]
    return [*argv, "--tcp"] if task.transport == "tcp" else argv


def _load_task(task: Task, bps: float | None) -> Task:
    """The task of iperf3: a second without a limit, or the limited load until after the client's end."""
    duration_s = 1 if bps is None else TEST_S + LEAD_S - 1
    return Task(transport="tcp", duration_s=duration_s, offered_bps=bps, congestion_control=task.congestion_control)


def _load(task: Task, address: str, ratio: float) -> dict[str, Any] | None:
    if not ratio:
        return None
    port = task.load_port or iperf3.TOOL.port
    unlimited, limited = (iperf3.command(_load_task(task, bps), address, port) for bps in (None, 0.0))
    return {"ratio": ratio, "unlimited": unlimited, "limited": [*limited, "-b"]}


def server(port: int) -> list[str]:
    """The server's argument vector."""
    return [PYTHON, "-m", "steps.tools.sockperf.ping_pong", "serve", str(port)]


def _end(ran: _Ran) -> str:
    return f"exit code {'unknown' if ran.exit_code is None else ran.exit_code}"


def _read(task: Task, output: Output, ratio: float) -> Responses | Failure:
    account = decode_output(_ACCOUNT, output, _PROGRAM)
    if isinstance(account, Failure):
        return account
    loads = _read_load(task, account, ratio)
    if isinstance(loads, Failure):
        return loads
    figures = report.read(account.client.stdout + account.client.stderr, _end(account.client))
    if isinstance(figures, Failure):
        return figures
    if account.client.exit_code != 0:
        return Failure(f"sockperf ended with {_end(account.client)}")
    if fault := _contradiction(task, figures, account.client.argv):
        return Failure(fault)
    found = _responses(task, account, figures, loads)
    if loads is not None and (abs(loads[1] - ratio) > _LOAD_SLACK or (account.load_began_s or 0.0) > _BEGUN_BY_S):
        found = msgspec.structs.replace(found, flags=(*found.flags, LOAD_OFF))
    return found


def _contradiction(task: Task, figures: SockperfFigures, argv: Sequence[str]) -> str | None:
    if figures.transport != task.transport:
        return f"sockperf measured by {figures.transport}, not by {task.transport}"
    if "--full-rtt" not in argv:
        return "sockperf was run without --full-rtt, so its figures are of half a round trip"
    if figures.total_s < _SHORTEST_SHARE * TEST_S:
        return f"sockperf measured {figures.total_s:.3g} s of the {TEST_S} s planned"
    return None


def _read_load(task: Task, account: _Account, ratio: float) -> tuple[float, float] | Failure | None:
    """What arrived of the load, bit/s and as a share; None without one."""
    if not ratio:
        return None
    before = _iperf3(_load_task(task, None), account.unlimited)
    if isinstance(before, Failure):
        return Failure(f"the load is not known, since without a limit {before.reason}")
    asked_bps = round(before.received_bps * ratio)
    load = _iperf3(_load_task(task, float(asked_bps)), account.load)
    if isinstance(load, Failure):
        return Failure(f"there was no load: {load.reason}")
    return load.received_bps, load.received_bps / before.received_bps


def _iperf3(task: Task, ran: _Ran | None) -> iperf3.IperfReport | Failure:
    if ran is None:
        return Failure("iperf3 was not run")
    return iperf3.read(task, ran.argv, Output(ran.stdout.encode(), ran.stderr.encode(), ran.exit_code))


def _responses(task: Task, account: _Account, figures: SockperfFigures, loads: tuple[float, float] | None) -> Responses:
    flags = []
    seconds = [
        value * MICROSECOND if figures.observations * (1 - share) >= 1 - 1e-9 else None
        for value, share in zip(figures.percentiles_us, _SHARES, strict=True)
    ]
    if None in seconds:
        flags.append(FEW)
    # sockperf waits for a reply until its end, and counts neither the wait nor the request
    stalled = figures.total_s - figures.valid_s - OWN_WARM_UP_S > _STALL_S
    if stalled:
        flags.append(UNANSWERED)
    if figures.dropped or figures.out_of_order:
        flags.append(LOST)
    if figures.duplicated:
        flags.append(DUPLICATES)
    if account.clock_source not in _CLOCKS:
        flags.append(CLOCK)
    return Responses(
        duration_s=figures.valid_s,
        **dict(zip(responses.PERCENTILES, seconds, strict=True)),
        response_worst_s=None if stalled else figures.worst_us * MICROSECOND,
        transactions_per_s=figures.received / figures.valid_s,
        responses=figures.received,
        lost_messages=figures.dropped + stalled,
        duplicate_messages=figures.duplicated,
        block_size_bytes=plan.number_after("-m", account.client.argv) or _message_bytes(task),
        load_bps=loads[0] if loads else None,
        load_ratio=loads[1] if loads else None,
        flags=tuple(flags),
    )


def is_busy(stdout: bytes) -> bool:
    """Whether iperf3's server was still busy with an earlier client, so that there was no load."""
    account = bounds.decode(_ACCOUNT, stdout, _PROGRAM, len(stdout))
    if isinstance(account, Failure):
        return False
    return any(iperf3.is_busy(ran.stdout.encode()) for ran in (account.unlimited, account.load) if ran is not None)


def own_cpu(_task: Task, output: Output) -> OwnCpu:
    """What the programs used of the CPU here; sockperf's server does not report it."""
    account = bounds.decode(_ACCOUNT, output.stdout, _PROGRAM, len(output.stdout))
    return OwnCpu(client_s=None if isinstance(account, Failure) else account.cpu_s)


def _tool(percent: int) -> Tool:
    """The tool beside a load of so many per cent of what iperf3 measures on the path; 0: alone."""
    ratio = percent / 100

    def command(task: Task, address: str, port: int) -> list[str]:
        wanted = {"client": _client(task, address, port), "load": _load(task, address, ratio)}
        return [PYTHON, "-I", "-S", ping_pong.__file__, "ask", json.dumps(wanted)]

    def read(task: Task, _argv: Sequence[str], output: Output) -> Responses | Failure:
        return _read(task, output, ratio)

    end, words = (f"-load{percent}", f" under {percent} % load") if percent else ("", "")
    return Tool(
        name=f"sockperf_load{percent}" if percent else "sockperf",
        variants=tuple(
            Variant(
                f"ping-pong{end}" if transport == "tcp" else f"ping-pong-udp{end}",
                f"requests by {transport.upper()}{words}",
                transport,
                responses.LOADED if percent else responses.FIGURES,
                most_block_bytes=65_507,
            )
            for transport in ("tcp", "udp")
        ),
        port=5206,
        command=command,
        server=server,
        server_of="sockperf" if percent else "",
        bind=(),
        read=read,
        directions=("forward",),
        fixed_s=TEST_S,
        lead_s=LEAD_S,
        own_cpu=own_cpu,
        is_busy=is_busy if percent else lambda _stdout: False,
        packages={"sockperf": "sockperf"},
        version=() if percent else ("sockperf", "--version"),
    )


TOOL: Final = _tool(0)
LOADED: Final = (_tool(50), _tool(90))
