"""Scales in words, and the factors that vary between them. Pure."""

from collections.abc import Iterable, Sequence

from analysis.domain import FACTORS, Factor, StoredScale
from analysis.formatting import digits


def varied(scales: Iterable[StoredScale]) -> tuple[Factor, ...]:
    """The factors of which these scales have several values."""
    known = [*scales]
    return tuple(factor for factor in FACTORS if len({value_of(scale, factor) for scale in known}) > 1)


def value_of(scale: StoredScale, factor: Factor) -> float:
    """How much of a factor a scale has."""
    return float(getattr(scale, factor.column))


def number(value: float) -> str:
    """A factor's value: `10 000`, `0.5`."""
    return f"{value:,.0f}".replace(",", " ") if value.is_integer() else digits(value)


def amount(factor: Factor, value: float) -> str:
    """A factor's value with its noun: `10 000 Services`."""
    return f"{number(value)} {factor.one if value == 1 else factor.many}"


def describe(scale: StoredScale, factors: Sequence[Factor]) -> str:
    """What a scale has of these factors: `1 000 Services, 50 endpoints per Service`; empty without factors."""
    return ", ".join(amount(factor, value_of(scale, factor)) for factor in factors)
