"""Figures as they stand in the store against those of the bare programs in the same namespaces, interleaved.

`python -m benchmarks.fidelity [PAIRS [PROTOCOL...]]`. Each pair is, in random order, one measuring step, in a
process of its own as the engine runs it, and one iperf3 or sockperf started by nothing but `nsenter`. The
step's documents are collected into a store as those of a run are, and the figure is read from the store.
"""

import gzip
import json
import math
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from analysis.console.terminal import printing
from analysis.sql import database
from analysis.stats.estimates.intervals import mean_interval
from analysis.store.store import Store
from steps import documents
from steps.catalogue.options import Settings
from steps.cluster import connect_cluster
from steps.cluster.lab import sandbox
from steps.collect import run_rows
from steps.domain import Placement, Sign, Trial, Visit
from steps.measurement.trials import client_command
from steps.namespaces import command_in
from steps.run_documents import PlannedRun, ShownArm
from steps.settings.schedule import make_schedule
from steps.settings.settings import choose_settings
from steps.tasks import run as run_step
from steps.tools.failure import Failure
from steps.tools.sockperf import report

AIM_RATIO = 0.98
PAIRS = 30
DURATION_S = 2


@dataclass(frozen=True, slots=True)
class Program:
    """A measuring program.

    Attributes:
        column: its figure in the store, of which more is better.
        unit: of that in what is printed, with its size.
        client: its own command, of the step's.
        figure: the figure in its own output.
        output: its output, of what the step's program printed.
    """

    column: str
    unit: tuple[float, str]
    client: Callable[[list[str]], list[str]]
    figure: Callable[[str], float]
    output: Callable[[str], str]


def _bps(stdout: str) -> float:
    return float(json.loads(stdout)["end"]["sum_received"]["bits_per_second"])


def _transactions_per_s(stdout: str) -> float:
    found = report.read(stdout, "")
    if isinstance(found, Failure):
        raise SystemExit(found.reason)
    return found.received / found.valid_s


IPERF3 = Program("received_bps", (1e9, "Gbit/s"), lambda argv: argv, _bps, lambda stdout: stdout)
SOCKPERF = Program(
    "transactions_per_s",
    (1e3, "thousand a second"),
    lambda argv: list(json.loads(argv[-1])["client"]),
    _transactions_per_s,
    lambda stdout: str(json.loads(stdout)["client"]["stdout"]),
)
PROGRAMS = {"tcp": IPERF3, "ping-pong": SOCKPERF, "ping-pong-udp": SOCKPERF}
"""By the protocols that are compared."""


def bare(program: Program, placement: Placement, trial: Trial, settings: Settings) -> float:
    """The program and nothing around it."""
    argv = command_in(placement.namespace, program.client(client_command(placement, trial, settings)))
    return program.figure(subprocess.run(argv, capture_output=True, check=True, timeout=60, text=True).stdout)


@dataclass(frozen=True, slots=True)
class FidelityBench:
    """The lab that both ways share, and what one pass of the pipeline needs of it."""

    settings: Settings
    visit: Visit
    placement: Placement
    nodes: tuple[str, ...]

    @property
    def trial(self) -> Trial:
        """The one trial that is measured over and over."""
        return self.visit.trials[0]


def measure(bench: FidelityBench, folder: Path) -> None:
    """The workflow's measuring step, as its pod runs it, with its document where `collect` expects it."""
    values = {
        "settings": bench.settings.model_dump_json(),
        "visit": "01",
        "what": bench.placement.topology,
        "title": "measure",
        "client-node": bench.placement.client_node,
        "network": "pod",
        "timeout": "900s",
    }
    alone = bench.placement.model_copy(update={"turns": None})
    with tempfile.TemporaryDirectory() as name:
        prepared = Path(name, "inputs", "artifacts", "prepared")
        prepared.parent.mkdir(parents=True)
        documents.write_document(prepared, documents.Prepare(visit=1, placements=(alone,)))
        arguments = Path(name, "arguments.json")
        arguments.write_text(json.dumps([{"name": name, "value": value} for name, value in values.items()]))
        subprocess.run(
            [sys.executable, *run_step.COMMAND, "steps.tasks.measure:measure", str(arguments)],
            check=True,
            env={
                run_step.INPUTS_FOLDER: f"{name}/inputs",
                run_step.OUTPUTS_FOLDER: f"{name}/outputs",
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            },
            stderr=subprocess.DEVNULL,
        )
        (document,) = Path(name).rglob(documents.trial_name(bench.trial.trial))
        target = folder / documents.visit_directory(1) / bench.placement.topology / document.name
        target.parent.mkdir(parents=True)
        target.write_bytes(document.read_bytes())


