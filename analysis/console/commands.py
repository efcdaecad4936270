"""Commands to type, for messages that advise one."""

import os
import shlex
from typing import Final

RESULTS_OWNER: Final = "BENCHMARK_RESULTS_OWNER"
"""The variable of a process that uses the results as their owner would; see `analysis.store.storage.owner`."""


def report_command(results: str, run_id: str = "") -> str:
    """The command that writes the report of a run again, and first collects a killed one."""
    run = f" RUN={shlex.quote(run_id)}" if run_id else ""
    return f"make report{run}{_reached(results)}"


def question_command(results: str, question: str) -> str:
    """The command that asks a store one of the questions."""
    return f"make query QUESTION={shlex.quote(question)}{_reached(results)}"


def continue_command(results: str, run_id: str, rounds: int, context: str = "") -> str:
    """The command that measures so many more rounds of a run and judges all together.

    `context`: of the cluster; empty: the lab on this machine.
    """
    verb = f"submit CONTEXT={shlex.quote(context)}" if context else "run"
    return f"make {verb} CONTINUES={shlex.quote(run_id)} ROUNDS={rounds}{'' if context else _place(results)}"


def _reached(results: str) -> str:
    owner = " AS_OWNER=1" if RESULTS_OWNER in os.environ else ""
    return f"{_place(results)}{owner}"


def _place(results: str) -> str:
    return "" if results == "results" else f" RESULTS={shlex.quote(results)}"
