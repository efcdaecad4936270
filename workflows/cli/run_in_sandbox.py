"""The run inside the lab's sandbox: the local engine runs the template that Argo gets."""

import contextlib
import os
import signal
import time
from datetime import UTC, datetime
from types import FrameType

from analysis import memory
from analysis.console.commands import report_command
from analysis.console.documents import aside
from analysis.console.notices import print_notice
from analysis.console.terminal import Terminal, suppress_output_errors
from analysis.errors import Unsupported
from analysis.formatting import count
from steps.catalogue.options import Settings
from steps.settings import environment
from steps.settings.schedule import make_schedule, planned_time
from steps.tasks.shared.step import RUN_FOLDER, run_id
from workflows.flags.run import RunFlags
from workflows.local.display.terminal import TerminalDisplay
from workflows.local.execution.engine import Engine
from workflows.local.semantics.nodes import UNSUCCESSFUL, WorkflowOutcome
from workflows.submission.status import REFUSING
from workflows.template.benchmark import NAME, build_template

PRELOADED = ("steps.measurement.trials", "steps.proof.wait", "steps.cluster.lab.adapter")
"""Imported once for all steps: what the steps between trials need. Only the last steps need charts and Parquet."""

ONE_REQUEST_S = 0.5
"""Signals so soon after each other are one request: a terminal that is closed sends SIGHUP by the kernel and by the
shell, and what ends a whole group, as `timeout` does, ends make and this program, to which make passes it on."""


def run_workflow(flags: RunFlags, settings: Settings) -> int:
    """Run the workflow and print the summary. Returns the exit code.

    Raises:
        Unsupported: the first steps refused the run; the sentence is theirs.
        KeyboardInterrupt: it was stopped before anything was measured.
    """
    console = aside(flags.format)
    with contextlib.suppress(BrokenPipeError):
        console.print(beforehand(settings))
        console.file.flush()
    # A terminal or pipe that fails later must not end the run.
    output = suppress_output_errors()
    code = _measure(flags, settings, console)
    if output.failure is not None:
        print_notice(
            f"{output.failure} The results are in the run's report: type `{report_command(settings.results)}`."
        )
    return code


def _measure(flags: RunFlags, settings: Settings, console: Terminal) -> int:
    outcome, stopped = _walk(flags, settings, console)
    for name in REFUSING:
        for node in outcome.find(name):
            if node.phase in UNSUCCESSFUL:
                raise KeyboardInterrupt if stopped else Unsupported(node.message)
    name, why = run_id(outcome.name, outcome.uid), "" if stopped else _first_failure(outcome)
    if (limit := memory.shortage()) is not None:
        console.print(f"{limit[0].upper()}{limit[1:]}.", soft_wrap=True)
        console.print(
            f"What was measured is stored; then type `{report_command(settings.results, name)}`.", soft_wrap=True
        )
        return 1
    from workflows.cli.tables.summary_table import print_result  # noqa: PLC0415 - not imported while the run measures

    return print_result(settings.results, name, flags.format, why)


def _first_failure(outcome: WorkflowOutcome) -> str:
    """The first step that failed, with its message; empty if none did."""
    return next((f"{node.template}: {node.message}" for node in outcome.failures if node.message), "")


def beforehand(settings: Settings) -> str:
    """What will be measured and how long it will take, before it starts."""
    visits = make_schedule(settings)
    amounts = ((len(settings.dataplanes), "dataplane"), (settings.rounds, "round"), (len(visits[0].trials), "trial"))
    return (
        f"{' x '.join(count(*amount) for amount in amounts)} at most: "
        f"{planned_time(settings).sentence} on a quiet machine (profile {settings.profile}, seed {settings.seed})"
    )


def _walk(flags: RunFlags, settings: Settings, console: Terminal) -> tuple[WorkflowOutcome, bool]:
    """Run the workflow; returns its outcome, and whether a signal stopped it.

    The first signal stops it as `argo stop` does, a second one as `argo terminate` does.
    """
    requested_s = -ONE_REQUEST_S
    planned = planned_time(settings)
    display = TerminalDisplay(console, planned.expected_s, planned.rounds[1] * len(settings.dataplanes))
    engine = Engine(
        build_template(),
        arguments=flags.arguments(settings),
        results=settings.results,
        name=f"{NAME}-{datetime.now(UTC):%Y%m%d-%H%M%S}",
        listener=display,
        env=flags.surroundings(settings),
        preload=PRELOADED,
        uid=os.environ.pop(environment.WORKFLOW_UID, ""),
        run_folder=RUN_FOLDER,
    )

    def stop(number: int, _frame: FrameType | None) -> None:
        if engine.has_ended:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        nonlocal requested_s
        if (now_s := time.monotonic()) - requested_s >= ONE_REQUEST_S:
            requested_s = now_s
            engine.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    with display:
        outcome = engine.run()
    # From here on a signal ends the program at once, even inside a library's code.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    return outcome, engine.stops > 0
