"""sockperf's server, and its client alone or while iperf3 loads the same path.

`python -m steps.tools.sockperf.ping_pong serve PORT [ADDRESS]` becomes the server, by TCP and UDP; `... ask PLAN` runs
what a `PingPongPlan` says, in JSON, and prints an `Account`. Standard library alone, so that it starts in a few
milliseconds.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypedDict

_FOREVER_MS: Final = "3600000"
"""By itself the server would wake each 10 ms, while others measure."""

_BUSY_S: Final = 1.0
_LOOK_S: Final = 0.05
_BEGUN_S: Final = 0.3
"""By then a load is flowing, or its server has refused it."""

_CLOCK_SOURCE: Final = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_USAGE: Final = "usage: python -m steps.tools.sockperf.ping_pong serve PORT [ADDRESS] | ask PLAN"


class Load(TypedDict):
    """A load: `ratio` of what `unlimited` measures, by the command `limited` with the rate, in bit/s, at its end."""

    ratio: float
    unlimited: list[str]
    limited: list[str]


class PingPongPlan(TypedDict):
    """What to run: sockperf's client, and the load meanwhile."""

    client: list[str]
    load: Load | None


class Ran(TypedDict):
    """A program's output; exit code None: it was ended."""

    argv: list[str]
    stdout: str
    stderr: str
    exit_code: int | None


class Account(TypedDict):
    """What was run.

    `clock_source`: the kernel's; None: unknown. `cpu_s`: of all programs here, user and system. `load_began_s`: when
    the load began, from the client's start.
    """

    clock_source: str | None
    cpu_s: float
    client: Ran
    unlimited: Ran | None
    load: Ran | None
    load_began_s: float | None


class _Program:
    """A program whose output is kept in memory, so that it never waits for a reader."""

    def __init__(self, argv: list[str]) -> None:
        self._argv = argv
        self._outputs = (os.memfd_create("stdout"), os.memfd_create("stderr"))
        self.began_s = time.monotonic()
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=self._outputs[0], stderr=self._outputs[1]
        )

    def ended(self) -> Ran:
        """Wait for its end."""
        self.process.wait()
        return self._ran(self.process.returncode)

    def kill(self) -> Ran:
        """End it."""
        self.process.kill()
        self.process.wait()
        return self._ran(None)

    def _ran(self, exit_code: int | None) -> Ran:
        texts = []
        for output in self._outputs:
            with os.fdopen(output, "rb") as file:
                file.seek(0)
                texts.append(file.read().decode(errors="backslashreplace"))
        return {"argv": self._argv, "stdout": texts[0], "stderr": texts[1], "exit_code": exit_code}


def ask(plan: PingPongPlan) -> Account:
    """Run the client, and its load meanwhile: measured and begun while the client waits, as it does for 2 s.

    Raises:
        OSError: a program can't be started.
    """
    client = _Program(plan["client"])
    unlimited = load = began_s = None
    if plan["load"] is not None:
        try:
            unlimited = _Program(plan["load"]["unlimited"]).ended()
            bps = _received_bps(unlimited)
            if bps is None:
                return _account(client.kill(), unlimited, None, None)
            running = _begin([*plan["load"]["limited"], str(round(bps * plan["load"]["ratio"]))])
        except BaseException:
            client.kill()
            raise
        began_s = running.began_s - client.began_s
        ran = client.ended()
        load = running.ended()
    else:
        ran = client.ended()
    return _account(ran, unlimited, load, began_s)


def _account(client: Ran, unlimited: Ran | None, load: Ran | None, load_began_s: float | None) -> Account:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    source = None
    with contextlib.suppress(OSError):
        source = _CLOCK_SOURCE.read_text().strip() or None
    return {
        "clock_source": source,
        "cpu_s": used.ru_utime + used.ru_stime,
        "client": client,
        "unlimited": unlimited,
        "load": load,
        "load_began_s": load_began_s,
    }


def _received_bps(ran: Ran) -> float | None:
    """What arrived by iperf3's JSON, whose reader checks all of it later; None: nothing did."""
    try:
        found = json.loads(ran["stdout"])["end"]["sum_received"]["bits_per_second"]
    except (ValueError, LookupError, TypeError):
        return None
    return float(found) if isinstance(found, int | float) and found > 0 else None


def _begin(argv: list[str]) -> _Program:
    """The load, once its server takes it: iperf3's is busy for a moment after each client."""
    deadline = time.monotonic() + _BUSY_S
    while True:
        running = _Program(argv)
        try:
            running.process.wait(_BEGUN_S)
        except subprocess.TimeoutExpired:
            return running
        if time.monotonic() > deadline:
            return running
        time.sleep(_LOOK_S)


def serve(port: int, address: str = "0.0.0.0") -> None:  # noqa: S104 - who may reach it is in docs/security.md
    """Become sockperf's server.

    Raises:
        OSError: it is missing.
    """
    feed = os.memfd_create("feed", 0)  # which stays open in the server
    os.write(feed, f"T:{address}:{port}\nU:{address}:{port}\n".encode())
    os.execvp(  # noqa: S606 - there is no shell
        "sockperf",
        ["sockperf", "server", "-f", f"/proc/self/fd/{feed}", "-F", "epoll", "--timeout", _FOREVER_MS],
    )


def main(arguments: Sequence[str]) -> int:
    """The command line. Exit code 1 with a sentence on stderr where it fails, 2 for wrong arguments."""
    try:
        match list(arguments):
            case ["serve", port]:
                serve(int(port))
            case ["serve", port, address]:
                serve(int(port), address)
            case ["ask", plan]:
                sys.stdout.write(json.dumps(ask(json.loads(plan))) + "\n")
            case _:
                sys.stderr.write(_USAGE + "\n")
                return 2
    except (ValueError, LookupError, TypeError) as error:
        sys.stderr.write(f"{_USAGE}: {error}\n")
        return 2
    except OSError as error:
        what = f"{error.filename} is missing: install it" if isinstance(error, FileNotFoundError) else str(error)
        sys.stderr.write(f"ping-pong probe: {what}\n")
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
