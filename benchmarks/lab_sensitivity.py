"""In the lab: is a slow-down of 10 % found, and of 5 %; are twins the same?

    python -m benchmarks.lab_sensitivity [FLAGS]

First the burdens are found that slow pod to pod down by so much: rules that match nothing in front of each packet. Then
one run measures a dataplane, two identical twins of it, and two with burdens. A burdened one is not visited again when
it is decided; the twins have all rounds, since the margin leaves hardly anything to call the same. From their rounds
many short runs are drawn, in which the three are shuffled: a difference there is a false one, by the noise that the lab
really has. Some 15 minutes. FLAGS are handed to the run, such as `--rounds=12` for a shorter one.
"""

import math
import random
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from analysis.console.terminal import printing
from analysis.domain import Cell
from analysis.metrics.throughput import THROUGHPUT
from analysis.stats import run as stored
from analysis.stats.estimates.differences import Values
from analysis.stats.verdicts.judgement import FAMILY_ERROR, CellOfArm, Plan
from analysis.summary.run import summary
from analysis.summary.run.summary import Summary
from benchmarks.fidelity import IPERF3, bare
from benchmarks.runs import measured_run
from benchmarks.simulations.present_method import compare
from benchmarks.simulations.runs import Scenario
from benchmarks.simulations.scoring import TOLERATED, Rate
from steps.catalogue.options import method
from steps.cluster import connect_cluster
from steps.cluster.lab import sandbox
from steps.settings.schedule import make_schedule
from steps.settings.settings import choose_settings

BASE: Final = "lab-iptables"
SLOWDOWNS: Final = (0.10, 0.05)
STANDS_OUT: Final = 0.15
"""The slow-down by which burdens are calibrated: more than the larger of the two, so that these lie between."""
PROBES: Final = 3
TURNS: Final = 4
TRIED: Final = (1200, 2400, 4800, 9600)
"""Rules: the least of these whose cost stands out from the noise of a few short measurements calibrates."""

FLAGS: Final = (
    "--profile=quick",
    "--topologies=pod-to-pod,pod-to-service",
    "--protocols=tcp",
    "--rounds=24",
    "--margin=0.01",
)
"""Of the run, where none of the same name is given."""

DRAWN: Final = 600
DRAWN_ROUNDS: Final = 5


def bare_bits_per_s(burden: int) -> list[float]:
    """Pod to pod by bare iperf3 with so many rules more, some short measurements in one lab."""
    arm = f"{BASE}+burden={burden}" if burden else BASE
    settings = choose_settings(
        dataplanes=arm, topologies="pod-to-pod", options="duration=1 rounds=1 protocols=tcp seed=1"
    )
    (visit,) = make_schedule(settings)
    (trial,) = visit.trials
    lab = connect_cluster(settings.environment)
    lab.configure(visit, settings)
    placement = next(p for p in lab.prepare(visit, settings) if p.topology == trial.topology)
    try:
        return [bare(IPERF3, placement, trial, settings) for _ in range(PROBES)]
    finally:
        lab.restore()


def calibrate() -> list[int]:
    """How many rules cost each slow-down: time for a byte grows in proportion to the rules that its packet meets."""
    for tried in TRIED:
        figures: dict[int, list[float]] = {0: [], tried: []}
        for _ in range(TURNS):
            for burden, found in figures.items():
                found.extend(bare_bits_per_s(burden))
        plain, burdened = (statistics.median(found) for found in figures.values())
        if burdened < plain * (1 - STANDS_OUT):
            per_rule = (1 / burdened - 1 / plain) / tried
            return [max(1, math.ceil((1 / (1 - slowdown) - 1) / plain / per_rule)) for slowdown in SLOWDOWNS]
    sys.exit(f"{tried} rules slow the lab down from {plain:.3g} to {burdened:.3g} bit/s only: the machine is noisy.")


def boxed() -> int:
    """Calibrate inside a sandbox."""
    return sandbox.run_in_sandbox([sys.executable, "-m", "benchmarks.lab_sensitivity", "calibrate"])


def main(flags: Sequence[str]) -> int:
    """Print what was found and how soon; 1 if a slow-down was not, or twins differ."""
    if [*flags] == ["calibrate"]:
        print(*calibrate())
        return 0
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from benchmarks.lab_sensitivity import boxed; sys.exit(boxed())"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stderr.strip() or done.stdout.strip())
        return 1
    return measure([int(word) for word in done.stdout.splitlines()[-1].split()], flags)


