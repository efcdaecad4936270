"""The options of a run as typed, `NAME=VALUE` with spaces between: names, bounds and what is wrong with a value.

One entry in `OPTIONS` here is all that a new option of `steps.settings` takes.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

PROTOCOLS: Final = ("tcp", "udp", "connect")
DIRECTIONS: Final = ("forward", "reverse")

_RATE = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<prefix>[kKmMgGtT]?)(?:bit/s|bps)?")
_PREFIX: Final = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_FASTEST_BPS: Final = 1e15
_TRUE: Final = {"true", "yes", "on", "1"}
_FALSE: Final = {"false", "no", "off", "0"}
_WORD = re.compile(r"[a-z0-9_-]{1,15}")


class FaultError(ValueError):
    """What is wrong with one value, as a sentence without its full stop."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its field in the settings, the other names it goes by, and how its text becomes a value."""

    field: str
    parse: Callable[[str], object]
    aliases: tuple[str, ...] = ()


def items(text: str) -> list[str]:
    """The entries of a comma-separated list, without blanks."""
    return [part.strip() for part in text.split(",") if part.strip()]


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean A or B?`, or all that is known where nothing is near."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(known)}"


def parse(text: str) -> tuple[dict[str, object], list[str]]:
    """The values of an options text by the settings' field names, and a sentence for each fault in it.

    Args:
        text: `NAME=VALUE` pairs with white space between, as typed.
    """
    values: dict[str, object] = {}
    faults: list[str] = []
    for pair in text.split():
        name, equals, value = pair.partition("=")
        option = BY_NAME.get(name.lower())
        if not equals:
            faults.append(f"option {pair!r} has no value: write it as NAME=VALUE")
        elif option is None:
            faults.append(f"unknown option {name!r}: {nearest(name.lower(), BY_NAME)}")
        elif option.field in values:
            faults.append(f"option {name} is given twice: give it once")
        else:
            try:
                values[option.field] = option.parse(value)
            except FaultError as fault:
                faults.append(str(fault))
                values[option.field] = None
    return {name: value for name, value in values.items() if value is not None}, faults


def _number(what: str, text: str, unit: str) -> float:
    try:
        number = float(text.removesuffix("s") if unit == " s" else text)
    except ValueError:
        raise FaultError(f"{what} must be a number, got {text!r}") from None
    if not math.isfinite(number):
        raise FaultError(f"{what} must be a finite number, got {text!r}")
    return number


def _bounded(what: str, number: float, low: float, high: float, unit: str, below: str = "") -> None:
    if number < low:
        raise FaultError(f"{what} must be at least {low:g}{unit}, got {number:g}{unit}{below}")
    if number > high:
        raise FaultError(f"{what} must be at most {high:g}{unit}, got {number:g}{unit}")


def _whole(what: str, low: int, high: int, unit: str = "", below: str = "") -> Callable[[str], int]:
    def read(text: str) -> int:
        number = _number(what, text, unit)
        _bounded(what, number, low, high, unit, below)
        if number != int(number):
            raise FaultError(f"{what} must be a whole number, got {number:g}{unit}")
        return int(number)

    return read


def _real(what: str, low: float, high: float, unit: str = "") -> Callable[[str], float]:
    def read(text: str) -> float:
        number = _number(what, text, unit)
        _bounded(what, number, low, high, unit)
        return number

    return read


def _share(what: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        number = _number(what, text, "")
        if not 0 < number < 1:
            raise FaultError(f"{what} must be a share above 0 and below 1, such as 0.05 for 5 %, got {number:g}")
        return number

    return read


def _choice(what: str, known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        chosen = [item.lower() for item in items(text)]
        if not chosen:
            raise FaultError(f"{what}s must name at least one of {', '.join(known)}")
        for item in chosen:
            if item not in known:
                raise FaultError(f"unknown {what} {item!r}: {nearest(item, known)}")
        if len(set(chosen)) < len(chosen):
            raise FaultError(f"{what}s names one of them twice: {', '.join(chosen)}")
        return tuple(item for item in known if item in chosen)

    return read


def _rate(text: str) -> float:
    match = _RATE.fullmatch(text)
    if match is None:
        raise FaultError(f"rate must be bits per second such as 100M, 2.5G or 0 for no limit, got {text!r}")
    rate_bps = float(match["number"]) * _PREFIX[match["prefix"].lower()]
    _bounded("rate", rate_bps, 0, _FASTEST_BPS, " bit/s")
    return rate_bps


def _switch(text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise FaultError(f"offloads must be true or false, got {text!r}")


def _congestion_control(text: str) -> str:
    if _WORD.fullmatch(text) is None:
        raise FaultError(f"congestion_control must be the name of a Linux algorithm such as cubic or bbr, got {text!r}")
    return text


# The upper bounds are iperf3's own (86400 s, 600 s omitted, 128 streams, 1 MiB), or where a typing error is likelier.
OPTIONS: Final = (
    Option("duration_s", _whole("duration", 1, 86_400, " s", ' (iperf3 reads it as "for ever")'), ("duration",)),
    Option("repetitions", _whole("repetitions", 1, 1_000)),
    Option("rounds", _whole("rounds", 1, 1_000), ("visits",)),
    Option("protocols", _choice("protocol", PROTOCOLS)),
    Option("directions", _choice("direction", DIRECTIONS)),
    Option("streams", _whole("streams", 1, 128)),
    Option("offered_bps", _rate, ("rate",)),
    Option("omit_s", _whole("omit", 0, 600, " s"), ("omit",)),
    Option("idle_s", _real("idle", 0, 600, " s"), ("idle",)),
    Option("services", _whole("services", 0, 20_000)),
    Option("offloads", _switch),
    Option("seed", _whole("seed", 0, 2**53)),
    Option("block_size_bytes", _whole("block_size", 16, 1_048_576, " B"), ("block_size",)),
    Option("congestion_control", _congestion_control),
    Option("foreign_cpu_limit_ratio", _real("foreign_cpu_limit", 0.001, 1), ("foreign_cpu_limit",)),
    Option("regression_limit_ratio", _share("regression_limit"), ("regression_limit",)),
)

BY_NAME: Final = {name: option for option in OPTIONS for name in (option.field, *option.aliases)}
