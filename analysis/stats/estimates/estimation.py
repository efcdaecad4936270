"""The estimates of a metric's comparisons in one run, from their differences. Pure."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from analysis.stats.estimates import moderation
from analysis.stats.estimates.differences import Block, Differences
from analysis.stats.estimates.moderation import Estimate, Key

DifferencesByKey = Mapping[Key, Differences]


def estimate_all(
    found: DifferencesByKey, earlier: Sequence[DifferencesByKey], resolution: float, order: Mapping[Block, int] | None
) -> dict[Key, Estimate]:
    """The estimate of each comparison of a run, whose rounds are in this order if it looked after each.

    Comparisons with the baseline share their noise with each other, those between others with their like. Where a value
    is zero a comparison has only its own. A dataplane that was not visited again is judged as it was when that was
    decided: by the noise that was known after its last round.

    `earlier`: of comparable earlier nights. `resolution`: of the metric.
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
    shift = _shift_between_runs(sharing.values())
    return {key: _shifted(one, found[key], shift) for key, one in estimates.items()} if shift > 0 else estimates


def _shift_between_runs(found: Iterable[Differences]) -> float:
    """The variance of a difference from run to run, beyond that from round to round; 0 for rounds of a single run.

    What a run has of its own, as a pod on another core, stays the same in all its rounds, so that they know less of the
    truth than as many rounds of several runs. By an analysis of variance of each comparison, pooled over all.
    """
    components = []
    for one in found:
        runs = _by_run(one)
        count, freedom = len(one.blocks), len(one.blocks) - len(runs)
        if len(runs) > 1 and freedom > 0:
            mean = statistics.fmean(one.values)
            inside = sum((v - statistics.fmean(own)) ** 2 for own in runs for v in own) / freedom
            between = sum(len(own) * (statistics.fmean(own) - mean) ** 2 for own in runs) / (len(runs) - 1)
            rounds = (count - sum(len(own) ** 2 for own in runs) / count) / (len(runs) - 1)
            components.append((between - inside) / rounds)
    return max(statistics.fmean(components), 0.0) if components else 0.0


def _shifted(estimate: Estimate, found: Differences, shift: float) -> Estimate:
    """The estimate with the variance of the mean of its runs' shifts added."""
    share = sum(len(own) ** 2 for own in _by_run(found)) / len(found.blocks) ** 2
    return replace(estimate, standard_error=math.sqrt(estimate.standard_error**2 + shift * share))


def _by_run(found: Differences) -> list[list[float]]:
    runs: dict[str, list[float]] = defaultdict(list)
    for (run, _), value in zip(found.blocks, found.values, strict=True):
        runs[run].append(value)
    return list(runs.values())
