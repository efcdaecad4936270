"""The verbs plan and preflight: what a run would do here, and what is missing for it."""

import sys
from collections.abc import Iterator

from rich.table import Table

from analysis.console.terminal import Terminal
from analysis.domain import FIRST_LOOK
from analysis.formatting import count, duration
from steps.catalogue.environments import is_lab
from steps.catalogue.options import Settings
from steps.cluster import connect_cluster
from steps.cluster.lab import sandbox
from steps.settings.schedule import make_schedule, planned_time
from workflows.flags.run import RunFlags


def print_plan(flags: RunFlags | None = None) -> int:
    """Print the visits in their order with their trials. Returns 0; raises BadInput."""
    settings = (flags or RunFlags()).settings()
    visits = make_schedule(settings)
    table = Table("visit", "round", "dataplane", "trials in their order", box=None, pad_edge=False)
    for visit in visits:
        trials = ", ".join(f"{t.topology} {t.variant.name} {t.direction}" for t in visit.trials)
        table.add_row(str(visit.visit), str(visit.round), visit.dataplane, trials)
    console = Terminal()
    console.print(table)
    for sentence in _planned(settings):
        console.print(sentence, soft_wrap=True)
    return 0


def _planned(settings: Settings) -> Iterator[str]:
    """How long the run takes, and when it stops."""
    planned = planned_time(settings)
    sentence = planned.sentence
    yield f"{sentence[0].upper()}{sentence[1:]}, with seed {settings.seed}."
    if not is_lab(settings.environment):
        yield (
            "Where the Tigera operator installed Calico, it replaces calico-node on every node at each switch: "
            f"{planned_time(settings, by_operator=True).sentence} with two nodes, more with more."
        )
    least, _, most = planned.rounds
    if least < most:
        yield (
            f"From round {FIRST_LOOK} on, dataplanes that are decided on every path are not visited again, and the run "
            "stops when all are."
        )
    if settings.budget_s is not None and most < min(settings.rounds, FIRST_LOOK):
        yield (
            f"A budget of {duration(settings.budget_s)} is enough for {count(most, 'round')}, and a verdict takes "
            f"{FIRST_LOOK} at least: raise it, or choose fewer dataplanes or paths."
        )


def print_findings(flags: RunFlags | None = None) -> int:
    """Print everything that prevents or disturbs a run here, with its remedy. Returns 0 if it can run, else 2."""
    flags = flags or RunFlags()
    settings = flags.settings()
    if is_lab(settings.environment) and not sandbox.is_inside():
        return sandbox.run_in_sandbox(
            [sys.executable, "-m", "workflows", "preflight", *flags.argv(settings)], hold_interrupts=True
        )
    name = settings.environment
    if not is_lab(name):
        from workflows.deployment.deployed import use_deployment  # noqa: PLC0415 - a plan needs no cluster

        name = use_deployment(name)
    findings = connect_cluster(name, at_prompt=True).preflight(settings)
    console = Terminal()
    for finding in findings:
        console.print(f"{finding.severity}: {finding.sentence}", soft_wrap=True)
    stopped = any(finding.severity == "stop" for finding in findings)
    if not stopped:
        console.print("A run can go on here.")
    return 2 if stopped else 0
