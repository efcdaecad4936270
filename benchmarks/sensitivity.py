"""Do identical twins come out the same, is a slow-down of 10 % found? `python -m benchmarks.sensitivity [FLAGS]`.

First the burden is found that slows pod to pod down by 10 %: so many rules that match nothing in front of each packet.
Then one `standard` run measures a dataplane, an identical twin of it and one with that burden. FLAGS are handed to that
run, such as `--topologies=pod-to-pod` for a shorter one.
"""

import math
import statistics
import subprocess
import sys

from analysis import summary
from analysis.summary import Summary
from benchmarks.fidelity import bare_bps
from benchmarks.runs import measured
from steps.cluster import connect
from steps.cluster.lab import box
from steps.plan import make
from steps.settings import choose

BASE = "lab-iptables"
AIM_FALSE_RATIO = 0.05
SLOWDOWN = 0.10
PROBES = 3
TURNS = 4
TRIED = 400
"""Rules enough that their cost stands out from the noise of a few short looks."""


def bare_bits_per_s(burden: int) -> list[float]:
    """Pod to pod by bare iperf3 with so many rules more, some short looks in one lab."""
    arm = f"{BASE}+burden={burden}" if burden else BASE
    settings = choose(dataplanes=arm, topologies="pod-to-pod", options="duration=1 rounds=1 protocols=tcp seed=1")
    (visit,) = make(settings)
    (trial,) = visit.trials
    lab = connect(settings.environment)
    lab.configure(visit, settings)
    placement = next(p for p in lab.prepare(visit, settings) if p.topology == trial.topology)
    try:
        return [bare_bps(placement, trial, settings) for _ in range(PROBES)]
    finally:
        lab.restore(None)


def calibrate() -> int:
    """How many rules cost 10 %: time for a byte grows in proportion to the rules that its packet meets."""
    looks: dict[int, list[float]] = {0: [], TRIED: []}
    for _ in range(TURNS):
        for burden, seen in looks.items():
            seen.extend(bare_bits_per_s(burden))
    plain, burdened = (statistics.median(seen) for seen in looks.values())
    if burdened > plain * (1 - SLOWDOWN):
        sys.exit(
            f"{TRIED} rules slow the lab down from {plain:.3g} to {burdened:.3g} bit/s only: the machine is noisy."
        )
    per_rule = (1 / burdened - 1 / plain) / TRIED
    return max(1, math.ceil((1 / (1 - SLOWDOWN) - 1) / plain / per_rule))


def report_twins(said: Summary) -> None:
    """Say how many comparisons of identical twins came out different."""
    compared = [c for c in said.comparisons if "twin" in c.dataplane and c.verdict != "cannot-tell"]
    different = [c for c in compared if c.found]
    print(
        f"identical twins: {len(different)} of {len(compared)} comparisons came out different "
        f"({len(different) / max(1, len(compared)):.3f}, aim at most {AIM_FALSE_RATIO})"
    )
    for comparison in different:
        print(f"  {comparison.sentence}")


def report_slowdown(said: Summary, burden: int) -> None:
    """Say whether the slow-down was found, on the path on which it was injected."""
    for comparison in said.of("received_bps"):
        if "burden" in comparison.dataplane and comparison.topology == "pod-to-pod" and comparison.protocol == "tcp":
            found = "found" if comparison.verdict == "lower" else "not found"
            print(f"slow-down of {SLOWDOWN:.0%} by {burden} rules: {found}: {comparison.sentence}")


def main() -> None:
    """Print both figures."""
    if sys.argv[1:] == ["calibrate"]:
        print(calibrate())
        return
    said = subprocess.run(
        [sys.executable, "-c", "import sys; from benchmarks.sensitivity import boxed; sys.exit(boxed())"],
        capture_output=True,
        text=True,
        check=False,
    )
    if said.returncode:
        sys.exit(said.stderr.strip() or said.stdout.strip())
    burden = int(said.stdout.split()[-1])
    print(f"{burden} rules slow {BASE} down by about {SLOWDOWN:.0%}")
    arms = f"{BASE},{BASE}+twin,{BASE}+burden={burden}"
    with measured("--profile=standard", f"--dataplanes={arms}", *sys.argv[1:]) as run:
        found = summary.summarise(run.con, run.run_id)
        report_twins(found)
        report_slowdown(found, burden)


def boxed() -> int:
    """Calibrate inside a box."""
    return box.run([sys.executable, "-m", "benchmarks.sensitivity", "calibrate"])


if __name__ == "__main__":
    main()
