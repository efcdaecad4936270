"""How busy the machine is by the kernel's accounts, against a clock that does not depend on them.

`python -m benchmarks.cpu.calibration [ROUNDS [MINUTES]]`. Each trial is measured three times, in random order: left
alone; with cores that are kept from halting; and beside soakers (`benchmarks.cpu.soaker`), whose lost progress is the
CPU that the trial took. All are less what they are with nothing sent. After so many minutes no new trial is begun.

A core that never halts wakes faster, so that its receiver is woken for fewer packets at once and uses more CPU. Beside
soakers no core halts; the accounts are therefore compared with lost progress where none halts either, and what halting
saves is a figure of its own. Client and server have a core each, so that the three are the same trial. One in which
others used the machine is measured again, and left out if they do not stop.
"""

import math
import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from analysis.console.terminal import printing
from benchmarks.cpu.accounts import BESIDE, IDLE_TIME, busy, busy_beside, read_accounts, switches_per_s
from benchmarks.cpu.figures import Pair, table, verdicts
from benchmarks.cpu.soaker import Soakers, lost_ratio
from steps.catalogue.options import Settings
from steps.cluster import connect_cluster
from steps.cluster.lab import capabilities, sandbox
from steps.cluster.lab.dataplanes import traits
from steps.domain import Placement, Trial, Visit
from steps.measurement.monitors import interference
from steps.measurement.monitors.interference import ForeignCpu
from steps.measurement.trials import client_command
from steps.namespaces import command_in
from steps.settings.schedule import make_schedule
from steps.settings.settings import choose_settings
from steps.tools.iperf3 import iperf3
from steps.tools.tool import Output, Task

ROUNDS: Final = 5
DURATION_S: Final = 1
IDLE_S: Final = 0.7
RATES: Final[Mapping[str, tuple[float | None, ...]]] = {"tcp": (1e9, None), "udp": (3e8, None)}
"""bit/s; with a rate the machine idles in between, which is where accounts differ."""

FOREIGN_RATIO: Final = 0.03
PATIENCE_S: Final = 120.0
"""How long to wait for a quiet machine before one window; then it is measured all the same, and left out."""

TRIES: Final = 4
"""How often a window in which others used the machine is measured again."""

Condition = Literal["alone", "awake", "beside"]
CONDITIONS: Final[tuple[Condition, ...]] = ("alone", "awake", "beside")

_CALM_S: Final = 0.2
_LATENCY: Final = Path("/dev/cpu_dma_latency")


@dataclass(frozen=True, slots=True)
class Window:
    """One trial, or one idle window: what it received, what others used, and how busy the machine was by each measure.

    `busy` has a share for each measure that this kernel has and the window's condition allows; `lost` is there beside
    soakers.
    """

    received_bps: float | None
    foreign_ratio: float | None
    busy: Mapping[str, float] = field(default_factory=dict)
    lost: float | None = None
    switches_per_s: float = 0.0


class CalibrationBench:
    """The lab, the soakers, and a watch on what others use."""

    def __init__(self, soakers: Soakers, order: random.Random) -> None:
        self.soakers = soakers
        self.others = ForeignCpu()
        self.order = order
        self.disturbed = 0

    def windows(self, argv: Sequence[str] | None) -> dict[Condition, Window] | None:
        """One trial in each condition, in random order; None where others used the machine all the time."""
        found: dict[Condition, Window] = {}
        for condition in self.order.sample(CONDITIONS, len(CONDITIONS)):
            for _ in range(TRIES):
                window = self._window(argv, condition)
                if window.foreign_ratio is not None and window.foreign_ratio <= FOREIGN_RATIO:
                    found[condition] = window
                    break
            else:
                self.disturbed += 1
                return None
        return found

    def _window(self, argv: Sequence[str] | None, condition: Condition) -> Window:
        self._calm()
        with self._soaking() if condition == "beside" else _awake() if condition == "awake" else nullcontext():
            used, before, lost = self.others.read(), read_accounts(), self.soakers.read()
            received_bps = _send(argv)
            after, lost_after = read_accounts(), self.soakers.read()
            ratio = interference.foreign_ratio(used, self.others.read())
        beside = condition == "beside"
        own = {BESIDE: busy_beside(before, after)} if beside else busy(before, after)
        ratio_lost = lost_ratio(lost, lost_after) if beside else None
        return Window(received_bps, ratio, own, ratio_lost, switches_per_s(before, after))

    @contextmanager
    def _soaking(self) -> Iterator[None]:
        self.soakers.resume()
        try:
            yield
        finally:
            self.soakers.pause()

    def _calm(self) -> None:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            before = self.others.read()
            time.sleep(_CALM_S)
            ratio = interference.foreign_ratio(before, self.others.read())
            if ratio is not None and ratio <= FOREIGN_RATIO:
                return


@contextmanager
def _awake() -> Iterator[None]:
    """Within, cores poll instead of halting: a process with this file open requests wake-ups without delay."""
    with _LATENCY.open("wb", buffering=0) as file:
        file.write(struct.pack("i", 0))
        yield


