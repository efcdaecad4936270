"""What a preflight's findings leave of a run: by this the run's step goes on or refuses, and so does `preflight`."""

from collections.abc import Iterable
from dataclasses import dataclass

from steps.catalogue.options import Settings
from steps.domain import Finding, Visit
from steps.settings.schedule import make_schedule, without_dataplanes


@dataclass(frozen=True, slots=True)
class Remainder:
    """The settings without what is left out, their visits, and the findings that refuse the run."""

    settings: Settings
    visits: tuple[Visit, ...]
    refusing: tuple[Finding, ...]

    @property
    def is_possible(self) -> bool:
        """Whether there is something to measure, and nothing refuses it."""
        return bool(self.visits) and not self.refusing


def remainder(settings: Settings, findings: Iterable[Finding]) -> Remainder:
    """What can be measured. Where no trial is left, there are no visits, and what is left out is the reason."""
    found = tuple(findings)
    possible = without_dataplanes(settings, {finding.subject for finding in found if finding.severity == "skip"})
    planned = make_schedule(possible)
    visits = planned if any(visit.trials for visit in planned) else ()
    refusing = {"stop"} if visits else {"stop", "skip"}
    return Remainder(possible, visits, tuple(one for one in found if one.severity in refusing))
