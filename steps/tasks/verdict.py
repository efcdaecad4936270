"""The last task: its colour is the run's. The report is out by then, whatever it says."""

from hera.workflows import script

from analysis.errors import Problem
from steps.tasks.common import ends_in_a_sentence, say


@script(constructor="runner")
@ends_in_a_sentence
def verdict(headline: str, outcome: str) -> str:
    """The headline; fails when a trial failed, for a run that is green is taken for a whole one."""
    if outcome != "measured":
        raise Problem(f"{headline} Not everything was measured: the report lists each failure with its reason.")
    say(headline)
    return headline
