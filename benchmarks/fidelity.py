"""Throughput through the pipeline's own step against bare iperf3 in the same namespaces, interleaved.

`python -m benchmarks.fidelity [PAIRS]`. Each pair is one measuring step, run by Hera's runner in a process of its own
as the engine runs it, and one iperf3 started by nothing but `nsenter`, in random order.
"""

import gzip
import json
import math
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from analysis.statistics import mean_interval
from steps import iperf3, raw
from steps.cluster import connect
from steps.cluster.lab import box
from steps.model import Placement, Trial
from steps.plan import make
from steps.settings import Settings, choose

AIM_RATIO = 0.98
PAIRS = 30
DURATION_S = 2
PREPARED = Path("/tmp/hera-inputs/artifacts/prepared")  # noqa: S108 - where Hera's runner finds an input artifact


def bare_bps(placement: Placement, trial: Trial, settings: Settings) -> float:
    """iperf3 and nothing around it."""
    argv = [*placement.prefix, *iperf3.argv(trial, settings, placement.address, placement.port)]
    done = subprocess.run(argv, capture_output=True, check=True, timeout=60)
    return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"])


def step_bps(placement: Placement, trial: Trial, settings: Settings, folder: Path) -> float:
    """The measuring step of the workflow, by Hera's runner."""
    values = {
        "settings": settings.model_dump_json(),
        "visit": "01",
        "what": placement.topology,
        "title": "measure",
        "client-node": placement.client_node,
        "host-network": "false",
        "dns-policy": "Default",
    }
    raw.write(PREPARED, raw.Prepare(visit=1, placements=(placement,)))
    arguments = folder / "arguments.json"
    arguments.write_text(json.dumps([{"name": name, "value": value} for name, value in values.items()]))
    subprocess.run(
        [sys.executable, "-m", "hera.workflows.runner", "-e", "steps.tasks.measure:measure", str(arguments)],
        check=True,
        env={"hera__outputs_directory": str(folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        stderr=subprocess.DEVNULL,
    )
    (document,) = folder.rglob(f"{trial.trial:04d}.json.gz")
    attempt = json.loads(gzip.decompress(document.read_bytes()))["attempts"][-1]
    return float(json.loads(attempt["stdout"])["end"]["sum_received"]["bits_per_second"])


def main() -> None:
    """Print the ratio of the two with its 95 % interval."""
    if not box.inside():
        sys.exit(box.run([sys.executable, "-m", "benchmarks.fidelity", *sys.argv[1:]]))
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    settings = choose(
        dataplanes="lab-iptables", topologies="pod-to-pod", options=f"duration={DURATION_S} rounds=1 protocols=tcp"
    )
    (visit,) = make(settings)
    (trial,) = visit.trials
    lab = connect(settings.environment)
    lab.configure(visit, settings)
    placement = next(p for p in lab.prepare(visit, settings) if p.topology == trial.topology)
    logs = []
    order = random.Random(settings.seed)  # noqa: S311 - an order, not a secret
    for pair in range(pairs):
        with tempfile.TemporaryDirectory() as folder:
            if order.random() < 0.5:  # noqa: PLR2004 - a coin
                bare, step = bare_bps(placement, trial, settings), step_bps(placement, trial, settings, Path(folder))
            else:
                step, bare = step_bps(placement, trial, settings, Path(folder)), bare_bps(placement, trial, settings)
        logs.append(math.log(step / bare))
        print(f"pair {pair + 1}: {bare / 1e9:.2f} Gbit/s bare, {step / 1e9:.2f} Gbit/s through the step")
    lab.restore(None)
    PREPARED.unlink()
    found = mean_interval(logs)
    if found is None:
        sys.exit("At least two pairs are needed for an interval.")
    low, mean, high = (math.exp(value) for value in (found.low, found.mean, found.high))
    print(f"fidelity: {mean:.3f} [{low:.3f}, {high:.3f}] over {pairs} pairs (aim {AIM_RATIO})")


if __name__ == "__main__":
    main()