def keep(bench: FidelityBench, folder: Path, run_id: str, signs: tuple[list[Sign], list[Sign]]) -> None:
    """Write the other documents of a pass: its plan, and the proof that the dataplane carried the traffic."""
    now = datetime.now(UTC)
    shown = tuple(ShownArm(name=arm, title=arm, colour="#000000") for arm in bench.settings.dataplanes)
    run = PlannedRun(
        run_id=run_id, workflow_uid="", trigger="local", started_at=now, settings=bench.settings, dataplanes=shown
    )
    documents.write_document(folder / documents.RUN, run)
    documents.write_document(
        folder / documents.PREFLIGHT, documents.Preflight(findings=(), provenance={}, visits=(bench.visit,))
    )
    visit = folder / documents.visit_directory(1)
    documents.write_document(visit / documents.CONFIGURE, documents.Configure(visit=1, started_at=now))
    for name, found in zip((documents.SETTLE, documents.CLEAR), signs, strict=True):
        documents.write_document(visit / name, documents.Evidence(visit=1, nodes=bench.nodes, signs=tuple(found)))


def reported(program: Program, folder: Path) -> float:
    """The program's own figure in the raw document of a pass, read without the pipeline."""
    (path,) = folder.rglob("0001.json.gz")
    attempt = json.loads(gzip.decompress(path.read_bytes()))["attempts"][-1]
    return program.figure(program.output(attempt["stdout"]))


def stored(program: Program, results: Path) -> dict[str, float | None]:
    """Collect each pass into a store and read it: run -> figure."""
    store = Store(str(results))
    for folder in sorted((results / "raw").iterdir()):
        store.write(folder.name, run_rows.run_rows(folder))
    with database.connect(store) as con:
        found = database.query(con, f"select run_id, {program.column} from measurements").to_pylist()  # noqa: S608
    return {str(row["run_id"]): row[program.column] for row in found}


def main() -> int:
    """Print the ratio of the two with its 95 % interval, by protocol; 1 if an aim is missed."""
    if not sandbox.is_inside():
        return sandbox.run_in_sandbox([sys.executable, "-m", "benchmarks.fidelity", *sys.argv[1:]])
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    return max([compare(protocol, pairs) for protocol in sys.argv[2:] or PROGRAMS])


def compare(protocol: str, pairs: int) -> int:
    """Measure both ways, so many times each, and judge them."""
    program = PROGRAMS[protocol]
    # However much CPU others use, no trial is measured again: bare iperf3 isn't either.
    options = f"duration={DURATION_S} rounds=1 protocols={protocol} foreign_cpu_limit=1"
    settings = choose_settings(dataplanes="lab-iptables", topologies="pod-to-pod", options=options)
    (visit,) = make_schedule(settings)
    lab = connect_cluster(settings.environment)
    lab.configure(visit, settings)
    before = lab.observe(visit, "before")
    placement = next(p for p in lab.prepare(visit, settings) if p.topology == visit.trials[0].topology)
    bench = FidelityBench(settings, visit, placement, lab.measured_nodes)
    order = random.Random(settings.seed)  # noqa: S311 - an order, not a secret
    with tempfile.TemporaryDirectory() as name:
        results, alone = Path(name), dict[str, float]()
        for pair in range(1, pairs + 1):
            run_id = f"pair-{pair:03d}"
            for way in order.sample(("bare", "pipeline"), 2):
                if way == "bare":
                    alone[run_id] = bare(program, placement, bench.trial, settings)
                else:
                    measure(bench, results / "raw" / run_id)
        after = lab.observe(visit, "after")
        lab.restore()
        for run_id in alone:
            keep(bench, results / "raw" / run_id, run_id, (before, after))
        kept = stored(program, results)
        printed = {run_id: reported(program, results / "raw" / run_id) for run_id in alone}
    print(f"{protocol}:")
    return judge(program, alone, printed, kept)


def judge(program: Program, alone: dict[str, float], printed: dict[str, float], kept: dict[str, float | None]) -> int:
    """Print both figures; 1 if the store differs from the program's report, or the pipeline is slower than it alone.

    The program's figures by pair: `alone` without the pipeline, `printed` in the raw documents, `kept` in the store.
    """
    logs, (size, unit) = [], program.unit
    for run_id, figure in alone.items():
        row = kept.get(run_id)
        if row is None:
            print(f"{run_id}: {figure / size:.2f} {unit} bare, nothing in the store: its dataplane was not proven")
            continue
        logs.append(math.log(row / figure))
        print(f"{run_id}: {figure / size:.2f} {unit} bare, {row / size:.2f} {unit} in the store")
    wrong = [run_id for run_id, figure in printed.items() if kept.get(run_id) != figure]
    print(f"stored as it was reported: {len(printed) - len(wrong)} of {len(printed)}")
    found = mean_interval(logs)
    if found is None:
        print("At least two pairs are needed for an interval.")
        return 1
    low, mean, high = (math.exp(value) for value in (found.low, found.mean, found.high))
    print(f"fidelity: {mean:.3f} [{low:.3f}, {high:.3f}] over {len(logs)} pairs (aim at least {AIM_RATIO})")
    return int(mean < AIM_RATIO or bool(wrong))


if __name__ == "__main__":
    sys.exit(printing(main))
