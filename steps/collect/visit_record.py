"""The documents of one visit, read together: what failed, what was proven, and how busy the idle nodes were."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from analysis.errors import Problem
from steps import documents
from steps.domain import Moment, Proof, Trial, Visit
from steps.measurement import results
from steps.measurement.monitors import monitor
from steps.proof import evaluate, scale
from steps.settings import turn_order
from steps.strict_model import StrictModel
from steps.tools.iperf3.iperf3 import IperfReport

D = TypeVar("D", bound=StrictModel)

_CHANGES: Final = f"{turn_order.SCALE}/{documents.CHANGES}"

_DISTURBED: Final = "foreign-cpu"
"""The flag of what others disturbed."""


@dataclass(frozen=True, slots=True)
class VisitRecord:
    """A visit and its documents; None: missing. `faults`: why a document can't be used, by its name.

    `references`: of the host network, in the order measured. `doubt`: why the whole run ended early, if known.
    `went_on`: whether the visit continued after its last trial.
    """

    visit: Visit
    configure: documents.Configure | None
    settle: documents.Evidence | None
    prepare: documents.Prepare | None
    clear: documents.Evidence | None
    references: tuple[documents.CanaryDocument, ...]
    scales: documents.Scales | None = None
    faults: dict[str, str] = field(default_factory=dict)
    doubt: str | None = None
    went_on: bool = False

    @property
    def reached(self) -> bool:
        """Whether the run began this visit."""
        return bool(self.faults) or any((self.configure, self.settle, self.prepare, self.clear, self.references))

    @property
    def blocked(self) -> str | None:
        """Why the visit's trials could not begin, as a sentence; None if they could."""
        for name, document in (
            (documents.CONFIGURE, self.configure),
            (documents.SETTLE, self.settle),
            (documents.PREPARE, self.prepare),
        ):
            if name in self.faults:
                return self.faults[name]
            if document is not None and document.error is not None:
                return f"{self.visit.dataplane}: {name.removesuffix('.json')} failed: {document.error}"
        return None

    @property
    def error(self) -> str | None:
        """Why the visit failed, as a sentence; None if it did not."""
        if not self.reached:
            return self.doubt or "the run ended before this visit"
        if self.blocked is not None:
            return self.blocked
        if self.clear is not None and self.clear.error is not None:
            return f"{self.visit.dataplane}: clear failed: {self.clear.error}"
        return next(iter(self.faults.values()), None)

    @property
    def scale_changes(self) -> tuple[documents.ScaleChange, ...]:
        """The first scale, and each change of it; empty in older runs."""
        first = self.prepare.scale if self.prepare is not None else None
        return (*((first,) if first is not None else ()), *(self.scales.changes if self.scales is not None else ()))

    def unproven(self, trial: Trial) -> str | None:
        """Why a trial's dataplane or scale is not proven, a clause; None: both are, or its run is older than scales."""
        if (proof := self.proof).state != "proven":
            return f"the dataplane is {proof.state}, {proof.reason}"
        if _CHANGES in self.faults:
            return self.faults[_CHANGES]
        changes = self.scale_changes
        return scale.fault(changes, trial.scale, trial.position) if changes else None

    @property
    def proof(self) -> Proof:
        """The proof from the evidence of both moments; one moment alone proves nothing."""
        before = _weigh(self.settle, self.visit, "before")
        after = _weigh(self.clear, self.visit, "after", self.settle.proven_at if self.settle is not None else None)
        observed = before.observed if before.observed == after.observed else None
        for state in ("disproven", "unproven"):
            for moment, found in (("before the first trial", before), ("after the last trial", after)):
                if found.state == state:
                    return Proof(state=found.state, observed=observed, reason=f"{moment}: {found.reason}")
        reason = evaluate.replaced(*(found.signs if found is not None else () for found in (self.settle, self.clear)))
        return Proof(state="disproven" if reason else "proven", observed=observed, reason=reason)

    def canary(self, moment: Moment) -> documents.CanaryDocument | None:
        """The reference before the first trial, or after the last one."""
        return next((reference for reference in self.references if reference.moment == moment), None)

    def canary_bps(self, moment: Moment) -> float | None:
        """Throughput of a canary, bit/s; None: unknown."""
        canary = self.canary(moment)
        return _bps(canary) if canary is not None else None

    def host_network_bps(self, turn: int | None, flags: Sequence[str]) -> float | None:
        """Throughput of the host network beside a trial, bit/s; None: unknown.

        It is the mean of the last reference before the trial and the first after it, as far as these are near. A
        reference that others disturbed counts only beside a trial that they disturbed as well, which is flagged.
        `turn`: None where it is unknown.
        """
        if turn is None:
            return None
        known = [
            (reference.turn - turn, bps)
            for reference in self.references
            if reference.turn is not None
            and abs(reference.turn - turn) <= turn_order.LAB_TRIALS_BETWEEN
            and (_DISTURBED in flags or _DISTURBED not in reference.flags)
            and (bps := _bps(reference)) is not None
        ]
        before, after = [each for each in known if each[0] < 0], [each for each in known if each[0] > 0]
        beside = [*sorted(before)[-1:], *sorted(after)[:1]]
        return sum(bps for _, bps in beside) / len(beside) if beside else None

    def baseline_ratio(self, foreign_cpu_ratio: float | None) -> dict[str, float]:
        """How busy each node would have been during a trial with nothing sent, from its idle readings.

        Where others share the machine, their load is taken from the trial and not from the idle readings; otherwise a
        trial on a loaded machine would seem to cost nothing. `foreign_cpu_ratio`: the load of others during the trial;
        None: unknown, or nobody shares the node.
        """
        canary = self.canary("before")
        if canary is None:
            return {}
        shift = 0.0
        if foreign_cpu_ratio is not None and canary.idle_foreign_cpu_ratio is not None:
            shift = foreign_cpu_ratio - canary.idle_foreign_cpu_ratio
        ratios = {node: monitor.busy_ratio(r[0], r[-1]) for node, r in canary.idle.items() if r}
        return {node: ratio + shift for node, ratio in ratios.items() if ratio is not None}

    @property
    def idle_doubts(self) -> frozenset[str]:
        """The flags of the idle readings: they cast doubt on figures from which the baseline is subtracted."""
        canary = self.canary("before")
        windows = canary.idle.values() if canary is not None else ()
        return frozenset(flag for r in windows if r for flag in monitor.window_flags(r[0], r[-1]))


