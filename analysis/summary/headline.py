"""The headline of a run, and a sentence like it for each metric."""

from collections.abc import Sequence

from analysis import formatting
from analysis.flags import MARKED, NO_DOUBT
from analysis.stats import metrics
from analysis.stats.comparison import Comparison
from analysis.stats.run import RunArm, StoredRun

CONTROL = "node-to-node"
"""The control path: it is the example of a sentence only where there is no other."""


def headline(about: StoredRun, comparisons: Sequence[Comparison], measured: int) -> str:
    """One sentence on the first leading metric that was measured."""
    if about.baseline is None or measured == 0:
        return "Nothing was measured, so there is no answer."
    if len(about.arms) == 1:
        return f"Only {about.baseline.title} was measured, so there is nothing to compare it with."
    for metric in metrics.LEADING:
        if sentence := metric_sentence(about, [c for c in comparisons if c.metric == metric.name]):
            return sentence
    return "No path was measured with two dataplanes, so there is no answer."


def metric_sentence(about: StoredRun, compared: Sequence[Comparison]) -> str | None:
    """One sentence on one metric; None without comparisons.

    For each dataplane it counts the paths with more and with less, and quotes the most certain of them with its
    interval, since a count alone hides how much. The other paths are counted where there is no difference on any.
    Flagged trials are counted in a sentence of their own.
    """
    claims: dict[str, list[RunArm]] = {}
    for arm in about.arms[1:]:
        if own := [c for c in compared if c.dataplane == arm.name and c.against_baseline]:
            claims.setdefault(_claim(own), []).append(arm)
    if about.baseline is None or not claims:
        return None
    parts = (
        f"{formatting.listing([arm.title for arm in arms])} {claim.replace('is ', 'are ', 1) if arms[1:] else claim}"
        for claim, arms in claims.items()
    )
    return f"Against {about.baseline.title}, {'; '.join(parts)}.{_flagged(compared)}"


def _flagged(compared: Sequence[Comparison]) -> str:
    """A sentence on the flagged trials, each counted once; empty where there are none."""
    sides = {(c.path, c.dataplane): c.doubt for c in compared} | {
        (c.path, c.baseline): c.baseline_doubt for c in compared
    }
    whole = sum(sides.values(), NO_DOUBT)
    return f" {MARKED} {whole.sentence}." if whole.mark else ""


def _claim(compared: Sequence[Comparison]) -> str:
    """The predicate of a sentence about one dataplane, in the singular."""
    metric = metrics.BY_NAME[compared[0].metric]
    phrases: list[str] = []
    for verdict, claim in (("higher", metric.more), ("lower", metric.less)):
        if found := [c for c in compared if c.verdict == verdict]:
            # Between hosts no dataplane is involved, so a difference there is no example of one.
            clearest = max(found, key=lambda c: (c.topology != CONTROL, _surest(c)))
            example = clearest.estimate if len(compared) == 1 else f"{clearest.path} {clearest.estimate}"
            phrases.append(f"{claim}{_extent(len(found), len(compared), phrases)} ({example})")
    if phrases:
        return formatting.listing(phrases)
    if same := [c for c in compared if c.verdict == "same"]:
        margin = formatting.percent(same[0].margin_ratio, sign=False) + same[0].points
        phrases.append(f"is the same within {margin}{_extent(len(same), len(compared), phrases)}")
    if open_ := [c for c in compared if not c.decided]:
        why = next((c.reason for c in open_ if c.reason), None)
        cause = f" ({why})" if why and len(open_) == len(compared) else ""
        phrases.append(f"is undecided{_extent(len(open_), len(compared), phrases)}{cause}")
    return formatting.listing(phrases)


def _extent(number: int, total: int, before: Sequence[str]) -> str:
    """On how many paths: in full the first time, then as a number, and omitted for a single path."""
    if total == 1:
        return ""
    if before:
        return f" on {number}"
    return f" on all {total} paths" if number == total else f" on {number} of {total} paths"


def _surest(comparison: Comparison) -> float:
    """The distance of the interval from no difference."""
    if comparison.low is None or comparison.high is None:
        return 0.0
    return comparison.low if comparison.verdict == "higher" else -comparison.high
