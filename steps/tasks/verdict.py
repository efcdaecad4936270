"""Last task of a run; its status decides the workflow's. The report is written before."""

from dataclasses import dataclass

from steps.tasks.shared.artifacts import Outputs
from steps.tasks.shared.pod import step
from steps.tasks.shared.step import fail, log


@dataclass(frozen=True, kw_only=True)
class VerdictResult(Outputs):
    """The run's result in a sentence."""

    verdict: str


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
    # Not an exception, which would leave no output.
    return VerdictResult(exit_code=1, verdict=bad)
