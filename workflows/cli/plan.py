"""The verbs plan and preflight: what a run would do here, and what is missing for it."""

import sys
from collections.abc import Iterator
from functools import cache
from itertools import groupby

from rich.table import Table

from analysis.console.documents import PrintableDocument, grid_of, print_document
from analysis.console.terminal import Terminal
from analysis.domain import FIRST_LOOK
from analysis.formatting import count, duration
from steps.catalogue.environments import is_lab
from steps.catalogue.factors import varied
from steps.catalogue.options import Settings
from steps.cluster import connect_cluster
from steps.cluster.lab import sandbox
from steps.domain import Trial, Visit
from steps.settings import operator_cost
from steps.settings.schedule import make_schedule, planned_time
from workflows.cli import plan_document
from workflows.flags.run import RunFlags

_COLUMNS = ("visit", "round", "dataplane", "trials in their order")


def print_plan(flags: RunFlags | None = None) -> int:
    """Print the visits in their order with their trials. Returns 0; raises BadInput."""
    flags = flags or RunFlags()
    settings = flags.settings()
    visits, notes = make_schedule(settings), list(_planned(settings))
    rows = [(str(v.visit), str(v.round), v.dataplane, _trials(v, settings)) for v in visits]

    def text(console: Terminal) -> None:
        table = Table(*_COLUMNS, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        for sentence in notes:
            console.print(sentence, soft_wrap=True)

    made = cache(lambda: plan_document.plan_document(settings, visits, planned_time(settings), notes))
    document = PrintableDocument(
        model=made,
        grid=lambda: plan_document.plan_grid(made()),
        markdown=lambda: plan_document.plan_markdown(rows, _COLUMNS, notes),
        text=text,
    )
    print_document(document, flags.format)
    return 0


def _trials(visit: Visit, settings: Settings) -> str:
    """The trials of a visit in their order; where there are several scales, each behind the scale that it is at."""
    if len(settings.scales) == 1:
        return ", ".join(map(_described, visit.trials))
    names = varied(settings.scales)
    return "; ".join(
        f"{scale.words_of(names)}: {', '.join(map(_described, trials))}"
        for scale, trials in groupby(visit.trials, key=lambda trial: trial.scale)
    )


def _described(trial: Trial) -> str:
    return f"{trial.topology} {trial.variant.name} {trial.direction}"


def _planned(settings: Settings) -> Iterator[str]:
    """How long the run takes, and when it stops."""
    planned = planned_time(settings)
    sentence = planned.sentence
    yield f"{sentence[0].upper()}{sentence[1:]}, with seed {settings.seed}."
    if settings.remeasure_ratio:
        yield "That is on a quiet machine: on a busy one disturbed trials are measured again, which takes longer."
    if not is_lab(settings.environment) and (cost := operator_cost.sentence_of_plan(settings)) is not None:
        yield cost
    if len(settings.scales) > 1:
        order = "in random order" if is_lab(settings.environment) else "upwards and downwards in turn"
        yield (
            f"Each visit goes through {len(settings.scales)} scales of the cluster {order}: "
            f"{'; '.join(scale.words_of(varied(settings.scales)) for scale in settings.scales)}."
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
    """Print everything that prevents or disturbs a run here, with its remedy. Returns 0 if it can run, else 2.

    Raises:
        Problem: a run's results can't be stored at RESULTS.
    """
    flags = flags or RunFlags()
    settings = flags.settings()
    if is_lab(settings.environment) and not sandbox.is_inside():
        from workflows.cli.opened_store import open_for_run  # noqa: PLC0415 - a plan needs no store

        open_for_run(settings.results, as_owner=flags.as_owner, dry=True)
        return sandbox.run_in_sandbox(
            [sys.executable, "-m", "workflows", "preflight", *flags.argv(settings)], hold_interrupts=True
        )
    name = settings.environment
    if not is_lab(name):
        from workflows.deployment.deployed import use_deployment  # noqa: PLC0415 - a plan needs no cluster

        name = use_deployment(name)
    findings = connect_cluster(name, at_prompt=True).preflight(settings)
    document = plan_document.preflight_document(settings, findings)
    conclusion = _conclusion(document)

    def text(console: Terminal) -> None:
        for finding in findings:
            console.print(f"{finding.severity}: {finding.sentence}", soft_wrap=True)
        console.print(conclusion, soft_wrap=True)

    print_document(
        PrintableDocument(
            model=lambda: document,
            grid=lambda: grid_of(plan_document.FindingItem, document.findings),
            markdown=lambda: plan_document.preflight_markdown(document, conclusion),
            text=text,
        ),
        flags.format,
    )
    return 0 if document.possible else 2


def _conclusion(document: plan_document.PreflightDocument) -> str:
    if document.possible:
        return "A run can go on here."
    if any(finding.severity == "stop" for finding in document.findings):
        return "No run can go on here."
    return "No run can go on here: what is left out leaves nothing to measure."
