"""Commands to type, for messages that advise one."""

import shlex


def report_command(results: str, run_id: str = "") -> str:
    """The command that writes the report of a run again, and first collects a killed one."""
    run = f" RUN={shlex.quote(run_id)}" if run_id else ""
    place = "" if results == "results" else f" RESULTS={shlex.quote(results)}"
    return f"make report{run}{place}"
