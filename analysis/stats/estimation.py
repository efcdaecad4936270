"""The estimates of a metric's comparisons in one run, from their differences. Pure."""

from collections.abc import Mapping, Sequence

from analysis.stats import moderation
from analysis.stats.differences import Block, Differences
from analysis.stats.moderation import Estimate, Key

Compared = Mapping[Key, Differences]


def estimate_all(
    found: Compared, earlier: Sequence[Compared], resolution: float, order: Mapping[Block, int] | None
) -> dict[Key, Estimate]:
    """The estimate of each comparison.

    Comparisons with the baseline share their noise with each other, those between others with their like. Where a value
    is zero a comparison has only its own.

    Args:
        found: of the run.
        earlier: of comparable earlier nights.
        resolution: of the metric.
        order: of the rounds of a run that looked after each; None where it did not. A dataplane that was not visited
            again is judged as it was when that was decided: by the noise that was known after its last round.
    """
    alone = {key: one for key, one in found.items() if one.scale == "share"}
    estimates = {key: moderation.own_estimate(one.values, resolution) for key, one in alone.items()}
    sharing = {key: one for key, one in found.items() if key not in alone}
    nights = [{key: one.values for key, one in night.items() if one.scale != "share"} for night in earlier]
    last = {key: max(order[block] for block in one.blocks) if order else 0 for key, one in sharing.items()}
    for end in set(last.values()):
        until = {key: one.until(end, order) if order else one.values for key, one in sharing.items()}
        then = moderation.estimate_differences(until, nights, resolution)
        estimates |= {key: estimate for key, estimate in then.items() if last[key] == end}
    return estimates
