"""Do identical twins come out the same, is a slow-down of 10 % found? `python -m benchmarks.sensitivity [FLAGS]`.

First the burden is found that slows pod to pod down by 10 %: so many rules that match nothing in front of each packet.
Then one `standard` run measures a dataplane, an identical twin of it and one with that burden, and some `quick` runs
measure it with two twins: the comparisons of twins are summed over all of them. About 20 minutes in all. FLAGS are
handed to all runs, such as `--topologies=pod-to-pod --visits=4` for shorter ones.
"""

import math
import statistics
import subprocess
import sys
from dataclasses import dataclass, field

from scipy.stats import binomtest

from analysis.console.terminal import printing
from analysis.summary import summary
from analysis.summary.summary import Summary
from benchmarks.fidelity import bare_bps
from benchmarks.runs import measured
from steps.catalogue.options import method
from steps.cluster import connect_cluster
from steps.cluster.lab import sandbox
from steps.settings.schedule import make_schedule
from steps.settings.settings import choose_settings

BASE = "lab-iptables"
AIM_FALSE_RATIO = 0.05
SLOWDOWN = 0.10
PROBES = 3
TURNS = 4
TWIN_RUNS = 3
TRIED = 1200
"""Rules enough that their cost stands out from the noise of a few short measurements."""


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
        return [bare_bps(placement, trial, settings) for _ in range(PROBES)]
    finally:
        lab.restore()


def calibrate() -> int:
    """How many rules cost 10 %: time for a byte grows in proportion to the rules that its packet meets."""
    figures: dict[int, list[float]] = {0: [], TRIED: []}
    for _ in range(TURNS):
        for burden, found in figures.items():
            found.extend(bare_bits_per_s(burden))
    plain, burdened = (statistics.median(found) for found in figures.values())
    if burdened > plain * (1 - SLOWDOWN):
        sys.exit(
            f"{TRIED} rules slow the lab down from {plain:.3g} to {burdened:.3g} bit/s only: the machine is noisy."
        )
    per_rule = (1 / burdened - 1 / plain) / TRIED
    return max(1, math.ceil((1 / (1 - SLOWDOWN) - 1) / plain / per_rule))


@dataclass(slots=True)
class Twins:
    """Comparisons of identical twins, summed over runs: every difference among them is a false one.

    `tested`: with an interval. `different`: called different by a run. `undecided`: those that a run calls undecided.
    """

    tested: int = 0
    different: int = 0
    undecided: int = 0
    sentences: list[str] = field(default_factory=list)

    def add(self, summarised: Summary) -> None:
        """Count those of one run."""
        for comparison in summarised.comparisons:
            if "twin" not in comparison.dataplane:
                continue
            self.undecided += not comparison.decided
            if comparison.p_adjusted is not None:
                self.tested += 1
                self.different += comparison.outcome == "different"
                self.sentences += [comparison.sentence] if comparison.outcome == "different" else []

    def judge(self) -> bool:
        """Print the rates with their intervals; whether the aim is met."""
        print(f"identical twins: {self.tested} comparisons, {self.undecided} of them undecided")
        if not self.tested:
            return False
        interval = binomtest(self.different, self.tested).proportion_ci(method="exact")
        print(
            f"  called different: {self.different} of {self.tested}, {self.different / self.tested:.3f} "
            f"[{interval.low:.3f}, {interval.high:.3f}]"
        )
        print(
            f"  aim: at most {AIM_FALSE_RATIO} called different. The intervals are binomial; comparisons of one run "
            "share their baseline, so that the true ones are somewhat wider."
        )
        for sentence in self.sentences:
            print(f"  {sentence}")
        return self.different / self.tested <= AIM_FALSE_RATIO


def found_slowdown(summarised: Summary, burden: int) -> bool:
    """Print whether the slow-down was found, on the path on which it was injected."""
    for comparison in summarised.of("received_bps"):
        if "burden" in comparison.dataplane and comparison.path == "pod-to-pod tcp":
            found = comparison.verdict == "lower"
            word = "found" if found else "NOT found"
            print(f"slow-down of {SLOWDOWN:.0%} by {burden} rules: {word}: {comparison.sentence}")
            return found
    print(f"slow-down of {SLOWDOWN:.0%} by {burden} rules: NOT found, for pod-to-pod was not measured by tcp")
    return False


def main() -> int:
    """Print both figures; 1 if an aim is missed."""
    if sys.argv[1:] == ["calibrate"]:
        print(calibrate())
        return 0
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from benchmarks.sensitivity import boxed; sys.exit(boxed())"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stderr.strip() or done.stdout.strip())
        return 1
    burden = int(done.stdout.split()[-1])
    print(f"{burden} rules slow {BASE} down by about {SLOWDOWN:.0%}")
    twins, flags = Twins(), sys.argv[1:]
    arms = f"{BASE},{BASE}+twin,{BASE}+burden={burden}"
    with measured("--profile=standard", f"--dataplanes={arms}", *flags) as run:
        summarised = summary.summarise(run.con, run.run_id, method)
        twins.add(summarised)
    arms = f"{BASE},{BASE}+twin-1,{BASE}+twin-2"
    for _ in range(TWIN_RUNS):
        with measured("--profile=quick", f"--dataplanes={arms}", *flags) as run:
            twins.add(summary.summarise(run.con, run.run_id, method))
    met = [twins.judge(), found_slowdown(summarised, burden)]
    return 0 if all(met) else 1


def boxed() -> int:
    """Calibrate inside a sandbox."""
    return sandbox.run_in_sandbox([sys.executable, "-m", "benchmarks.sensitivity", "calibrate"])


if __name__ == "__main__":
    sys.exit(printing(main))
