"""The last task: its colour is the run's. The report is out by then, whatever it says."""

from analysis.errors import Problem
from steps.tasks.common import ends_in_a_sentence, say
from steps.tasks.pod import step


@step("measure", deadline_s=300)
@ends_in_a_sentence
def verdict(headline: str, outcome: str, regression: str) -> str:
    """The headline; fails when a trial failed, for a run that is green is taken for a whole one, or by a regression."""
    if outcome != "measured":
        missing = "Not everything was measured: the report lists each failure with its reason."
        raise Problem(" ".join(filter(None, (regression, headline, missing))))
    if regression:
        raise Problem(f"{regression} The report lists every change.")
    say(headline)
    return headline
