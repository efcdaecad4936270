"""The first task of a visit: wait for its turn.

On its way through a run it waits for nothing, since visits are begun one after another. Argo's Retry begins all at once
that a Stop had kept from beginning, and it finds them by the pod of this task, which the Stop failed: a visit without
any failed pod would stay as it is. Where the visits then wait for each other is the mutex, which `stay` takes next.
"""

from typing import Final

from hera.workflows import models as m

from steps.tasks._pod import step
from steps.tasks._step import ends_in_a_sentence, say

TURN: Final = "dataplane-benchmark-visit"
"""The mutex that a visit holds while it is at work."""


def turn() -> m.Synchronization:
    """What a template says that may run in one visit at a time only."""
    return m.Synchronization(mutexes=[m.Mutex(name=TURN)])


@step("measure", deadline_s=300, synchronization=turn())
@ends_in_a_sentence
def begin(visit: str, dataplane: str) -> None:
    """Name the visit that begins."""
    say(f"visit {visit}, {dataplane}")
