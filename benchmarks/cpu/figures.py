"""The calibration in figures: how far each measure of CPU time is from lost progress, by cell. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from analysis.stats.estimates.intervals import mean_interval
from benchmarks.cpu.accounts import MEASURES

AGREE_POINTS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Pair:
    """One trial by the kernel's accounts and by lost progress, both less the idle windows of its visit.

    Attributes:
        offered_bps: None: as fast as it goes.
        lost: share of all cores.
        busy: the share by each measure, with cores that are kept from halting.
        halting: what is saved where cores may halt, by `1 - idle`.
        conditions: what was received in each condition, and how often it switched between programs, in words.
    """

    dataplane: str
    protocol: str
    offered_bps: float | None
    lost: float
    busy: Mapping[str, float]
    halting: float
    conditions: tuple[str, ...] = ()

    @property
    def cell(self) -> tuple[str, str, str]:
        """Dataplane, protocol and rate."""
        rate = "unlimited" if self.offered_bps is None else f"{self.offered_bps / 1e9:g} Gbit/s"
        return self.dataplane, self.protocol, rate


def table(pairs: Sequence[Pair]) -> list[str]:
    """A row for each cell: lost progress, and how far each measure is from it in points, with a 95 % interval."""
    cells = _by_cell(pairs)
    names = [name for name in MEASURES if any(name in pair.busy for pair in pairs)]
    heads = "".join(f"{name:>22}" for name in (*names, "halting saves"))
    lines = [f"{'dataplane':14}{'trial':20}{'pairs':>5}{'lost, %':>9}{heads}"]
    for (dataplane, protocol, rate), found in cells.items():
        lost = 100 * sum(pair.lost for pair in found) / len(found)
        points = [_points(found, name) for name in names] + [[100 * pair.halting for pair in found]]
        figures = "".join(f"{_interval(each):>22}" for each in points)
        lines.append(f"{dataplane:14}{f'{protocol} {rate}':20}{len(found):5}{lost:9.1f}{figures}")
    return lines


def _by_cell(pairs: Sequence[Pair]) -> dict[tuple[str, str, str], list[Pair]]:
    cells: dict[tuple[str, str, str], list[Pair]] = {}
    for pair in pairs:
        cells.setdefault(pair.cell, []).append(pair)
    return cells


def _points(pairs: Sequence[Pair], name: str) -> list[float]:
    return [100 * (pair.busy[name] - pair.lost) for pair in pairs if name in pair.busy]


def _interval(points: Sequence[float]) -> str:
    interval = mean_interval(points)
    if interval is None:
        return f"{points[0]:+.1f}" if points else "-"
    return f"{interval.mean:+.1f} [{interval.low:+.1f}, {interval.high:+.1f}]"


def verdicts(pairs: Sequence[Pair]) -> list[str]:
    """A sentence for each measure: in how many cells its mean agrees with lost progress, and where it is worst."""
    cells = _by_cell(pairs)
    sentences = []
    for name, what in MEASURES.items():
        means = {cell: sum(p) / len(p) for cell, found in cells.items() if (p := _points(found, name))}
        if not means:
            sentences.append(f"{name}: not known on this machine ({what})")
            continue
        agreeing = sum(abs(mean) <= AGREE_POINTS for mean in means.values())
        worst = max(means, key=lambda cell: abs(means[cell]))
        sentences.append(
            f"{name}: within {AGREE_POINTS:g} points in {agreeing} of {len(means)} cells; "
            f"worst {means[worst]:+.1f} points, {' '.join(worst)} ({what})"
        )
    return sentences
