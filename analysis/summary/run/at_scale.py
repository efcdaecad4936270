"""What the scale does to each dataplane, in words: a sentence for each figure, the surest change first. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from analysis import formatting
from analysis.metrics import BY_NAME
from analysis.metrics.metric import shown_unit
from analysis.stats import scales
from analysis.stats.verdicts.curves import Bend, Curve
from analysis.stats.verdicts.judgement import SHARES
from analysis.summary.run.summary import Summary

_AS_FACTOR: Final = 1.0
"""A change from here on is written as a factor: ×3 instead of +200 %."""

_NOT_MEASURED: Final = "not measured"

Tone = Literal["better", "worse", "same", "undecided"]


@dataclass(frozen=True, slots=True)
class CurveLine:
    """A curve in words.

    Attributes:
        title: of the dataplane.
        curve: the curve.
        figures: its first and its last value: `39 → 912 µs`; empty where one is missing.
        answer: the change between them, and from where on: `×23 [22, 25], from 1 000 Services on`.
        tone: whether that is better or worse, nothing, or unknown.
    """

    title: str
    curve: Curve
    figures: str
    answer: str
    tone: Tone

    @property
    def values(self) -> tuple[str, ...]:
        """Its value at each scale."""
        unit = shown_unit(self.curve.unit, self.curve.scale)
        return tuple(formatting.quantity(point.value, unit) + point.doubt.mark for point in self.curve.values)


@dataclass(frozen=True, slots=True)
class CurveGroup:
    """The curves of all dataplanes by one metric on one path along one factor.

    Attributes:
        where: the metric, the path, and what is fixed of other factors.
        sentence: all of it in one.
        scales: the values of the factor: `0`, `1 000`, `10 000 Services`.
        lines: one a dataplane.
    """

    where: str
    sentence: str
    scales: tuple[str, ...]
    lines: tuple[CurveLine, ...]


def groups_of(summary: Summary) -> list[CurveGroup]:
    """The curves of a run, by the titles of its answer."""
    sides = summary.answer.sides if summary.answer else ()
    return group_curves(summary.curves, {side.name: side.title for side in sides})


def group_curves(curves: Iterable[Curve], titles: Mapping[str, str]) -> list[CurveGroup]:
    """The curves in groups: leading metrics first, and of these the surest change; `titles`: by dataplane."""
    found: dict[tuple[str, str, str, str], list[Curve]] = {}
    paths: dict[str, set[str]] = {}
    for curve in curves:
        found.setdefault((curve.metric, curve.path, curve.factor, curve.fixed), []).append(curve)
        paths.setdefault(curve.metric, set()).add(curve.path)
    ordered = sorted(
        found.values(), key=lambda own: (not BY_NAME[own[0].metric].has_first_curve, -max(map(_surest, own)))
    )
    return [_group(own, titles, several_paths=len(paths[own[0].metric]) > 1) for own in ordered]


def first_sentence(groups: Iterable[CurveGroup]) -> str:
    """The sentence of the surest change; empty without curves."""
    return next((group.sentence for group in groups), "")


def confidence(groups: Iterable[CurveGroup]) -> str:
    """What the intervals of all curves claim together; empty without any."""
    known = [point for group in groups for line in group.lines for point in line.curve.values if point.low is not None]
    if not known:
        return ""
    return (
        f"In {SHARES}, {formatting.count(len(known), 'interval')} of changes with the scale hold together, and "
        "so does from where on a figure changes. Between two measured scales nothing is known."
    )


def _group(curves: list[Curve], titles: Mapping[str, str], *, several_paths: bool) -> CurveGroup:
    one = max(curves, key=lambda curve: len(curve.values))
    lines = tuple(_line(curve, titles.get(curve.dataplane, curve.dataplane)) for curve in curves)
    fixed = f", with {one.fixed}," if one.fixed else ""
    where = f" on {one.path}" if several_paths else ""
    first, last = (scales.number(one.values[place].at) for place in (0, -1))
    answers = {line.answer for line in lines}
    same = answers.pop() if len(answers) == 1 and lines[1:] else ""
    each = "" if same else " ({})"
    said = [f"{line.figures or _NOT_MEASURED} in {line.title}{each.format(line.answer)}" for line in lines]
    subject = f"From {first} to {last} {one.along.many}{fixed} {BY_NAME[one.metric].curve}"
    return CurveGroup(
        where=f"{one.path}, {one.metric_title}{fixed.rstrip(',')}",
        sentence=f"{subject} {formatting.listing(said)}{where}{f': {same}' if same else ''}.",
        scales=(*(scales.number(point.at) for point in one.values[:-1]), scales.amount(one.along, one.last.at)),
        lines=lines,
    )


def _line(curve: Curve, title: str) -> CurveLine:
    first, last = curve.values[0].value, curve.last.value
    figures = "" if first is None or last is None else curve.transition_text(first, last)
    return CurveLine(title, curve, figures, _answer(curve), _tone(curve))


def _answer(curve: Curve) -> str:
    """The change from the first scale to the last, and from where on."""
    last, margin = curve.last, formatting.percent(curve.margin_ratio, sign=False)
    if last.change is None or last.low is None or last.high is None:
        return f"undecided: {last.reason or 'it was not measured at both ends'}"
    mark = curve.doubts.mark
    if bend := curve.bend:
        return f"{_change(curve, last.change, last.low, last.high)}{mark}, {_where(curve, bend)}"
    if last.is_same(curve.margin_ratio, curve.scale):
        return f"the same within {margin}{curve.points}{mark}"
    return f"undecided, {formatting.between(last.low, last.high)}{curve.points}{mark}"


def _change(curve: Curve, change: float, low: float, high: float) -> str:
    if curve.scale == "ratio" and change >= _AS_FACTOR:
        return formatting.times(change, low, high)
    return curve.change_text(change, low, high)


def _where(curve: Curve, bend: Bend) -> str:
    """`from 1 000 Services on`; `flat until 1 000 and more from 10 000 Services on`."""
    since = scales.amount(curve.along, bend.since)
    if bend.until == curve.values[0].at:
        return f"from {since} on"
    return f"flat until {scales.number(bend.until)} and {'more' if bend.rises else 'less'} from {since} on"


def _tone(curve: Curve) -> Tone:
    if bend := curve.bend:
        return "better" if bend.rises == (curve.better == "higher") else "worse"
    return "same" if curve.last.is_same(curve.margin_ratio, curve.scale) else "undecided"


def _surest(curve: Curve) -> float:
    """By how much a curve surely changes: the end of the last interval next to zero, as the logarithm of a factor."""
    low, high = curve.last.low, curve.last.high
    if low is None or high is None or low <= 0 <= high:
        return 0.0
    near = low if low > 0 else high
    if curve.scale == "points":
        return abs(near)
    return abs(math.log1p(max(near, -0.999)))
