"""An option of a run: what stands on its field, how its text is read, and what is wrong with a value as typed.

The options themselves are in `steps.catalogue.options`.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_RATE = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<prefix>[kKmMgGtT]?)(?:bit/s|bps)?")
_PREFIX: Final = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_TRUE: Final = {"true", "yes", "on", "1"}
_FALSE: Final = {"false", "no", "off", "0"}
_WORD = re.compile(r"[a-z0-9_-]{1,15}")
_COMPARED: Final = 80
"""Of a longer word so many characters are compared with the known names: comparing takes the square of them."""

_SHOWN: Final = 60
"""Of what was typed so many characters are repeated in a sentence."""

_BIT_S: Final = " bit/s"
_UNITS: Final = {"_s": " s", "_bytes": " B", "_bps": _BIT_S, "_ratio": ""}
"""How a field's name ends, and its unit in a sentence."""


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

Place = Literal["here", "cluster"]
"""Where an option is given. here: to run, plan and preflight. cluster: to submit, and in Argo's form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """The default of a field where it depends on the kind of environment, and maybe on the profile.

    Attributes:
        lab: in the lab: a value, or values by the profile's name; in other profiles the field's own default stands.
        cluster: likewise on a cluster.
    """

    lab: object = field(default_factory=dict)
    cluster: object = field(default_factory=dict)

    def of(self, profile: str, *, is_lab: bool, otherwise: object) -> object:
        """The default in a profile; `otherwise` is the field's own."""
        value = self.lab if is_lab else self.cluster
        return value.get(profile, otherwise) if isinstance(value, Mapping) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What a person can choose. It stands on a field, whose name, type and bounds are the option's.

    Attributes:
        help: what it decides, in sentences: for `--help` and docs/options.md.
        name: as typed: the flag, and in capitals the variable of `make`; if left out, the field's without its unit.
        changes_method: whether it changes what one trial measures, so that runs which differ in it are not compared.
            A run that was stored before there was the option counts as one with its default.
        hint: what values it takes, in short; made from type and bounds if left out.
        only: where it can be given, if not everywhere.
        form: its description in Argo's form, if it has a field of its own there. All others share the field `options`,
            which names them.
        enum: what that field offers.
        default: as typed, if that is not nothing.
        too_low: what is added to the sentence about a number below its bound.
        read: turns its text into its value, or raises FaultError; made from the type if left out. None behind a `name`
            that is no field's: `steps.settings.settings.choose_settings` takes the text.
        field: of the settings.
        bounds: of a number.
        unit: of a number, with a blank before it.
        choices: what a list may hold.
    """

    help: str
    name: str = ""
    changes_method: bool = True
    hint: str = ""
    only: Place | None = None
    form: str = ""
    enum: tuple[str, ...] = ()
    default: str = ""
    too_low: str = ""
    read: "Reader | None" = None
    field: str = ""
    bounds: Bounds = UNBOUNDED
    unit: str = ""
    choices: tuple[str, ...] = ()

    @property
    def values(self) -> str:
        """What values it takes, in short; empty where nothing says it."""
        if self.hint or self.bounds == UNBOUNDED:
            return self.hint or ", ".join(self.choices)
        least, most = (_as_typed(bound, self.unit) for bound in (self.bounds.low, self.bounds.high))
        return (f"above {least} and below {most}" if self.bounds.exclusive else f"{least} to {most}") + self.unit


Reader = Callable[[str, Option], object]
"""Turns an option's text into its value, given the option with the name that was typed; raises FaultError."""


def options_of(model: type[BaseModel]) -> tuple[Option, ...]:
    """The options that stand on the fields of a model, in their order, completed by what the fields say.

    Raises:
        TypeError: no text is known to make a value of the field's type, and the option has no reader of its own.
    """
    return tuple(
        _completed(name, field, option)
        for name, field in model.model_fields.items()
        for option in field.metadata
        if isinstance(option, Option)
    )


def _completed(name: str, field: FieldInfo, option: Option) -> Option:
    ending = next((ending for ending in _UNITS if name.endswith(ending)), "")
    bounds = bounds_of(field)
    return replace(
        option,
        field=name,
        name=option.name or name.removesuffix(ending),
        unit=_UNITS.get(ending, ""),
        bounds=bounds,
        hint=option.hint or ("true, false" if field.annotation is bool else ""),
        read=option.read or _reader(name, field, bounds),
    )


def _reader(name: str, field: FieldInfo, bounds: Bounds) -> Reader:
    readers = {int: _read_whole, bool: _read_switch, float: _read_share if bounds.exclusive else _read_real}
    for kind in {*get_args(field.annotation), field.annotation} & readers.keys():
        return readers[kind]
    raise TypeError(f"no text is known to make field {name}'s type: give its Option a `read`")


def bounds_of(field: FieldInfo) -> Bounds:
    """The bounds that stand on a field; none where it has not both."""
    low = [each for each in field.metadata if isinstance(each, Ge | Gt)]
    high = [each for each in field.metadata if isinstance(each, Le | Lt)]
    if not (low and high):
        return UNBOUNDED
    least, most = (getattr(each[0], type(each[0]).__name__.lower()) for each in (low, high))
    return Bounds(least, most, exclusive=isinstance(low[0], Gt))


