"""Texts for readers: figures with units, intervals rounded outward, lists, durations and sentences."""

import math
from typing import Final

SHARE: Final = "%"
"""The unit in which a share is written: 0.12 is 12 %."""

_SCALES: Final[dict[str, tuple[tuple[float, str], ...]]] = {
    "bit/s": ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"), (1.0, "bit/s")),
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "B": ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")),
    "s/Gbit": ((1.0, "s/Gbit"), (1e-3, "ms/Gbit")),
    SHARE: ((0.01, "%"),),
    "1": ((1.0, ""),),
}

_SMALLEST_SHOWN: Final = 0.3
"""A value is written in a unit from this multiple of it on: 0.45 Gbit/s, but 250 Mbit/s."""

_BOUNDLESS: Final = 10_000
"""In per cent: a bound beyond it is shown as infinite."""

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


def fitting_unit(unit: str, *values: float) -> tuple[float, str]:
    """The divisor and the unit that suit the largest of these values."""
    steps = _SCALES.get(unit, ((1.0, unit),))
    largest = max((abs(value) for value in values), default=0.0)
    for size, name in steps:
        if largest >= _SMALLEST_SHOWN * size:
            return size, name
    return steps[-1] if largest > 0 else steps[0]


def multiple(name: str) -> float:
    """The divisor from SI to this unit: 1e9 for `Gbit/s`; 1 for an unknown or empty one."""
    return next((size for sizes in _SCALES.values() for size, unit in sizes if unit == name), 1.0)


def digits(value: float, significant: int = 3) -> str:
    """A number with this many significant digits, without an exponent; integer digits are never cut."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    decimals = max(0, significant - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    if decimals and len(text.replace("-", "").replace(".", "").lstrip("0")) > significant:
        text = f"{value:.{decimals - 1}f}"
    return text.replace("-", "−")


def quantity(value: float | None, unit: str) -> str:
    """One figure with its unit; an en dash where there is none."""
    if value is None:
        return "–"
    size, name = fitting_unit(unit, value)
    return f"{digits(value / size)} {name}".rstrip()


def transition(before: float, after: float, unit: str) -> str:
    """Two figures in one unit: `3.02 → 5.21 Gbit/s`."""
    size, name = fitting_unit(unit, before, after)
    return f"{digits(before / size)} → {digits(after / size)} {name}".rstrip()


def percent(ratio: float, *, sign: bool = True) -> str:
    """A share as per cent with two significant digits, at most one decimal: `+72 %`, `−3.1 %`, `+0.2 %`."""
    value = abs(ratio) * 100
    text = digits(value, 2) if value >= 1 or not math.isfinite(value) else f"{value:.1f}"
    mark = "" if not sign or ratio == 0 or text == "0.0" else "+" if ratio > 0 else "−"
    return f"{mark}{text} %"


def percent_rounded_up(ratio: float) -> str:
    """A share as per cent, rounded up, so that a detectable effect is never understated."""
    return f"{_outward(ratio, up=True)} %"


def _outward(ratio: float, *, up: bool) -> str:
    """A bound of an interval in per cent, rounded outward, so that the text contains the interval."""
    value = ratio * 100
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    if value > _BOUNDLESS:  # wider than computed, so no claim is lost
        return "∞" if up else f"{_BOUNDLESS:.0f}"
    if value == 0:
        return "0"
    decimals = max(0, min(1, 1 - math.floor(math.log10(abs(value)))))
    rounded = _round(value, decimals, up=up)
    if rounded == 0:  # a bound that is not zero must not look as if it were
        decimals = min(3, max(1, -math.floor(math.log10(abs(value)))))
        rounded = _round(value, decimals, up=up)
    text = f"{abs(rounded):.{decimals}f}" if rounded else "0"
    return ("−" if rounded < 0 else "") + text


def _round(value: float, decimals: int, *, up: bool) -> float:
    power = 10.0**decimals
    exact = round(value * power, 9)
    return float((math.ceil(exact) if up else math.floor(exact)) / power)


def interval(low: float, high: float) -> str:
    """Two bounds, as shares, in per cent: `[65, 80]`."""
    return f"[{_outward(low, up=False)}, {_outward(high, up=True)}]"


def times(change: float, low: float, high: float) -> str:
    """A change and its bounds, as shares, as factors rounded outward: `×23 [22, 25]`."""
    bounds = [_significant(1 + low, up=False), _significant(1 + high, up=True)]
    return f"×{digits(1 + change, 2)} [{', '.join(digits(bound, 2) for bound in bounds)}]"


def _significant(value: float, *, up: bool) -> float:
    """A bound with two significant digits, rounded outward."""
    if value <= 0 or not math.isfinite(value):
        return value
    return _round(value, 1 - math.floor(math.log10(value)), up=up)


def between(low: float, high: float) -> str:
    """Two bounds, as shares, in per cent and in words: `between −12 % and +40 %`."""
    bounds = ((low, _outward(low, up=False)), (high, _outward(high, up=True)))
    return "between " + " and ".join(f"{'+' if bound > 0 else ''}{text} %" for bound, text in bounds)


def bound(ratio: float, *, up: bool) -> str:
    """The size of one bound of an interval in per cent, without sign, rounded as in `interval`: `38`."""
    return _outward(ratio, up=up).removeprefix("−")


def cell(topology: str, measured_by: str, direction: str, *, both_directions: bool) -> str:
    """The name of a path, with the direction if it is unusual or both were measured."""
    shown = direction if both_directions or direction != "forward" else ""
    return " ".join(part for part in (topology, measured_by, shown) if part)


def count(number: int, singular: str, plural: str | None = None) -> str:
    """`1 trial`, `3 trials`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}".replace(",", " ")


def listing(items: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1] if items else ""


def sentences(*clauses: str | None) -> str:
    """The clauses as sentences: each with one full stop, all but the first with a capital.

    Put commands in backticks: a clause that begins with one is not capitalised.
    """
    given = [clause.strip().rstrip(".") for clause in clauses if clause and clause.strip()]
    return " ".join(f"{text if place == 0 else text[0].upper() + text[1:]}." for place, text in enumerate(given))


def duration(seconds: float) -> str:
    """A length of time in words: `45 s`, `3 min 10 s`, `1 h 5 min`."""
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        minutes, rest = divmod(whole, _MINUTE_S)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(whole // _MINUTE_S, _MINUTE_S)
    return f"{hours} h {rest} min" if rest else f"{hours} h"
