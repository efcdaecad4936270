"""The first task of a visit, which waits for its turn, and the last one of a visit that failed.

Within a run the first never waits, since visits begin one after another. Argo's Retry, however, begins all visits at
once that a Stop had kept from beginning, and finds them by this task's failed pod; they then wait here for the mutex.
"""

from typing import Final

from hera.workflows import models as m

from steps.tasks.shared.pod import step
from steps.tasks.shared.step import log

TURN: Final = "dataplane-benchmark-visit"
"""The mutex of the visit at work."""


def turn() -> m.Synchronization:
    """The synchronization of a template that may run for one visit at a time."""
    return m.Synchronization(mutexes=[m.Mutex(name=TURN)])


@step("measure", deadline_s=300, synchronization=turn())
def begin(visit: str, dataplane: str) -> None:
    """Print which visit begins."""
    log(f"visit {visit}, {dataplane}")


@step("measure", deadline_s=300)
def end(visit: str, dataplane: str) -> None:
    """Print which visit failed; while it runs, Argo releases the visit's mutex."""
    log(f"visit {visit}, {dataplane}, has ended with a failure")
