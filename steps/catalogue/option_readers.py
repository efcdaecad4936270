"""How the texts of options with a form of their own are parsed. Each reader raises FaultError."""

import re
from typing import Final

from steps.catalogue.option_fields import (
    PREFIXES,
    FaultError,
    Option,
    Reader,
    check_bounds,
    items,
    nearest,
    read_real,
    read_whole,
    shown_option,
)

_RATE = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<prefix>[kKmMgGtT]?)(?:bit/s|bps)?")
_WORD = re.compile(r"[a-z0-9_-]{1,15}")
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_DURATION = re.compile(r"(?:(?P<h>\d{1,9})h)?(?:(?P<m>\d{1,9})m(?:in)?)?(?:(?P<s>\d{1,9}(?:\.\d{1,9})?)s?)?", re.ASCII)
_SECONDS: Final = {"h": 3600, "m": 60, "s": 1}


def read_list(text: str, option: Option) -> tuple[str, ...]:
    """A comma-separated selection of `choices`, in their order."""
    chosen, what = [item.lower() for item in items(text)], option.name.removesuffix("s")
    if not chosen:
        raise FaultError(f"{option.name} must name at least one of {', '.join(option.choices)}")
    for item in chosen:
        if item not in option.choices:
            raise FaultError(f"unknown {what} {shown_option(item)}: {nearest(item, option.choices)}")
    if len(set(chosen)) < len(chosen):
        raise FaultError(f"{option.name} names one of them twice: {', '.join(chosen)}")
    return tuple(item for item in option.choices if item in chosen)


def read_values(*, whole: bool) -> Reader:
    """The reader of a comma-separated list of numbers, which it sorts. `whole`: they are whole numbers."""
    read = read_whole if whole else read_real

    def values(text: str, option: Option) -> tuple[object, ...]:
        found = [read(item, option) for item in items(text)]
        if not found:
            raise FaultError(f"{option.name} must be {option.values}, got {shown_option(text)}")
        if len(set(found)) < len(found):
            raise FaultError(f"{option.name} names a value twice: {shown_option(text)}")
        return tuple(sorted(found))

    return values


def read_rate(text: str, option: Option) -> float:
    """Bits per second as iperf3 takes them; 0 means no limit."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise FaultError(
            f"{option.name} must be bits per second such as 100M, 2.5G or 0 for no limit, got {shown_option(text)}"
        )
    number = float(match["number"]) * PREFIXES[match["prefix"].lower()]
    if number:
        check_bounds(number, match["number"] + match["prefix"], option)
    return number


def read_algorithm(text: str, option: Option) -> str:
    """The name of a Linux congestion-control algorithm."""
    if _WORD.fullmatch(text) is None:
        raise FaultError(
            f"{option.name} must be the name of a Linux algorithm such as cubic or bbr, got {shown_option(text)}"
        )
    return text


def read_duration(text: str, option: Option) -> int:
    """Seconds, from hours, minutes and seconds as 1h30m, 20m or 90s; a number alone counts seconds."""
    match = _DURATION.fullmatch(text.lower())
    if match is None or not text:
        raise FaultError(f"{option.name} must be a length of time such as 20m, 1h30m or 900s, got {shown_option(text)}")
    seconds = sum(factor * float(match[unit] or 0) for unit, factor in _SECONDS.items())
    check_bounds(seconds, f"{seconds:g}", option)
    return round(seconds)


def read_run_id(text: str, option: Option) -> str:
    """The id of a stored run, whose characters can be part of a file's name."""
    if _RUN_ID.fullmatch(text) is None:
        raise FaultError(f"{option.name} must be the id of a stored run, got {shown_option(text)}")
    return text
