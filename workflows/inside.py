"""Inside the lab's box: the local engine walks the very template that Argo gets."""

import contextlib
import os
import signal
import sys
from datetime import UTC, datetime
from types import FrameType

from analysis import memory
from analysis.aside import say_aside
from analysis.commands import report_command
from analysis.errors import Unfit
from analysis.terminal import Terminal, outlast_standard_output
from analysis.words import duration
from steps import variables
from steps.plan import expected_s, make
from steps.settings import Settings
from steps.tasks.common import RUN_FOLDER, run_id
from workflows.benchmark import NAME, build
from workflows.local.display import Display
from workflows.local.engine import Engine
from workflows.local.nodes import UNSUCCESSFUL, Outcome
from workflows.request import Request

PRELOADED = ("steps.measure", "steps.settle", "steps.cluster.lab")
"""Loaded once for all steps: what those need that are between trials. Charts and Parquet are for the last ones only."""

REFUSING = ("validate", "preflight")
"""A run that ends in one of these measured nothing: the input was bad or the machine can't."""


def measure(request: Request, settings: Settings) -> int:
    """Walk the workflow and say what it found. Returns the exit code.

    Raises:
        Unfit: the machine can't, as the run's own first steps found.
        KeyboardInterrupt: it was stopped in these steps, before anything was measured.
    """
    console = Terminal()
    with contextlib.suppress(BrokenPipeError):
        console.print(_beforehand(settings))
        sys.stdout.flush()
    # An output that fails later stops no run: what it measures is worth more than what it prints.
    output = outlast_standard_output()
    code = _measure(request, settings, console)
    if output.failure is not None:
        say_aside(f"{output.failure} What the run came to is in its report: type `{report_command(settings.results)}`.")
    return code


def _measure(request: Request, settings: Settings, console: Terminal) -> int:
    outcome, stopped = _walk(request, settings, console)
    for name in REFUSING:
        for node in outcome.find(name):
            if node.phase in UNSUCCESSFUL:
                raise KeyboardInterrupt if stopped else Unfit(node.message)
    name, why = run_id(outcome.name, outcome.uid), "" if stopped else _first_failure(outcome)
    if (limit := memory.too_little()) is not None:
        _say_without_report(settings.results, name, f"{limit[0].upper()}{limit[1:]}.", console)
        return 1
    from workflows.answers import announce  # noqa: PLC0415 - not before, for the run's time is for measuring

    return announce(settings.results, name, console, why)


def _say_without_report(results: str, name: str, limit: str, console: Terminal) -> None:
    console.print(limit, soft_wrap=True)
    console.print(f"What was measured is kept; then type `{report_command(results, name)}`.", soft_wrap=True)


def _first_failure(outcome: Outcome) -> str:
    """The step that failed before all others, and what it said; empty where none did."""
    return next((f"{node.template}: {node.message}" for node in outcome.failures if node.message), "")


def _beforehand(settings: Settings) -> str:
    """What will be measured and how long it will take, before it starts."""
    visits = make(settings)
    trials = sum(len(visit.trials) for visit in visits)
    return (
        f"{len(settings.dataplanes)} dataplanes x {settings.rounds} rounds x {trials // len(visits)} trials "
        f"= {trials} trials: about {duration(expected_s(settings))} (profile {settings.profile}, seed {settings.seed})"
    )


def _walk(request: Request, settings: Settings, console: Terminal) -> tuple[Outcome, bool]:
    """Walk the workflow; what came of it, and whether a signal stopped it.

    The first signal stops it as `argo stop` does, a second one ends it at once.
    """
    display = Display(console, expected_s(settings))
    engine = Engine(
        build(),
        arguments=request.arguments(settings),
        repository=settings.results,
        name=f"{NAME}-{datetime.now(UTC):%Y%m%d-%H%M%S}",
        listener=display,
        env=request.surroundings(settings),
        preload=PRELOADED,
        uid=os.environ.pop(variables.WORKFLOW_UID, ""),
        holds=RUN_FOLDER,
    )

    def stop(number: int, _frame: FrameType | None) -> None:
        if engine.has_ended:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        engine.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    with display:
        outcome = engine.run()
    # From here on a signal ends the program as it ends any other, even one that is stuck in a library's code.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    return outcome, engine.is_stopped
