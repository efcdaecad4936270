"""Inside the lab's box: the local engine walks the very template that Argo gets."""

import signal
from datetime import UTC, datetime
from types import FrameType

from rich.console import Console

from analysis.errors import Unfit
from steps.plan import expected_s, make
from steps.settings import Settings
from workflows.benchmark import NAME, build
from workflows.local.display import Display
from workflows.local.engine import Engine
from workflows.local.nodes import UNSUCCESSFUL, Outcome
from workflows.request import Request
from workflows.words import duration

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
    console = Console()
    console.print(_beforehand(settings), highlight=False)
    outcome, stopped = _walk(request, settings, console)
    for name in REFUSING:
        for node in outcome.find(name):
            if node.phase in UNSUCCESSFUL:
                raise KeyboardInterrupt if stopped else Unfit(node.message)
    from workflows.answers import announce  # noqa: PLC0415 - not before, for the run's time is for measuring

    return announce(settings.results, outcome.name, console, "" if stopped else _first_failure(outcome))


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


def _walk(request: Request, settings: Settings, console: Console) -> tuple[Outcome, bool]:
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
    )

    def stop(_signal: int, _frame: FrameType | None) -> None:
        engine.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    with display:
        return engine.run(), engine.is_stopped
