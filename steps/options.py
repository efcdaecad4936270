"""The options of a run as typed, `NAME=VALUE` with spaces between: their names, and what is wrong with a value.

The bounds of a number are not here but on its field in `steps.settings.Settings`, and come in with `parse`. Beside that
field, one entry in `OPTIONS` here is all that a new option takes.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from steps.catalogue import tools

PROTOCOLS: Final = tuple(tools.VARIANTS)
DIRECTIONS: Final = ("forward", "reverse")

_RATE = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<prefix>[kKmMgGtT]?)(?:bit/s|bps)?")
_PREFIX: Final = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_TRUE: Final = {"true", "yes", "on", "1"}
_FALSE: Final = {"false", "no", "off", "0"}
_WORD = re.compile(r"[a-z0-9_-]{1,15}")
_COMPARED: Final = 80
"""Of a longer word so many characters are compared with the known names: comparing takes the square of them."""

_SHOWN: Final = 60
"""Of what was typed so many characters are repeated in a sentence."""


class FaultError(ValueError):
    """What is wrong with one value, as a sentence without its full stop."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the greatest value of a number. `exclusive`: neither of the two is allowed itself."""

    low: float
    high: float
    exclusive: bool = False


UNBOUNDED: Final = Bounds(-math.inf, math.inf)
"""Of what is not a number."""

Reader = Callable[[str, Bounds], object]
"""Turns an option's text into its value; raises FaultError."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its field in the settings, the other names it goes by, and how its text becomes a value."""

    field: str
    read: Reader
    aliases: tuple[str, ...] = ()


def items(text: str) -> list[str]:
    """The entries of a comma-separated list, without blanks."""
    return [part.strip() for part in text.split(",") if part.strip()]


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean A or B?`, or all that is known where nothing is near."""
    known = sorted(known)
    close = difflib.get_close_matches(word[:_COMPARED], known, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(known)}"


def shown(text: str) -> str:
    """What was typed, in quotes, as a sentence repeats it: its beginning where it is long."""
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def parse(text: str, bounds: Mapping[str, Bounds]) -> tuple[dict[str, object], list[str]]:
    """The values of an options text by the settings' field names, and a sentence for each fault in it.

    Args:
        text: `NAME=VALUE` pairs with white space between, as typed.
        bounds: of each field that holds a number.
    """
    values: dict[str, object] = {}
    faults: list[str] = []
    for pair in text.split():
        name, equals, value = pair.partition("=")
        option = BY_NAME.get(name.lower())
        if not equals:
            faults.append(f"option {shown(pair)} has no value: write it as NAME=VALUE")
        elif option is None:
            faults.append(f"unknown option {shown(name)}: {nearest(name.lower(), BY_NAME)}")
        elif option.field in values:
            faults.append(f"option {name} is given twice: give it once")
        else:
            try:
                values[option.field] = option.read(value, bounds.get(option.field, UNBOUNDED))
            except FaultError as fault:
                faults.append(str(fault))
                values[option.field] = None
    return {name: value for name, value in values.items() if value is not None}, faults


def _number(what: str, text: str, unit: str) -> float:
    try:
        number = float(text.removesuffix("s") if unit == " s" else text)
    except ValueError:
        raise FaultError(f"{what} must be a number, got {shown(text)}") from None
    if not math.isfinite(number):
        raise FaultError(f"{what} must be a finite number, got {shown(text)}")
    return number


def _bounded(what: str, number: float, bounds: Bounds, unit: str, below: str = "") -> None:
    if number < bounds.low:
        raise FaultError(f"{what} must be at least {bounds.low:g}{unit}, got {number:g}{unit}{below}")
    if number > bounds.high:
        raise FaultError(f"{what} must be at most {bounds.high:g}{unit}, got {number:g}{unit}")


def _whole(what: str, unit: str = "", below: str = "") -> Reader:
    def read(text: str, bounds: Bounds) -> int:
        number = _number(what, text, unit)
        _bounded(what, number, bounds, unit, below)
        if number != int(number):
            raise FaultError(f"{what} must be a whole number, got {number:g}{unit}")
        return int(number)

    return read


def _real(what: str, unit: str = "") -> Reader:
    def read(text: str, bounds: Bounds) -> float:
        number = _number(what, text, unit)
        _bounded(what, number, bounds, unit)
        return number

    return read


def _share(what: str) -> Reader:
    def read(text: str, bounds: Bounds) -> float:
        number = _number(what, text, "")
        if not bounds.low < number < bounds.high:
            raise FaultError(
                f"{what} must be a share above {bounds.low:g} and below {bounds.high:g}, such as 0.05 for 5 %, "
                f"got {number:g}"
            )
        return number

    return read


def _choice(what: str, known: tuple[str, ...]) -> Reader:
    def read(text: str, _bounds: Bounds) -> tuple[str, ...]:
        chosen = [item.lower() for item in items(text)]
        if not chosen:
            raise FaultError(f"{what}s must name at least one of {', '.join(known)}")
        for item in chosen:
            if item not in known:
                raise FaultError(f"unknown {what} {shown(item)}: {nearest(item, known)}")
        if len(set(chosen)) < len(chosen):
            raise FaultError(f"{what}s names one of them twice: {', '.join(chosen)}")
        return tuple(item for item in known if item in chosen)

    return read


def _rate(text: str, bounds: Bounds) -> float:
    match = _RATE.fullmatch(text)
    if match is None:
        raise FaultError(f"rate must be bits per second such as 100M, 2.5G or 0 for no limit, got {shown(text)}")
    number = float(match["number"]) * _PREFIX[match["prefix"].lower()]
    if number:  # 0 is iperf3's own word for no limit
        _bounded("rate", number, bounds, " bit/s")
    return number


def _switch(text: str, _bounds: Bounds) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise FaultError(f"offloads must be true or false, got {shown(text)}")


def _congestion_control(text: str, _bounds: Bounds) -> str:
    if _WORD.fullmatch(text) is None:
        raise FaultError(
            f"congestion_control must be the name of a Linux algorithm such as cubic or bbr, got {shown(text)}"
        )
    return text


OPTIONS: Final = (
    Option("duration_s", _whole("duration", " s", ' (iperf3 reads it as "for ever")'), ("duration",)),
    Option("repetitions", _whole("repetitions")),
    Option("rounds", _whole("rounds"), ("visits",)),
    Option("protocols", _choice("protocol", PROTOCOLS)),
    Option("directions", _choice("direction", DIRECTIONS)),
    Option("streams", _whole("streams")),
    Option("offered_bps", _rate, ("rate",)),
    Option("omit_s", _whole("omit", " s"), ("omit",)),
    Option("idle_s", _real("idle", " s"), ("idle",)),
    Option("services", _whole("services")),
    Option("offloads", _switch),
    Option("seed", _whole("seed")),
    Option("block_size_bytes", _whole("block_size", " B"), ("block_size",)),
    Option("congestion_control", _congestion_control),
    Option("foreign_cpu_limit_ratio", _real("foreign_cpu_limit"), ("foreign_cpu_limit",)),
    Option("regression_limit_ratio", _share("regression_limit"), ("regression_limit",)),
)

BY_NAME: Final = {name: option for option in OPTIONS for name in (option.field, *option.aliases)}
