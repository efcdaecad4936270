"""The last task: its colour is the run's. The report is out by then, whatever it says."""

from typing import Annotated

from hera.workflows import Parameter
from hera.workflows.io import Output

from steps.tasks._pod import step
from steps.tasks._step import ends_in_a_sentence, fail, say


class VerdictResult(Output):
    """What the run says, in a sentence."""

    verdict: Annotated[str, Parameter(name="verdict")]


@step("measure", deadline_s=300)
@ends_in_a_sentence
def verdict(headline: str, outcome: str, regression: str) -> VerdictResult:
    """The headline; fails when a trial failed, for a run that is green is taken for a whole one, or by a regression."""
    bad = ""
    if outcome != "measured":
        missing = "Not everything was measured: the report lists each failure with its reason."
        bad = " ".join(filter(None, (regression, headline, missing)))
    elif regression:
        bad = f"{regression} The report lists every change."
    if not bad:
        say(headline)
        return VerdictResult(verdict=headline)
    fail(bad)
    # Not an exception: a step that raises leaves its output empty, and the sentence is wanted there, too.
    return VerdictResult(exit_code=1, verdict=bad)
