"""A figure of the runs A against that of the runs B: the row of a comparison of runs, and its sentences."""

from dataclasses import dataclass
from typing import Literal

from analysis.flags import NO_DOUBT, FlagEffect
from analysis.stats.path_metric import PathMetric
from analysis.stats.verdicts.comparison import Verdict

Basis = Literal["visits", "nights", "history"]
"""What the noise of a contrast is taken from: the visits of one run a side; the runs of a side, of which there are
several; or how far nights of the environment scatter. `visits` says nothing of how one moment differs from another."""

Outcome = Literal["better", "worse", "same", "undecided"]
"""The verdict by what is wanted of the metric."""


@dataclass(frozen=True, slots=True)
class Contrast(PathMetric):
    """A figure of a dataplane in the runs B against the same figure in the runs A.

    Attributes:
        dataplane: whose figure it is, by its name in A.
        against: the baseline to which it is relative; None: it is the figure itself.
        verdict: of B against A: higher or lower where the interval leaves zero out; same where it does not and lies
            within the margin; undecided otherwise, also where there is no interval.
        margin_ratio: how much counts as the same, on the scale of `change`.
        runs: how many runs of A and of B have the figure.
        visits: how many visits, or rounds for a relative figure, of A and of B it rests on.
        a, b: the figure in A and in B, in `unit`; relative to a baseline as the difference to it (0.41: 41 % more);
            like all that follow None where it is unknown.
        change: from A to B: a share, or points. Of a relative figure, of its ratio to the baseline.
        low, high: the ends of its interval.
        p_adjusted: the p-value, scaled to the family: below 0.05 exactly where the interval leaves zero out.
        basis: what the noise is taken from; None without an interval.
        reason: why there is no interval.
        doubt: the effect of flags on either side.
    """

    dataplane: str
    against: str | None
    verdict: Verdict
    margin_ratio: float
    runs: tuple[int, int] = (0, 0)
    visits: tuple[int, int] = (0, 0)
    a: float | None = None
    b: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    p_adjusted: float | None = None
    basis: Basis | None = None
    reason: str | None = None
    doubt: FlagEffect = NO_DOUBT

    @property
    def different(self) -> bool:
        """Whether the two sides differ."""
        return self.verdict in {"higher", "lower"}

    @property
    def gain(self) -> bool | None:
        """Whether B is better than A; None where no difference was found."""
        return self.verdict == self.better if self.different else None

    @property
    def outcome(self) -> Outcome:
        """The verdict by what is wanted of the metric."""
        if self.gain is None:
            return "same" if self.verdict == "same" else "undecided"
        return "better" if self.gain else "worse"

    @property
    def figures(self) -> str:
        """The two figures: `3.02 → 5.21 Gbit/s`, or `+41 % → +18 %` to the baseline."""
        if self.a is None or self.b is None:
            return ""
        return self.transition_text(self.a, self.b, self.against)

    @property
    def estimate(self) -> str:
        """The change and its interval, with a mark where flagged trials matter: `−16 % [−21, −12]†`."""
        if self.change is None or self.low is None or self.high is None:
            return ""
        return self.change_text(self.change, self.low, self.high) + self.doubt.mark

    @property
    def finding(self) -> str:
        """The result in a few words.

        `−16 % [−21, −12]`; `the same within 10 %: −2 % [−6, 3]`; `undecided, between −12 % and +40 %`.
        """
        if self.low is None or self.high is None:
            return f"undecided: {self.reason}{self.doubt.mark}"
        return self.finding_text(self.verdict, self.low, self.high, self.estimate, self.margin_ratio, self.doubt.mark)

    @property
    def answer(self) -> str:
        """The result, and how many trials are flagged."""
        return "; ".join(filter(None, [self.finding, self.doubt.sentence]))

    @property
    def subject(self) -> str:
        """Whose figure it is: `lab-ebpf`, or `lab-ebpf against lab-iptables`."""
        return self.dataplane if self.against is None else f"{self.dataplane} against {self.against}"

    @property
    def sentence(self) -> str:
        """The whole: `pod-to-service tcp: lab-ebpf against lab-iptables +41 % → +18 %, −16 % [−21, −12]`."""
        figures = f" {self.figures}" if self.figures else ""
        return f"{self.where}: {self.subject}{figures}, {self.answer}"