def _send(argv: Sequence[str] | None) -> float | None:
    if argv is None:
        time.sleep(IDLE_S)
        return None
    done = subprocess.run(argv, capture_output=True, check=False, timeout=60)
    offered_bps = float(argv[argv.index("-b") + 1]) if "-b" in argv else None
    task = Task(transport="udp" if "-u" in argv else "tcp", duration_s=DURATION_S, offered_bps=offered_bps)
    found = iperf3.read(task, argv, Output(done.stdout, done.stderr, done.returncode))
    return found.received_bps if isinstance(found, iperf3.IperfReport) else None


def trials(visit: Visit, placement: Placement, settings: Settings) -> Iterator[tuple[Trial, list[str]]]:
    """The trials of a visit, each at each of its protocol's rates, with the command of each."""
    cores = sorted(os.sched_getaffinity(0))
    for trial in visit.trials:
        for rate in RATES[trial.transport]:
            paced = trial.model_copy(update={"offered_bps": rate})
            argv = command_in(placement.namespace, client_command(placement, paced, settings))
            rate_flags = ["-b", str(int(rate))] if rate is not None and "-b" not in argv else []
            yield paced, [*argv, *rate_flags, "-A", f"{cores[0]},{cores[-1]}"]


def measured(bench: CalibrationBench, rounds: int, until_s: float) -> Iterator[Pair]:
    """Each dataplane once a round, as long as the monotonic clock is not beyond `until_s`."""
    names = [name for name, shown in traits().items() if capabilities.is_privileged() or not shown.mechanism.root_only]
    options = f"duration={DURATION_S} rounds=1 repetitions=1 protocols=tcp,udp directions=forward foreign_cpu_limit=1"
    settings = choose_settings(dataplanes=",".join(names), topologies="pod-to-pod", options=options)
    visits = make_schedule(settings)
    lab = connect_cluster(settings.environment)
    try:
        for _ in range(rounds):
            for visit in visits:
                lab.configure(visit, settings)
                placement = next(p for p in lab.prepare(visit, settings) if p.topology == "pod-to-pod")
                idle = bench.windows(None)
                for trial, argv in trials(visit, placement, settings):
                    if time.monotonic() > until_s:
                        return
                    pair = pair_of(visit.dataplane, trial, bench.windows(argv) if idle else None, idle)
                    if pair is not None:
                        yield pair
    finally:
        lab.restore()


def pair_of(
    dataplane: str, trial: Trial, found: Mapping[Condition, Window] | None, idle: Mapping[Condition, Window] | None
) -> Pair | None:
    """The windows of one trial less the idle ones; None where one is missing, or received nothing."""
    if found is None or idle is None or not all(window.received_bps for window in found.values()):
        return None
    lost, lost_idle = found["beside"].lost, idle["beside"].lost
    if lost is None or lost_idle is None:
        return None
    alone, awake, beside = (_above_idle(found[how], idle[how]) for how in CONDITIONS)
    return Pair(
        dataplane=dataplane,
        protocol=trial.transport,
        offered_bps=trial.offered_bps,
        lost=lost - lost_idle,
        busy=awake | beside,
        halting=awake[IDLE_TIME] - alone[IDLE_TIME],
        conditions=tuple(
            f"{how}: {(found[how].received_bps or 0) / 1e9:.2f} Gbit/s, {found[how].switches_per_s:,.0f} switches/s"
            for how in CONDITIONS
        ),
    )


def _above_idle(window: Window, idle: Window) -> dict[str, float]:
    return {name: share - idle.busy[name] for name, share in window.busy.items() if name in idle.busy}


def main() -> int:
    """Print the table and what agrees; 1 where nothing could be measured."""
    if not sandbox.is_inside():
        return sandbox.run_in_sandbox([sys.executable, "-m", "benchmarks.cpu.calibration", *sys.argv[1:]])
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    minutes = float(sys.argv[2]) if len(sys.argv) > 2 else math.inf  # noqa: PLR2004 - the second argument
    pairs: list[Pair] = []
    with Soakers() as soakers:
        bench = CalibrationBench(soakers, random.Random(1))  # noqa: S311 - an order, not a secret
        for pair in measured(bench, rounds, time.monotonic() + 60 * minutes):
            pairs.append(pair)
            shares = ", ".join(f"{name} {100 * share:.1f}" for name, share in pair.busy.items())
            print(f"{' '.join(pair.cell)}: lost {100 * pair.lost:.1f} %; {shares}; halting {100 * pair.halting:.1f}")
            print(f"  {'; '.join(pair.conditions)}")
    if not pairs:
        print("Nothing could be measured: others used the machine all the time.")
        return 1
    print("Busy above idle, in points of the whole machine: by each measure, less the lost progress [95 % interval]")
    print("\n".join(table(pairs)))
    print("\n".join(verdicts(pairs)))
    print(f"Left out because others used the machine: {bench.disturbed}.")
    return 0


if __name__ == "__main__":
    sys.exit(printing(main))
