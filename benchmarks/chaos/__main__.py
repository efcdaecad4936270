"""Runs that are struck at every step by every fault, on a real cluster: `make chaos`.

Prints a line for each point, then the table of all points and the bar; ends with 1 if the bar is missed. Outcomes are
added to a file, and the same command goes on after those that are there.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cyclopts import App, CycloptsError, Parameter

from analysis.console.notices import print_notice
from analysis.console.terminal import printing
from analysis.errors import BadInput, Problem
from analysis.store.store import Store
from benchmarks.chaos import commands, outcomes, points
from benchmarks.chaos.runner import Runner
from benchmarks.chaos.strikes import Strikes
from steps.cluster.kube.adapter import KubernetesCluster
from workflows.deployment.deployed import use_deployment
from workflows.deployment.namespaces import OWN, find_namespace
from workflows.deployment.user_client import UserClient
from workflows.flags.run import SubmitFlags
from workflows.submission import submit
from workflows.template.benchmark import build_template

PATIENCE_S: Final = 600.0
"""For the API server to answer again: longer than any fault keeps it away."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `make chaos`.

    Attributes:
        points: how many points are tried at most.
        faults: the file with the user's commands.
        only: a pattern of the points' names, such as `terminate@*`.
        seed: of the order, the visits and the delays.
        outcomes: the file that outcomes are added to.
        dataplanes: of each run.
        context: of the kubeconfig; the current one if empty.
        namespace: where the benchmark is deployed; found if empty.
        results: the store; the deployment's if empty.
    """

    points: int = 200
    faults: Path | None = None
    only: str = ""
    seed: int = 1
    outcomes: Path = Path("chaos.jsonl")
    dataplanes: str = "ebpf,ebpf-dsr"
    context: str = ""
    namespace: str = ""
    results: str = ""


_DEFAULTS: Final = Flags()


def chaos(flags: Flags = _DEFAULTS) -> int:
    """Try the points; 1 if the bar is missed.

    Raises:
        BadInput: a flag, the file of commands or the file of outcomes is invalid.
        Unsupported: the benchmark is not deployed there.
        Problem: the cluster can't be reached, or is not as it was before a run.
    """
    client = UserClient.of(flags.context, flags.namespace or OWN, patience_s=PATIENCE_S)
    client.namespace = flags.namespace or find_namespace(client) or OWN
    strikes = Strikes(client, commands.read_commands(flags.faults))
    asked = SubmitFlags(profile="smoke", dataplanes=flags.dataplanes, duration="1", rounds="1", label="chaos")
    settings = submit.checked_settings(client, asked)
    steps = points.steps_of(build_template().to_dict())
    drawn = points.draw(steps, strikes.possible(), len(settings.dataplanes), flags.seed)
    wanted = points.chosen(drawn, flags.only)[: flags.points]
    if not wanted:
        raise BadInput(f"ONLY is {flags.only!r}, which fits no point: the first ones are {_first(drawn)}.")
    names = {point.name for point in wanted}
    done = {o.point: o for o in outcomes.read(flags.outcomes) if o.seed == flags.seed and o.point in names}
    store = Store(flags.results or settings.results)
    put_back = KubernetesCluster(use_deployment(client.context), at_prompt=True).restore_for_user
    runner = Runner(client, store, strikes, asked.form("submitted"), put_back, print_notice)
    for point in wanted:
        if point.name not in done:
            done[point.name] = found = runner.run(point, flags.seed)
            outcomes.append(flags.outcomes, found)
            print(f"{point.name}: {'; '.join(found.misses) or 'kept'}", flush=True)
    judged = list(done.values())
    print("\n".join([*outcomes.table(judged), "", *outcomes.summary(judged, strikes.left_out())]))
    return int(any(outcome.misses for outcome in judged))


def _first(drawn: list[points.Point]) -> str:
    return ", ".join(point.name for point in drawn[:3])


def main() -> int:
    """The program: its exit code, with a sentence for whatever ends it."""
    app = App(exit_on_error=False, print_error=False, result_action="return_value")
    app.default(chaos)
    try:
        return int(app(sys.argv[1:]) or 0)
    except CycloptsError as error:
        print_notice(str(error))
        return BadInput.exit_code
    except Problem as problem:
        print_notice(str(problem))
        return problem.exit_code


if __name__ == "__main__":
    sys.exit(printing(main))