def _weigh(
    evidence: documents.Evidence | None, visit: Visit, moment: Moment, proven_at: datetime | None = None
) -> Proof:
    if evidence is None:
        return Proof(state="unproven", observed=None, reason=f"{visit.dataplane} was not looked at")
    signs = [sign for sign in evidence.signs if sign.moment == moment]
    found = evaluate.evaluate(evaluate.without_earlier_restarts(signs, proven_at), visit.dataplane, evidence.nodes)
    if found.state == "proven" or evidence.error is None:
        return found
    return found.model_copy(update={"reason": evidence.error})


def read_visit(directory: Path, visit: Visit, doubt: str | None, late: documents.Evidence | None = None) -> VisitRecord:
    """Read the documents of a visit.

    `doubt`: why the run ended early, if known. `late`: evidence after the last trial, taken by restore. It counts
    instead of clear.json, which Argo's Retry writes anew when another dataplane runs.
    """
    faults: dict[str, str] = {}

    def document(name: str, kind: type[D]) -> D | None:
        try:
            found = documents.read_document(directory / name, kind)
            _hold_to(visit, name, found)
        except FileNotFoundError:
            return None
        except Problem as problem:
            faults[name] = str(problem)
            return None
        return found

    names = [
        *documents.CANARIES,
        *(f"{turn_order.HOST_NETWORK}/{documents.trial_name(n)}" for n in range(1, len(visit.trials) + 2)),
    ]
    references = [document(name, documents.CanaryDocument) for name in names]
    clear = document(documents.CLEAR, documents.Evidence)
    prepare = document(documents.PREPARE, documents.Prepare)
    if late is not None and _precedes(late, prepare):
        late = None
    return VisitRecord(
        visit=visit,
        configure=document(documents.CONFIGURE, documents.Configure),
        settle=document(documents.SETTLE, documents.Evidence),
        prepare=prepare,
        clear=late or clear,
        scales=document(_CHANGES, documents.Scales),
        references=tuple(reference for reference in references if reference is not None),
        faults=faults,
        doubt=doubt,
        went_on=clear is not None,
    )


def _precedes(late: documents.Evidence, prepare: documents.Prepare | None) -> bool:
    """Whether evidence is from before the visit's servers were there: a Retry began the visit again."""
    if prepare is None or prepare.prepared_at is None:
        return False
    return all(sign.at < prepare.prepared_at for sign in late.signs)


def _hold_to(visit: Visit, name: str, document: StrictModel) -> None:
    """Raise Problem where a document is of another visit, or of another moment of it."""
    of_visit = getattr(document, "visit", visit.visit)
    if of_visit != visit.visit:
        raise Problem(f"{name} is of visit {of_visit}, not of visit {visit.visit}")
    if isinstance(document, documents.CanaryDocument):
        last = f"{turn_order.HOST_NETWORK}/{documents.trial_name(len(visit.trials) + 1)}"
        first = f"{turn_order.HOST_NETWORK}/{documents.trial_name(1)}"
        moments = documents.CANARIES | {first: "before", last: "after"}
        if document.moment != moments.get(name, "between"):
            raise Problem(f"{name} is the reference {document.moment} the trials")


def _bps(reference: documents.CanaryDocument) -> float | None:
    found = results.read_canary(reference.attempt) if reference.attempt is not None else None
    return found.received_bps if isinstance(found, IperfReport) else None
