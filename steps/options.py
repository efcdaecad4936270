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
_BIT_S: Final = " bit/s"
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

Reader = Callable[[str, str, Bounds], object]
"""Turns an option's text into its value, given the name that was typed; raises FaultError."""


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
                values[option.field] = option.read(name.lower(), value, bounds.get(option.field, UNBOUNDED))
            except FaultError as fault:
                faults.append(str(fault))
                values[option.field] = None
    return {name: value for name, value in values.items() if value is not None}, faults


def _number(name: str, text: str, unit: str) -> int | float:
    typed = text.removesuffix("s") if unit == " s" else text
    try:
        return int(typed)  # a float would make another number of a long one
    except ValueError:
        pass
    try:
        number = float(typed)
    except ValueError:
        raise FaultError(f"{name} must be a number, got {shown(text)}") from None
    if not math.isfinite(number):
        raise FaultError(f"{name} must be a finite number, got {shown(text)}")
    return number


def _bounded(name: str, number: float, typed: str, bounds: Bounds, unit: str, below: str = "") -> None:
    got = typed.removesuffix("s") if unit == " s" else typed
    got = got if len(got) <= _SHOWN else shown(got)
    least, most = (_as_typed(bound, unit) for bound in (bounds.low, bounds.high))
    if number < bounds.low:
        raise FaultError(f"{name} must be at least {least}{unit}, got {got}{unit}{below}")
    if number > bounds.high:
        raise FaultError(f"{name} must be at most {most}{unit}, got {got}{unit}")


def _as_typed(bound: float, unit: str) -> str:
    """A bound as a person would type it: a rate with its prefix, any other whole number with all of its digits."""
    if unit == _BIT_S:
        prefix, factor = max((each for each in _PREFIX.items() if each[1] <= bound), key=lambda each: each[1])
        return f"{bound / factor:g}{prefix.upper()}"
    return str(int(bound)) if bound == int(bound) else f"{bound:g}"


def _whole(unit: str = "", below: str = "") -> Reader:
    def read(name: str, text: str, bounds: Bounds) -> int:
        number = _number(name, text, unit)
        _bounded(name, number, text, bounds, unit, below)
        if number != int(number):
            raise FaultError(f"{name} must be a whole number, got {number:g}{unit}")
        return int(number)

    return read


def _real(unit: str = "") -> Reader:
    def read(name: str, text: str, bounds: Bounds) -> float:
        number = _number(name, text, unit)
        _bounded(name, number, text, bounds, unit)
        return float(number)

    return read


def _share(name: str, text: str, bounds: Bounds) -> float:
    number = _number(name, text, "")
    if not bounds.low < number < bounds.high:
        raise FaultError(
            f"{name} must be a share above {bounds.low:g} and below {bounds.high:g}, such as 0.05 for 5 %, "
            f"got {shown(text)}"
        )
    return float(number)


def _choice(what: str, known: tuple[str, ...]) -> Reader:
    def read(name: str, text: str, _bounds: Bounds) -> tuple[str, ...]:
        chosen = [item.lower() for item in items(text)]
        if not chosen:
            raise FaultError(f"{name} must name at least one of {', '.join(known)}")
        for item in chosen:
            if item not in known:
                raise FaultError(f"unknown {what} {shown(item)}: {nearest(item, known)}")
        if len(set(chosen)) < len(chosen):
            raise FaultError(f"{name} names one of them twice: {', '.join(chosen)}")
        return tuple(item for item in known if item in chosen)

    return read


def _rate(name: str, text: str, bounds: Bounds) -> float:
    match = _RATE.fullmatch(text)
    if match is None:
        raise FaultError(f"{name} must be bits per second such as 100M, 2.5G or 0 for no limit, got {shown(text)}")
    number = float(match["number"]) * _PREFIX[match["prefix"].lower()]
    if number:  # 0 is iperf3's own word for no limit
        _bounded(name, number, f"{match['number']}{match['prefix']}", bounds, _BIT_S)
    return number


def _switch(name: str, text: str, _bounds: Bounds) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise FaultError(f"{name} must be true or false, got {shown(text)}")


def _congestion_control(name: str, text: str, _bounds: Bounds) -> str:
    if _WORD.fullmatch(text) is None:
        raise FaultError(f"{name} must be the name of a Linux algorithm such as cubic or bbr, got {shown(text)}")
    return text


OPTIONS: Final = (
    Option("duration_s", _whole(" s", ' (iperf3 reads it as "for ever")'), ("duration",)),
    Option("repetitions", _whole()),
    Option("rounds", _whole(), ("visits",)),
    Option("protocols", _choice("protocol", PROTOCOLS)),
    Option("directions", _choice("direction", DIRECTIONS)),
    Option("streams", _whole()),
    Option("offered_bps", _rate, ("rate",)),
    Option("omit_s", _whole(" s"), ("omit",)),
    Option("idle_s", _real(" s"), ("idle",)),
    Option("services", _whole()),
    Option("offloads", _switch),
    Option("seed", _whole()),
    Option("block_size_bytes", _whole(" B"), ("block_size",)),
    Option("congestion_control", _congestion_control),
    Option("foreign_cpu_limit_ratio", _real(), ("foreign_cpu_limit",)),
    Option("regression_limit_ratio", _share, ("regression_limit",)),
)

BY_NAME: Final = {name: option for option in OPTIONS for name in (option.field, *option.aliases)}
