"""Last task of a run; its status decides the workflow's. The report is written before."""

from typing import Annotated

from hera.workflows import Parameter
from hera.workflows.io import Output

from steps.tasks.shared.pod import step
from steps.tasks.shared.step import fail, log


class VerdictResult(Output):
    """The run's result in a sentence."""

    verdict: Annotated[str, Parameter(name="verdict")]


@step("measure", deadline_s=300)
def verdict(headline: str, outcome: str, regression: str) -> VerdictResult:
    """Fail where a trial failed, since a green run is taken for a complete one, or where something regressed."""
    bad = ""
    if outcome != "measured":
        missing = "Not everything was measured: the report lists each failure with its reason."
        bad = " ".join(filter(None, (regression, headline, missing)))
    elif regression:
        bad = f"{regression} The report lists every change."
    if not bad:
        log(headline)
        return VerdictResult(verdict=headline)
    fail(bad)
    # Not an exception, with which the output would stay empty.
    return VerdictResult(exit_code=1, verdict=bad)
