"""Which dataplane, on which path, at what price: measure it by an Argo workflow, store it, query it, report it."""

import signal
from typing import Final

from cyclopts import App, CycloptsError

from analysis import memory
from analysis.console.notices import print_notice
from analysis.console.terminal import Terminal, UnwritableError, printing
from analysis.errors import INTERRUPTED, BadInput, Problem, Unsupported
from analysis.store.storage.storage_errors import resource_error
from steps.measurement.subprocesses import search_everywhere

VERBS: Final = {
    "run": ("run:run", "Measure on this machine, by the Argo workflow itself, and write the report."),
    "plan": (
        "plan:print_plan",
        "Print what a run would measure, in which order and how long it would take; change nothing.",
    ),
    "preflight": ("plan:print_findings", "Print what this machine lacks for a run, and the remedy; change nothing."),
    "configure": (
        "cluster:configure",
        "Switch a cluster's dataplane, as the workflow's step does; a second call changes nothing.",
    ),
    "settle": ("cluster:settle", "Wait until a cluster's dataplane is proven on each measured node; print the proof."),
    "restore": ("cluster:restore", "Restore a cluster to its state before a run, no matter who changed it."),
    "deploy": (
        "deployment:deploy",
        "Deploy the benchmark to a cluster that has Argo Workflows; a second call changes nothing.",
    ),
    "submit": (
        "deployment:submit",
        "Start a run on a cluster where the benchmark is deployed, and watch it to its end.",
    ),
    "undeploy": ("deployment:undeploy", "Delete from a cluster what deploy created, but not the results."),
    "import": (
        "imports:import_results",
        "Read what iperf3, knb and k8s-netperf measured into the store, as environment imported:NAME.",
    ),
    "report": ("results:report_again", "Write the report of a stored run again, and print its summary."),
    "compare": ("compare:compare", "Compare two runs, or all runs of two labels, and write the comparison's page."),
    "site": (
        "site:write_site",
        "Write static pages of a whole store, or bring them up to date: what each night found.",
    ),
    "query": ("results:print_answer", "Query the store; without SQL or question, list its views and its questions."),
    "shell": ("results:open_shell", "Open an SQL prompt over the store's views."),
}
"""The function of each verb, and its help. It is imported when the verb is called: `--help` needs none of them."""

_INTERRUPTIBLE: Final = frozenset({"run", "plan", "preflight"})
"""Verbs that SIGINT ends at once: they have nothing to clean up. The run itself handles signals once it has started."""

_MEASURING: Final = frozenset({"run", "submit"})
"""Verbs that may have measured something when a resource runs out; of all others no exit code says so."""

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
for _verb, (_function, _help) in VERBS.items():
    app.command(f"workflows.cli.{_function}", name=_verb, help=_help)


def main(argv: list[str]) -> int:
    """Run one verb; every error ends as a sentence on standard error and an exit code."""
    search_everywhere()
    memory.spare_addresses()
    return printing(lambda: _run(argv))


def _run(argv: list[str]) -> int:
    if argv[:1] and argv[0] not in _INTERRUPTIBLE:
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
        return _fail("Interrupted.", INTERRUPTED)
    except (OSError, MemoryError, ImportError, RuntimeError) as error:
        if (sentence := resource_error(error)) is None:
            raise
        return _fail(sentence, (Problem if argv[:1] and argv[0] in _MEASURING else Unsupported).exit_code)
    return code if isinstance(code, int) else 0


def _fail(sentence: str, code: int) -> int:
    print_notice(sentence)
    return code
