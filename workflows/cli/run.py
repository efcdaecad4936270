"""The verb run: check the flags and the store, then run the workflow in the lab's sandbox."""

import os
import signal
import sys
import uuid
from typing import TYPE_CHECKING

from analysis.console.commands import report_command
from analysis.console.notices import print_notice
from analysis.errors import BadInput, Problem
from steps.catalogue.environments import is_lab
from steps.cluster.lab import sandbox
from steps.measurement.subprocesses import signal_name
from steps.settings import environment
from steps.settings.environment import make_command
from workflows.flags.run import RunFlags

if TYPE_CHECKING:
    from analysis.store.store import Store

_REQUESTS: frozenset[int] = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""Signals by which a user ends a program on purpose."""


def run(flags: RunFlags | None = None) -> int:
    """Measure, store, report and print the summary. Returns the exit code; raises Problem for bad input."""
    flags = flags or RunFlags()
    settings = flags.settings()
    if not is_lab(settings.environment):
        raise BadInput(
            f"this command measures the lab on this machine, not {settings.environment!r}: on a cluster the run is a "
            f"workflow: type `{make_command('submit', settings.environment)}`, where the benchmark is deployed."
        )
    if sandbox.is_inside():
        from workflows.cli.run_in_sandbox import run_workflow  # noqa: PLC0415 - an error in the flags should not wait for the engine

        return run_workflow(flags, settings)
    from analysis import memory  # noqa: PLC0415 - likewise
    from workflows.cli import uncollected  # noqa: PLC0415 - likewise
    from workflows.cli.opened_store import open_for_run  # noqa: PLC0415 - likewise

    store = open_for_run(settings.results, as_owner=flags.as_owner)
    if why := memory.shortage():
        print_notice(f"Beware: {why}. The run is measured and stored all the same.")
    for earlier in uncollected.collect_all(store, print_notice):
        print_notice(f"`{report_command(settings.results, earlier.run_id)}` writes its report.")
    uid = str(uuid.uuid4())
    argv = [sys.executable, "-m", "workflows", "run", *flags.argv(settings)]
    ended = sandbox.start_in_sandbox(argv, {**os.environ, environment.WORKFLOW_UID: uid}, hold_interrupts=True)
    if ended.signal is not None:
        print_notice(_after_signal(store, uid, ended.signal))
    return ended.exit_code


def _after_signal(store: "Store", uid: str, number: int) -> str:
    """After a signal ended the run or its sandbox: what is stored of it, and the command that continues."""
    from workflows.cli import uncollected  # noqa: PLC0415 - as above

    name = signal_name(number)
    by = name if number in _REQUESTS else f"{name}: killed by another process, or out of memory"
    try:
        run_id, is_stored = uncollected.run_of_workflow(store, uid)
    except Problem as problem:
        return f"The run was ended by {by}. What is left of it can't be read: {problem}"
    if run_id is None:
        return f"The run was ended by {by}, before its first visit: nothing was measured."
    command = report_command(store.url, run_id)
    if is_stored:
        return f"The run {run_id} is stored; its summary was interrupted by {by}. `{command}` writes it again."
    return (
        f"The run was ended by {by}. What was measured is kept in {store.location(f'raw/{run_id}')}; `{command}` "
        "collects it and writes its report."
    )
