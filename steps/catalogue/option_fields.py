"""An option of a run: what its field declares, how its text is parsed, and what is wrong with a value as typed.

The options themselves are in `steps.catalogue.options`.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

PREFIXES: Final = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
"""Of a rate in bits per second, in lower case."""

_SWITCH: Final = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)
_COMPARED: Final = 80
"""Characters of a word that are compared with the known names: the comparison takes quadratic time."""

_SHOWN: Final = 60
"""Characters of a typed text that a message repeats."""

_BIT_S: Final = " bit/s"
_UNITS: Final = {"_s": " s", "_bytes": " B", "_bps": _BIT_S, "_ratio": ""}
"""The unit in a message, by the suffix of the field's name."""


class FaultError(ValueError):
    """What is wrong with one value, as a sentence without its full stop."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the greatest value of a number, infinite where there is none.

    `above`, `below`: the least or the greatest itself is excluded.
    """

    low: float
    high: float
    above: bool = False
    below: bool = False

    def in_words(self, unit: str) -> str:
        """`0 to 60 s`, `above 0 and below 1`, `at least 1`."""
        if not (self.above or self.below or math.isinf(self.low) or math.isinf(self.high)):
            return f"{_as_typed(self.low, unit)} to {_as_typed(self.high, unit)}{unit}"
        ends = (("above" if self.above else "at least", self.low), ("below" if self.below else "at most", self.high))
        return " and ".join(f"{word} {_as_typed(end, unit)}{unit}" for word, end in ends if math.isfinite(end))


UNBOUNDED: Final = Bounds(-math.inf, math.inf)
"""Of an option that is not a number, and of a number without bounds."""

OptionPlace = Literal["here", "cluster"]
"""Where an option is given. here: to run, plan and preflight. cluster: to submit, and in Argo's form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """A field's default where it depends on the kind of environment, and perhaps on the profile.

    `lab`, `cluster`: a value, or values by profile; in other profiles the field's own default applies.
    """

    lab: object = field(default_factory=dict)
    cluster: object = field(default_factory=dict)

    def of(self, profile: str, *, is_lab: bool, otherwise: object) -> object:
        """The default in a profile; `otherwise` is the field's own."""
        value = self.lab if is_lab else self.cluster
        return value.get(profile, otherwise) if isinstance(value, Mapping) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A choice of the user, declared on a field of the settings, from which name, type and bounds are taken.

    Attributes:
        help: its effect, in sentences, for `--help` and docs/options.md.
        aliases: other names that it may be typed by.
        name: as typed: the flag, and in capitals the variable of `make`; by default the field's name without its unit.
        changes_method: whether it changes what one trial measures, so that runs that differ in it are not compared.
            A run stored before the option existed counts as one with its default.
        quantity: the trials whose figures are another quantity where it differs, so that `compare` leaves them out, by
            how `TOOL TRANSPORT` begins; `""` begins all. Other options are conditions, which a comparison names first.
        hint: its possible values, in short; by default derived from type and bounds.
        only: where it can be given, if not everywhere.
        form: its description in Argo's form, if it has a field of its own there. The others share the field `options`.
        enum: the values that the form offers.
        default: as typed, if not empty.
        too_low: appended to the message about a number below its bound.
        read: parses its text, or raises FaultError; by default chosen by type. None: `choose_settings` parses it.
        field: the name of the field; by default the option's.
        bounds: of a number, whose `unit` follows a space.
        choices: the possible entries of a list.
    """

    help: str
    name: str = ""
    aliases: tuple[str, ...] = ()
    changes_method: bool = True
    quantity: tuple[str, ...] = ()
    hint: str = ""
    only: OptionPlace | None = None
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
        """Its possible values, in short; empty if unknown."""
        if self.hint or self.bounds == UNBOUNDED:
            return self.hint or ", ".join(self.choices)
        return self.bounds.in_words(self.unit)


Reader = Callable[[str, Option], object]
"""Parses a text, given the option under the name that was typed; raises FaultError."""


def options_of(model: type[BaseModel]) -> tuple[Option, ...]:
    """The options declared on a model's fields, in their order, completed from the fields.

    Raises:
        TypeError: the field's type has no reader, and neither has the option.
    """
    return tuple(
        _completed(name, field, option)
        for name, field in model.model_fields.items()
        for option in field.metadata
        if isinstance(option, Option)
    )


def _completed(name: str, field: FieldInfo, option: Option) -> Option:
    ending = next((ending for ending in _UNITS if name.endswith(ending)), "")
    return replace(
        option,
        field=name,
        name=option.name or name.removesuffix(ending),
        unit=_UNITS.get(ending, ""),
        bounds=bounds_of(field),
        hint=option.hint or ("true, false" if field.annotation is bool else ""),
        read=option.read or _reader(name, field),
    )


def _reader(name: str, field: FieldInfo) -> Reader:
    readers: dict[object, Reader] = {int: read_whole, bool: _read_switch, float: read_real}
    for kind in {*get_args(field.annotation), field.annotation} & readers.keys():
        return readers[kind]
    raise TypeError(f"field {name} has a type that no reader parses: give its Option a `read`")


def bounds_of(field: FieldInfo) -> Bounds:
    """The bounds declared on a field; UNBOUNDED where it has none."""
    low = [each for each in field.metadata if isinstance(each, Ge | Gt)]
    high = [each for each in field.metadata if isinstance(each, Le | Lt)]
    return Bounds(
        low=_bound(low[0]) if low else -math.inf,
        high=_bound(high[0]) if high else math.inf,
        above=bool(low) and isinstance(low[0], Gt),
        below=bool(high) and isinstance(high[0], Lt),
    )


def _bound(declared: Ge | Gt | Le | Lt) -> float:
    bound: float = getattr(declared, type(declared).__name__.lower())
    return bound


def by_name(options: Iterable[Option]) -> dict[str, Option]:
    """The options that have a reader, by their own name, by their field's and by their aliases."""
    return {name: option for option in options if option.read for name in (option.field, option.name, *option.aliases)}


