"""Inside the lab's sandbox: the local engine walks the very template that Argo gets."""

import contextlib
import os
import signal
import sys
from datetime import UTC, datetime
from types import FrameType

from analysis import memory
from analysis.console.commands import report_command
from analysis.console.notices import print_notice
from analysis.console.terminal import Terminal, suppress_output_errors
from analysis.errors import Unsupported
from analysis.formatting import duration
from steps.catalogue.options import Settings
from steps.settings import environment
from steps.settings.schedule import expected_s, make_schedule
from steps.tasks._step import RUN_FOLDER, run_id
from workflows.flags.run import RunFlags
from workflows.local.display.terminal import TerminalDisplay
from workflows.local.execution.engine import Engine
from workflows.local.semantics.nodes import UNSUCCESSFUL, WorkflowOutcome
from workflows.template.benchmark import NAME, build_template

PRELOADED = ("steps.measurement.trials", "steps.proof.wait", "steps.cluster.lab")
"""Loaded once for all steps: what those need that are between trials. Charts and Parquet are for the last ones only."""

REFUSING = ("validate", "preflight")
"""A run that ends in one of these measured nothing: the input was bad or the machine can't."""


def measure(request: RunFlags, settings: Settings) -> int:
    """Walk the workflow and say what it found. Returns the exit code.

    Raises:
        Unsupported: the machine can't, as the run's own first steps found.
        KeyboardInterrupt: it was stopped in these steps, before anything was measured.
    """
    console = Terminal()
    with contextlib.suppress(BrokenPipeError):
        console.print(_beforehand(settings))
        sys.stdout.flush()
    # An output that fails later stops no run: what it measures is worth more than what it prints.
    output = suppress_output_errors()
    code = _measure(request, settings, console)
    if output.failure is not None:
        print_notice(
            f"{output.failure} What the run came to is in its report: type `{report_command(settings.results)}`."
        )
    return code


def _measure(request: RunFlags, settings: Settings, console: Terminal) -> int:
    outcome, stopped = _walk(request, settings, console)
    for name in REFUSING:
        for node in outcome.find(name):
            if node.phase in UNSUCCESSFUL:
                raise KeyboardInterrupt if stopped else Unsupported(node.message)
    name, why = run_id(outcome.name, outcome.uid), "" if stopped else _first_failure(outcome)
    if (limit := memory.shortage()) is not None:
        _say_without_report(settings.results, name, f"{limit[0].upper()}{limit[1:]}.", console)
        return 1
    from workflows.cli.summary_table import print_result  # noqa: PLC0415 - not before, for the run's time is for measuring

    return print_result(settings.results, name, console, why)


def _say_without_report(results: str, name: str, limit: str, console: Terminal) -> None:
    console.print(limit, soft_wrap=True)
    console.print(f"What was measured is kept; then type `{report_command(results, name)}`.", soft_wrap=True)


def _first_failure(outcome: WorkflowOutcome) -> str:
    """The step that failed before all others, and what it said; empty where none did."""
    return next((f"{node.template}: {node.message}" for node in outcome.failures if node.message), "")


def _beforehand(settings: Settings) -> str:
    """What will be measured and how long it will take, before it starts."""
    visits = make_schedule(settings)
    trials = sum(len(visit.trials) for visit in visits)
    return (
        f"{len(settings.dataplanes)} dataplanes x {settings.rounds} rounds x {trials // len(visits)} trials "
        f"= {trials} trials: about {duration(expected_s(settings))} (profile {settings.profile}, seed {settings.seed})"
    )


def _walk(request: RunFlags, settings: Settings, console: Terminal) -> tuple[WorkflowOutcome, bool]:
    """Walk the workflow; what came of it, and whether a signal stopped it.

    The first signal stops it as `argo stop` does, a second one ends it at once.
    """
    display = TerminalDisplay(console, expected_s(settings))
    engine = Engine(
        build_template(),
        arguments=request.arguments(settings),
        repository=settings.results,
        name=f"{NAME}-{datetime.now(UTC):%Y%m%d-%H%M%S}",
        listener=display,
        env=request.surroundings(settings),
        preload=PRELOADED,
        uid=os.environ.pop(environment.WORKFLOW_UID, ""),
        run_folder=RUN_FOLDER,
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
    return outcome, engine.stops > 0