def measure(burdens: Sequence[int], flags: Sequence[str]) -> int:
    """Measure with burdens that slow pod to pod down by `SLOWDOWNS`; 1 if one was not found, or twins differ."""
    slowed = {f"{BASE}+burden={rules}": slowdown for rules, slowdown in zip(burdens, SLOWDOWNS, strict=True)}
    twins = (BASE, f"{BASE}+twin-1", f"{BASE}+twin-2")
    given = {flag.partition("=")[0] for flag in flags}
    own = [flag for flag in FLAGS if flag.partition("=")[0] not in given]
    with measured_run(f"--dataplanes={','.join((*twins, *slowed))}", *own, *flags) as run:
        summarised = summary.summarise(run.con, run.run_id, method)
        about = stored.load_run(run.con, run.run_id)
        visits = _visits(stored.query_rows(run.con, _MEANS, run_id=run.run_id))
        print(f"{summarised.rounds} rounds in {run.wall_s / 60:.1f} minutes")
        met = [_print_slowdown(summarised, about.parameters, arm, slowed[arm]) for arm in slowed]
        met += [_print_twins(summarised), _print_drawn(twins, visits)]
    return 0 if all(met) else 1


_MEANS: Final = f"select * from visit_means where run_id = $run_id and {THROUGHPUT} is not null"  # noqa: S608


def _visits(rows: Sequence[Mapping[str, Any]]) -> dict[CellOfArm, dict[tuple[str, int], float]]:
    found: dict[CellOfArm, dict[tuple[str, int], float]] = defaultdict(dict)
    for row in rows:
        found[Cell.of(row), row["dataplane"]]["", row["round"]] = row[THROUGHPUT]
    return found


def _print_slowdown(summarised: Summary, parameters: Mapping[str, Any], arm: str, slowdown: float) -> bool:
    compared = [c for c in summarised.of(THROUGHPUT) if c.dataplane == arm and c.against_baseline]
    found = bool(compared) and all(c.verdict == "lower" for c in compared)
    after = (parameters.get("decided_after") or {}).get(arm)
    elapsed = [look["elapsed_s"] for look in parameters.get("looks") or [] if look["round"] == after]
    soon = f", decided after {after} rounds and {elapsed[0] / 60:.1f} minutes" if elapsed else ""
    print(f"slow-down of {slowdown:.0%}: {'found' if found else 'NOT found'} on {len(compared)} paths{soon}")
    for comparison in compared:
        print(f"  {comparison.sentence}")
    return found


def _print_twins(summarised: Summary) -> bool:
    """Whether no comparison of the run tells twins apart."""
    compared = [
        c
        for c in summarised.comparisons
        if c.low is not None and "burden" not in c.dataplane and "burden" not in c.baseline
    ]
    different = [c for c in compared if c.outcome == "different"]
    print(f"identical twins: {len(different)} of {len(compared)} comparisons are called different")
    for comparison in different:
        print(f"  {comparison.sentence}")
    return bool(compared) and not different


def _print_drawn(twins: Sequence[str], visits: Mapping[CellOfArm, Values]) -> bool:
    """Whether runs drawn from the twins' rounds keep the error."""
    dice = random.Random(1)  # noqa: S311 - a sample that can be drawn again
    cells = tuple({cell: None for cell, _ in visits})
    scenario = Scenario(dataplanes=len(twins), cells=cells)
    blocks = sorted(set.intersection(*({*visits[cell, twin]} for cell in cells for twin in twins)))
    if len(blocks) < 2 * DRAWN_ROUNDS:
        print(f"the twins have {len(blocks)} rounds, too few to draw runs from: {2 * DRAWN_ROUNDS} are the least")
        return True
    false = Rate()
    for _ in range(DRAWN):
        run: dict[CellOfArm, dict[tuple[str, int], float]] = defaultdict(dict)
        for block in dice.sample(blocks, DRAWN_ROUNDS):
            for arm, twin in zip(scenario.arms, dice.sample(twins, len(twins)), strict=True):
                for cell in cells:
                    run[cell, arm][block] = visits[cell, twin][block]
        compared = compare(scenario, {THROUGHPUT: run}, Plan())
        false.add(happened=any(c.outcome == "different" for c in compared))
    held = false.upper <= TOLERATED
    print(
        f"{DRAWN} runs of {DRAWN_ROUNDS} rounds drawn from the twins' {len(blocks)}: {false.count} have a difference, "
        f"so {false.upper:.1%} of such runs at most ({'held' if held else 'NOT HELD'}: {FAMILY_ERROR:.0%} are allowed)"
    )
    return held


if __name__ == "__main__":
    sys.exit(printing(lambda: main(sys.argv[1:])))