def by_name(options: Iterable[Option]) -> dict[str, Option]:
    """Those that have a reader, by every name that they are typed with: their own, and their field's."""
    return {name: option for option in options if option.read for name in (option.field, option.name)}


def items(text: str) -> list[str]:
    """The entries of a comma-separated list, without blanks."""
    return [part.strip() for part in text.split(",") if part.strip()]


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean A or B?`, or all that is known where nothing is near."""
    known = sorted(known)
    close = difflib.get_close_matches(word[:_COMPARED], known, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(known)}"


def shown_option(text: str) -> str:
    """What was typed, in quotes, as a sentence repeats it: its beginning where it is long."""
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def parse_options(text: str, known: Mapping[str, Option]) -> tuple[dict[str, object], list[str]]:
    """The values of an options text by the settings' field names, and a sentence for each fault in it.

    Args:
        text: `NAME=VALUE` pairs with white space between, as typed.
        known: the options that may be in it, by each of their names.
    """
    values: dict[str, object] = {}
    faults: list[str] = []
    for pair in text.split():
        name, equals, value = pair.partition("=")
        option = known.get(name.lower())
        if not equals:
            faults.append(f"option {shown_option(pair)} has no value: write it as NAME=VALUE")
        elif option is None or option.read is None:
            faults.append(f"unknown option {shown_option(name)}: {nearest(name.lower(), known)}")
        elif option.field in values:
            faults.append(f"option {name} is given twice: give it once")
        else:
            try:
                values[option.field] = option.read(value, replace(option, name=name.lower()))
            except FaultError as fault:
                faults.append(str(fault))
                values[option.field] = None
    return {name: value for name, value in values.items() if value is not None}, faults


def _number(text: str, option: Option) -> int | float:
    typed = text.removesuffix("s") if option.unit == " s" else text
    try:
        return int(typed)  # a float would make another number of a long one
    except ValueError:
        pass
    try:
        number = float(typed)
    except ValueError:
        raise FaultError(f"{option.name} must be a number, got {shown_option(text)}") from None
    if not math.isfinite(number):
        raise FaultError(f"{option.name} must be a finite number, got {shown_option(text)}")
    return number


def _check_bounds(number: float, typed: str, option: Option) -> None:
    unit = option.unit
    got = typed.removesuffix("s") if unit == " s" else typed
    got = (got if len(got) <= _SHOWN else shown_option(got)) + unit
    least, most = (_as_typed(bound, unit) + unit for bound in (option.bounds.low, option.bounds.high))
    if number < option.bounds.low:
        raise FaultError(f"{option.name} must be at least {least}, got {got}{option.too_low}")
    if number > option.bounds.high:
        raise FaultError(f"{option.name} must be at most {most}, got {got}")


def _as_typed(bound: float, unit: str) -> str:
    """A bound as a person would type it: a rate with its prefix, any other whole number with all of its digits."""
    if unit == _BIT_S:
        prefix, factor = max((each for each in _PREFIX.items() if each[1] <= bound), key=lambda each: each[1])
        return f"{bound / factor:g}{prefix.upper()}"
    return str(int(bound)) if bound == int(bound) else f"{bound:g}"


def _read_whole(text: str, option: Option) -> int:
    number = _number(text, option)
    _check_bounds(number, text, option)
    if number != int(number):
        raise FaultError(f"{option.name} must be a whole number, got {number:g}{option.unit}")
    return int(number)


def _read_real(text: str, option: Option) -> float:
    number = _number(text, option)
    _check_bounds(number, text, option)
    return float(number)


def _read_share(text: str, option: Option) -> float:
    number, bounds = _number(text, option), option.bounds
    if not bounds.low < number < bounds.high:
        raise FaultError(
            f"{option.name} must be a share above {bounds.low:g} and below {bounds.high:g}, such as 0.05 for 5 %, "
            f"got {shown_option(text)}"
        )
    return float(number)


def _read_switch(text: str, option: Option) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise FaultError(f"{option.name} must be true or false, got {shown_option(text)}")


def read_list(text: str, option: Option) -> tuple[str, ...]:
    """A comma-separated choice among `choices`, in their order."""
    chosen, what = [item.lower() for item in items(text)], option.name.removesuffix("s")
    if not chosen:
        raise FaultError(f"{option.name} must name at least one of {', '.join(option.choices)}")
    for item in chosen:
        if item not in option.choices:
            raise FaultError(f"unknown {what} {shown_option(item)}: {nearest(item, option.choices)}")
    if len(set(chosen)) < len(chosen):
        raise FaultError(f"{option.name} names one of them twice: {', '.join(chosen)}")
    return tuple(item for item in option.choices if item in chosen)


def read_rate(text: str, option: Option) -> float:
    """Bits per second, as iperf3 takes them; 0 is its own word for no limit."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise FaultError(
            f"{option.name} must be bits per second such as 100M, 2.5G or 0 for no limit, got {shown_option(text)}"
        )
    number = float(match["number"]) * _PREFIX[match["prefix"].lower()]
    if number:
        _check_bounds(number, match["number"] + match["prefix"], option)
    return number


def read_algorithm(text: str, option: Option) -> str:
    """The name of one of Linux's algorithms."""
    if _WORD.fullmatch(text) is None:
        raise FaultError(
            f"{option.name} must be the name of a Linux algorithm such as cubic or bbr, got {shown_option(text)}"
        )
    return text
