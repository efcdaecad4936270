"""Commands to type, for messages that advise one."""

import os
import shlex
from typing import Final

RESULTS_OWNER: Final = "BENCHMARK_RESULTS_OWNER"
"""The variable of a process that uses the results with the rights of their owner; see `analysis.store.owner`."""


def report_command(results: str, run_id: str = "") -> str:
    """The command that writes the report of a run again, and first collects a killed one."""
    run = f" RUN={shlex.quote(run_id)}" if run_id else ""
    place = "" if results == "results" else f" RESULTS={shlex.quote(results)}"
    owner = " AS_OWNER=1" if RESULTS_OWNER in os.environ else ""
    return f"make report{run}{place}{owner}"
