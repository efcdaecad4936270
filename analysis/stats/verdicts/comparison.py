"""One dataplane against another, on one path, by one metric: the figures, the verdict and the sentence."""

from dataclasses import dataclass
from typing import Literal

from analysis.flags import NO_DOUBT, FlagEffect
from analysis.stats.path_metric import PathMetric

Verdict = Literal["higher", "lower", "same", "undecided"]


@dataclass(frozen=True, slots=True)
class Comparison(PathMetric):
    """A dataplane against another in one cell.

    `low` and `high` are the ends of the one interval that is ever shown: in 95 % of runs all intervals of its family
    hold the truth together.

    Attributes:
        baseline: the dataplane that is compared with: the run's baseline, or between two others the earlier one in the
            run's order.
        dataplane: the dataplane that is compared.
        verdict: higher or lower where the interval leaves zero out; same where it does not and lies within the margin;
            undecided otherwise, also where there is no interval.
        rounds: in how many both were measured, which the interval rests on.
        margin_ratio: how much counts as the same, on the scale of `change`.
        against_baseline: whether `baseline` is the run's baseline.
        within_margin: whether the interval lies within the margin; a difference can be both real and as small as that.
        baseline_value: the mean of `baseline` over these rounds, so that it agrees with `change`, in `unit`; without a
            difference over all its visits. Like all that follow None where it is unknown.
        value: that of `dataplane`.
        change: the difference (scale ratio: 0.72 is 72 % more; scale points: in `unit`).
        low, high: the ends of its interval.
        p_adjusted: the p-value, scaled to the family: below 0.05 exactly where the interval leaves zero out.
        reason: why there is no interval.
        doubt, baseline_doubt: the effect of flags on `value` and on `baseline_value`.
    """

    baseline: str
    dataplane: str
    verdict: Verdict
    rounds: int
    margin_ratio: float
    against_baseline: bool = True
    within_margin: bool = False
    baseline_value: float | None = None
    value: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    p_adjusted: float | None = None
    reason: str | None = None
    doubt: FlagEffect = NO_DOUBT
    baseline_doubt: FlagEffect = NO_DOUBT

    @property
    def doubts(self) -> FlagEffect:
        """The effect of flags on both sides together."""
        return self.baseline_doubt + self.doubt

    @property
    def outcome(self) -> Literal["different", "same", "undecided"]:
        """The verdict without the direction."""
        match self.verdict:
            case "higher" | "lower":
                return "different"
            case verdict:
                return verdict

    @property
    def decided(self) -> bool:
        """Whether more rounds are not needed."""
        return self.verdict != "undecided"

    @property
    def gain(self) -> bool | None:
        """Whether the difference is an improvement; None where none was found."""
        return self.verdict == self.better if self.outcome == "different" else None

    @property
    def figures(self) -> str:
        """The two means: `3.02 → 5.21 Gbit/s`."""
        if self.baseline_value is None or self.value is None:
            return ""
        return self.transition_text(self.baseline_value, self.value)

    @property
    def estimate(self) -> str:
        """The difference and its interval, with a mark where flagged trials matter: `+72 % [65, 80]†`."""
        if self.change is None or self.low is None or self.high is None:
            return ""
        return self.change_text(self.change, self.low, self.high) + self.doubts.mark

    @property
    def answer(self) -> str:
        """The result in a few words.

        `+24 % [12, 36]`; `the same within 10 %: −2 % [−6, 3]`; `undecided, between −12 % and +40 %`.
        """
        flagged = f"; {self.doubts.sentence}" if self.doubts.mark else ""
        if self.low is None or self.high is None:
            return f"undecided: {self.reason}{flagged}"
        mark = self.doubts.mark
        found = self.finding_text(self.verdict, self.low, self.high, self.estimate, self.margin_ratio, mark)
        return f"{found}{flagged}"

    @property
    def sentence(self) -> str:
        """The whole: `pod-to-service tcp: lab-ebpf 3.02 → 5.21 Gbit/s, +72 % [65, 80]`."""
        figures = f" {self.figures}" if self.figures else ""
        against = "" if self.against_baseline else f" against {self.baseline}"
        return f"{self.where}: {self.dataplane}{against}{figures}, {self.answer}"
