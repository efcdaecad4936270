"""Runs that are struck at every step by every fault, on a real cluster: `make chaos`.

Prints a line for each point, then the table of all points and the bar, also where a session is broken off; ends with 1
if the bar is missed. Outcomes are added to a file, and the same command goes on after those that are there.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cyclopts import Parameter

from analysis.console.notices import print_notice
from analysis.console.terminal import printing, without_output_errors
from analysis.errors import BadInput, Unsupported
from analysis.store.store import Store
from benchmarks import program
from benchmarks.chaos import commands, outcomes, points, runs, session, tables
from benchmarks.chaos.outcomes import PointOutcome
from benchmarks.chaos.points import Point
from benchmarks.chaos.runner import Runner
from benchmarks.chaos.runs import MatrixSettings
from benchmarks.chaos.strikes import ARGO, Strikes
from steps.catalogue.option_fields import items
from steps.cluster.kube.adapter import KubernetesCluster
from workflows.deployment.deployed import use_deployment
from workflows.deployment.namespaces import OWN, find_namespace
from workflows.deployment.user_client import UserClient
from workflows.submission import submit
from workflows.template.benchmark import build_template

PATIENCE_S: Final = 600.0
"""For the API server to answer again: longer than any fault keeps it away."""

_MINUTE_S: Final = 60.0
_INTERRUPTED: Final = "Interrupted. A run that is at work ends by itself, and the same command goes on after it."


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ChaosFlags:
    """The flags of `make chaos`.

    Attributes:
        points: how many points of the order the matrix has.
        faults: the file with the user's commands.
        only: a pattern of the points' names, such as `terminate@*`.
        seed: of the order, the visits and the delays.
        outcomes: the file that outcomes are added to.
        minutes: how long this session lasts; 0: until no point is left.
        again: try those points again that missed the bar, or that their run did not come to.
        together: the most points of one run.
        retried: a run that a Stop ended is retried, and struck again.
        dataplanes: of which each run has as many as its point needs, or all.
        topologies: that each visit measures.
        rounds: of every run; 0: the shortest run that comes to the point.
        context: of the kubeconfig; the current one if empty.
        namespace: where the benchmark is deployed; found if empty.
        results: the store; the deployment's if empty.
    """

    points: int = 200
    faults: Path | None = None
    only: str = ""
    seed: int = 1
    outcomes: Path = Path("chaos.jsonl")
    minutes: float = 0.0
    again: bool = False
    together: int = 1
    retried: bool = False
    dataplanes: str = "ebpf,ebpf-dsr"
    topologies: str = "pod-to-service"
    rounds: int = 0
    context: str = ""
    namespace: str = ""
    results: str = ""


_DEFAULTS: Final = ChaosFlags()


@without_output_errors()
def chaos(flags: ChaosFlags = _DEFAULTS) -> int:
    """Try the points; 1 if the bar is missed.

    Raises:
        BadInput: a flag, the file of commands or the file of outcomes is invalid.
        Unsupported: the benchmark is not deployed there.
        Problem: the cluster can't be reached, or is not as it was before a run.
    """
    client = UserClient.of(flags.context, flags.namespace or OWN, patience_s=PATIENCE_S)
    client.namespace = flags.namespace or find_namespace(client) or OWN
    strikes = Strikes(client, commands.read_commands(flags.faults))
    shape = MatrixSettings(tuple(items(flags.dataplanes)), flags.topologies, flags.rounds)
    settings = submit.checked_settings(client, runs.whole_run(shape))
    if flags.retried:
        require_retry(strikes, flags.together)
    wanted = _wanted(flags, strikes, shape.visits)
    names = {point.name for point in wanted}
    tried = [one for one in outcomes.read(flags.outcomes) if one.seed == flags.seed and one.point in names]
    judged = {one.point: one for one in tried}
    runner = Runner(
        client,
        Store(flags.results or settings.results),
        strikes,
        lambda group: runs.run_of(group, shape, flags.seed).form("submitted"),
        flags.outcomes.with_suffix(".before.json"),
        KubernetesCluster(use_deployment(client.context), at_prompt=True).restore_for_user,
        print_notice,
    )

    def keep(found: PointOutcome) -> None:
        outcomes.append(flags.outcomes, found)
        tried.append(found)
        judged[found.point] = found

    todo = session.left(wanted, judged, again=flags.again)
    print_notice(f"{len(judged)} of {len(wanted)} points are judged; {tables.time_left(len(todo), judged.values())}")
    try:
        session.try_points(
            points.together(todo, flags.together, retried=flags.retried),
            lambda group: runner.run(group, flags.seed),
            keep,
            lambda sentence: print(sentence, flush=True),
            longest_s=flags.minutes * _MINUTE_S or None,
            clock=time.monotonic,
        )
    finally:
        found = list(judged.values())
        print("\n".join([*tables.points(found), "", *tables.summary(found, strikes.left_out(), tried)]))
    return int(outcomes.misses_bar(tried))


def require_retry(strikes: Strikes, together: int) -> None:
    """Make sure that a run can be retried, and is.

    Raises:
        BadInput: each point has a run of its own.
        Unsupported: Argo's program is not here.
    """
    if together == 1:
        raise BadInput("RETRIED needs TOGETHER, the most points of one run, such as TOGETHER=8.")
    if not strikes.can_retry:
        raise Unsupported(f"RETRIED needs `{ARGO}` on PATH, which makes a Retry.")


def _wanted(flags: ChaosFlags, strikes: Strikes, visits: int) -> list[Point]:
    """The points of the matrix, in their order."""
    steps = points.steps_of(build_template().to_dict())
    drawn = points.draw(steps, strikes.possible(), visits, flags.seed)
    wanted = points.chosen(drawn, flags.only)[: flags.points]
    if not wanted:
        first = ", ".join(point.name for point in drawn[:3])
        raise BadInput(f"ONLY is {flags.only!r}, which fits no point: the first ones are {first}.")
    return wanted


if __name__ == "__main__":
    sys.exit(printing(lambda: program.exit_code(chaos, _INTERRUPTED)))