def items(text: str) -> list[str]:
    """The entries of a comma-separated list, without surrounding white space."""
    return [part.strip() for part in text.split(",") if part.strip()]


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean A or B?`, or all known names where none is similar."""
    known = sorted(known)
    close = difflib.get_close_matches(word[:_COMPARED], known, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(known)}"


def shown_option(text: str) -> str:
    """A typed text in quotes, as messages repeat it: shortened where it is long."""
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def parse_options(text: str, known: Mapping[str, Option]) -> tuple[dict[str, object], list[str]]:
    """The values in an options text by the settings' field names, and a sentence for each fault.

    `text`: `NAME=VALUE` pairs separated by white space, as typed. `known`: the options by each of their names.
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
    for kind in (int, float):  # a float would round a long integer
        try:
            number = kind(typed)
        except ValueError:
            continue
        if isinstance(number, float) and not math.isfinite(number):
            raise FaultError(f"{option.name} must be a finite number, got {shown_option(text)}")
        return number
    raise FaultError(f"{option.name} must be a number, got {shown_option(text)}")


def check_bounds(number: float, typed: str, option: Option) -> None:
    """Raise FaultError for a number outside of its option's bounds, repeating it as typed."""
    unit, bounds = option.unit, option.bounds
    got = typed.removesuffix("s") if unit == " s" else typed
    got = (got if len(got) <= _SHOWN else shown_option(got)) + unit
    if number < bounds.low or (bounds.above and number == bounds.low):
        least = f"{'above' if bounds.above else 'at least'} {_as_typed(bounds.low, unit)}{unit}"
        raise FaultError(f"{option.name} must be {least}, got {got}{option.too_low}")
    if number > bounds.high or (bounds.below and number == bounds.high):
        most = f"{'below' if bounds.below else 'at most'} {_as_typed(bounds.high, unit)}{unit}"
        raise FaultError(f"{option.name} must be {most}, got {got}")


def _as_typed(bound: float, unit: str) -> str:
    """A bound as a user would type it: a rate with its prefix, any other whole number with all of its digits."""
    if unit == _BIT_S:
        known = [each for each in PREFIXES.items() if each[1] <= bound]
        prefix, factor = max(known, key=lambda each: each[1], default=("", 1.0))
        return f"{bound / factor:g}{prefix.upper()}"
    return str(int(bound)) if bound == int(bound) else f"{bound:g}"


def read_whole(text: str, option: Option) -> int:
    """A whole number within the option's bounds."""
    number = _number(text, option)
    check_bounds(number, text, option)
    if number != int(number):
        raise FaultError(f"{option.name} must be a whole number, got {number:g}{option.unit}")
    return int(number)


def read_real(text: str, option: Option) -> float:
    """A number within the option's bounds."""
    number, bounds = _number(text, option), option.bounds
    if not (option.field.endswith("_ratio") and bounds.above and bounds.below):
        check_bounds(number, text, option)
    elif not bounds.low < number < bounds.high:
        raise FaultError(
            f"{option.name} must be a share {bounds.in_words('')}, such as 0.05 for 5 %, got {shown_option(text)}"
        )
    return float(number)


def _read_switch(text: str, option: Option) -> bool:
    if (value := _SWITCH.get(text.lower())) is None:
        raise FaultError(f"{option.name} must be true or false, got {shown_option(text)}")
    return value
