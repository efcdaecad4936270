"""Which dataplane, on which path, at what price: measure it by an Argo workflow, store it, ask it, report it."""

import signal
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from analysis import memory
from analysis.console.notices import print_notice
from analysis.console.terminal import Terminal, UnwritableError, printing
from analysis.errors import BadInput, Problem
from analysis.store.storage_errors import resource_error
from steps.measurement.subprocesses import search_everywhere
from workflows.flags.deploy import Context, DeployFlags
from workflows.flags.run import RunFlags, SubmitFlags

app = App(
    name="python -m workflows",
    help=__doc__,
    help_epilogue="Exit codes: 0 measured, 1 measured with failures, 2 bad input or a machine that can't, "
    "130 interrupted before anything ran, or when all was stored; 137 killed.",
    version_flags=[],
    console=Terminal(),
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)

_AT_ONCE = frozenset({"run", "plan", "preflight"})
"""Verbs that have nothing to put in order when they are interrupted: a run, once it runs, takes signals itself."""

Environment = Annotated[str, Parameter(help="The name under which the cluster's figures are kept.")]
Dataplane = Annotated[str, Parameter(help="Such as ebpf; `run --help` names them all.")]
DryRun = Annotated[bool, Parameter(help="Print the kubectl lines that it amounts to, and change nothing.", negative="")]
Results = Annotated[str, Parameter(help="The store: a folder, file:// or s3://.")]


@app.command
def run(request: RunFlags | None = None) -> int:
    """Measure on this machine, by the Argo workflow itself, and write the report."""
    from workflows.cli.run import run as run_here  # noqa: PLC0415 - --help should not wait for the engine

    return run_here(request or RunFlags())


@app.command
def plan(request: RunFlags | None = None) -> int:
    """Say what a run would measure, in which order and how long it would take; change nothing."""
    from workflows.cli.plan import print_plan  # noqa: PLC0415

    return print_plan(request or RunFlags())


@app.command
def preflight(request: RunFlags | None = None) -> int:
    """Say what this machine lacks for a run, and what would mend it; change nothing."""
    from workflows.cli.plan import print_findings  # noqa: PLC0415

    return print_findings(request or RunFlags())


@app.command
def configure(*, environment: Environment, dataplane: Dataplane, dry_run: DryRun = False) -> int:
    """Switch a cluster's dataplane, as the workflow's step does; a second call changes nothing."""
    from workflows.cli import cluster  # noqa: PLC0415

    return cluster.configure(environment, dataplane, dry_run=dry_run)


@app.command
def settle(*, environment: Environment, dataplane: Dataplane) -> int:
    """Wait until a cluster's dataplane is proven on each measured node, and say by what."""
    from workflows.cli import cluster  # noqa: PLC0415

    return cluster.settle(environment, dataplane)


@app.command
def restore(*, environment: Environment, dry_run: DryRun = False) -> int:
    """Put a cluster back as it was before a run, no matter who changed it."""
    from workflows.cli import cluster  # noqa: PLC0415

    return cluster.restore(environment, dry_run=dry_run)


@app.command
def deploy(asked: Annotated[DeployFlags | None, Parameter(name="*")] = None) -> int:
    """Put the benchmark onto a cluster that has Argo Workflows; a second time changes nothing."""
    from workflows.deployment.deploy import deploy as put  # noqa: PLC0415

    return put(asked or DeployFlags())


@app.command
def submit(asked: SubmitFlags | None = None) -> int:
    """Start a run on a cluster where the benchmark is deployed, and watch it to its end."""
    from workflows.submission.submit import submit as start  # noqa: PLC0415

    return start(asked or SubmitFlags())


@app.command
def undeploy(*, context: Context = "") -> int:
    """Take away from a cluster what deploy brought, but not the results."""
    from workflows.deployment.undeploy import undeploy as take_away  # noqa: PLC0415

    return take_away(context)


@app.command
def report(
    *,
    run: Annotated[str, Parameter(help="The run's name; the latest if empty.")] = "",
    results: Results = "results",
) -> int:
    """Write the report of a stored run again, and say what it says."""
    from workflows.cli.results import report_again  # noqa: PLC0415

    return report_again(results, run or None)


@app.command
def query(
    *,
    sql: Annotated[str, Parameter(help="A statement over the views runs, visits, trials, samples, measurements.")] = "",
    question: Annotated[str, Parameter(help="A question that is kept as a file, such as trend.")] = "",
    results: Results = "results",
) -> int:
    """Ask the store; without SQL or question, list the views and the questions it knows."""
    from workflows.cli.results import print_answer  # noqa: PLC0415

    if sql and question:
        raise BadInput("--sql and --question exclude each other: give one of them.")
    return print_answer(results, sql, question)


@app.command
def shell(*, results: Results = "results") -> int:
    """Open an SQL prompt over the store's views."""
    from workflows.cli.results import open_shell  # noqa: PLC0415

    return open_shell(results)


def main(argv: list[str]) -> int:
    """Run one verb; whatever goes wrong ends as a sentence on standard error and an exit code."""
    search_everywhere()
    memory.spare_addresses()
    return printing(lambda: _verb(argv))


def _verb(argv: list[str]) -> int:
    if argv[:1] and argv[0] not in _AT_ONCE:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = app(argv)
    except CycloptsError as error:
        return _fail(f"{error} Type `python -m workflows --help`.", BadInput.exit_code)
    except (UnwritableError, BrokenPipeError):
        raise
    except Problem as problem:
        return _fail(str(problem), problem.exit_code)
    except KeyboardInterrupt:
        return _fail("Interrupted.", 130)
    except (OSError, MemoryError, ImportError, RuntimeError) as error:
        if (sentence := resource_error(error)) is None:
            raise
        return _fail(sentence, Problem.exit_code)
    return code if isinstance(code, int) else 0


def _fail(sentence: str, code: int) -> int:
    print_notice(sentence)  # where there is nobody to say it to, the exit code must do
    return code
