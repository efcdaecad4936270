"""The factors: what a run varies about the cluster beside the dataplane. One field of `Scale` each, with its entry.

How a factor is made, removed and counted is the part of each environment: in the lab the module that the entry names,
in steps/cluster/lab/factors.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import Field, model_validator

from steps.catalogue.option_fields import Default, Option, bounds_of
from steps.catalogue.option_readers import read_values
from steps.strict_model import StrictModel

MOST_ENDPOINTS: Final = 250_000
"""Of all unused Services together: what fits the maps of the lab's eBPF programs."""

MOST_SCALES: Final = 50
"""Of a run: more are taken for a typing error."""

_AGENTS_S: Final = 5e-6
"""By the square of the Services on a cluster: its agents go through all that there are for each change. A visit with
1,500 took 15 s longer than by `makes_s` alone, and one with 5,000 140 s, in the mean of three dataplanes."""

Number = int | float
Lists = Mapping[str, Sequence[Number]]
"""The values of factors, by their fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorEntry:
    """The entry of a factor, in the metadata of its field, whose name is its column of `trials`.

    The field's bounds are those of every environment; preflight may say less. Its own default is the value of rows from
    before the factor existed.

    Attributes:
        title: a plural noun in reports, as in `10,000 Services`.
        help: its effect, a sentence, for `--help` and docs/options.md.
        module: what makes, removes and counts it in an environment; factors that are made together share one.
        option: as typed, if not the field's name.
        unit: after a value; empty for a count.
        axis: how its values are spread in a chart; log has a place for zero.
        default: the values of a run that chooses none, by environment and profile.
        usual: likewise in other profiles; None: the field's own default.
        makes_s: what one of them takes to make and to count in a change, in the lab and on a cluster, seconds, mean of
            all dataplanes; on a cluster of making and removing, where two nodes share two cores.
        of_services: it says something of the unused Services, so that it has its own default where there are none.
    """

    title: str
    help: str
    module: str
    option: str = ""
    unit: str = ""
    axis: Literal["linear", "log"] = "log"
    default: Default = field(default_factory=Default)
    usual: tuple[Number, ...] | None = None
    makes_s: tuple[float, float] = (0.0, 0.0)
    of_services: bool = False


class Scale(StrictModel):
    """What a cluster is like while a trial is measured: one value of each factor."""

    services: Annotated[
        int,
        Field(ge=0, le=45_000),
        FactorEntry(
            title="Services",
            help="How many unused Services the rule sets and maps contain, beside the measured one.",
            module="services",
            default=Default(
                lab={"smoke": (100,), "selftest": (100,), "scale": (0, 1_000, 10_000)},
                cluster={"smoke": (0,), "selftest": (0,), "quick": (100,), "scale": (0, 500, 1_500)},
            ),
            usual=(1_000,),
            makes_s=(1.6e-4, 2e-2),
        ),
    ] = 0
    endpoints: Annotated[
        int,
        Field(ge=1, le=1_000),
        FactorEntry(
            title="endpoints per Service",
            help="How many endpoints each of these Services has.",
            module="services",
            of_services=True,
        ),
    ] = 1
    policies: Annotated[
        int,
        Field(ge=0, le=10_000),
        FactorEntry(
            title="policies",
            help="How many NetworkPolicies select the measured pods and match none of their traffic.",
            module="policies",
            makes_s=(1e-3, 1e-2),
        ),
    ] = 0
    churn_per_s: Annotated[
        float,
        Field(ge=0, le=1_000),
        FactorEntry(
            title="endpoint changes",
            help="How many endpoints of these Services change per second, while everything is measured.",
            module="churn",
            option="churn",
            unit="/s",
            of_services=True,
        ),
    ] = 0.0

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.services * self.endpoints > MOST_ENDPOINTS:
            raise ValueError(
                f"{self.services} services with {self.endpoints} endpoints each are "
                f"{self.services * self.endpoints}, and {MOST_ENDPOINTS} is the most: choose fewer of either"
            )
        if not self.services and any(getattr(self, name) != of_none(name) for name in _OF_SERVICES):
            raise ValueError(f"without Services there is no {' and no '.join(map(_option_name, _OF_SERVICES))}")
        return self

    @property
    def columns(self) -> dict[str, Any]:
        """The values by their columns of `trials`."""
        return self.model_dump()

    def change_s(self, before: Self | None, *, is_lab: bool) -> float:
        """Seconds that a change to this scale takes, from another one or from nothing.

        In the lab all of it is made, and endpoints cost what as many Services would; on a cluster the difference is
        written, endpoints cost little, and each Service costs more the more there are.
        """
        growing_s = 0.0
        if is_lab:
            changed = {"services": self.services * self.endpoints, "policies": self.policies}
        else:
            there = before or Scale()
            changed = {
                "services": abs(self.services - there.services),
                "policies": abs(self.policies - there.policies),
            }
            growing_s = _AGENTS_S * abs(self.services**2 - there.services**2)
        return growing_s + sum(FACTORS[name].makes_s[0 if is_lab else 1] * count for name, count in changed.items())

    @property
    def words(self) -> str:
        """The values as typed: `services=1000 endpoints=50 policies=0 churn=0`."""
        return self.words_of(FACTORS)

    def words_of(self, names: Iterable[str]) -> str:
        """The values of some factors, likewise."""
        return " ".join(f"{_option_name(name)}={getattr(self, name):g}" for name in names)


FACTORS: Final[Mapping[str, FactorEntry]] = {
    name: entry
    for name, info in Scale.model_fields.items()
    for entry in info.metadata
    if isinstance(entry, FactorEntry)
}
"""The entries by their fields."""

_OF_SERVICES: Final = tuple(name for name, factor in FACTORS.items() if factor.of_services)


def _option_name(name: str) -> str:
    return FACTORS[name].option or name


def of_none(name: str) -> Number:
    """The value of a factor in rows from before it existed, and where nobody chose one."""
    value: Number = Scale.model_fields[name].default
    return value


def options() -> tuple[Option, ...]:
    """The option of each factor: a list of values."""
    found = []
    for name, info in Scale.model_fields.items():
        bounds = bounds_of(info)
        other = 100 if bounds.low < 100 < bounds.high else bounds.high  # noqa: PLR2004 - an example
        several = f"one or more of {bounds.in_words('')}, such as {bounds.low:g},{other:g}"
        found.append(
            Option(
                name=_option_name(name),
                field=name,
                help=f"{FACTORS[name].help} Of several, separated by commas, each visit measures all.",
                hint=several,
                bounds=bounds,
                read=read_values(whole=info.annotation is int or int in get_args(info.annotation)),
                changes_method=False,
            )
        )
    return tuple(found)


def default_values(profile: str, *, is_lab: bool) -> dict[str, tuple[Number, ...]]:
    """The values of each factor where a run chooses none."""
    found: dict[str, tuple[Number, ...]] = {}
    for name, factor in FACTORS.items():
        value = factor.default.of(profile, is_lab=is_lab, otherwise=factor.usual)
        found[name] = value if isinstance(value, tuple) else (of_none(name),)
    return found


def scales_of(values: Lists) -> tuple[Scale, ...]:
    """The product of the factors' values, without what they share where there are no Services.

    Raises:
        ValidationError: a combination is impossible.
    """
    found: dict[Scale, None] = {}
    for combination in product(*(values[name] for name in FACTORS)):
        chosen = dict(zip(FACTORS, combination, strict=True))
        if not chosen["services"]:
            chosen |= {name: of_none(name) for name in _OF_SERVICES}
        found[Scale.model_validate(chosen)] = None
    return tuple(found)


def list_faults(values: Lists) -> list[str]:
    """What is wrong with lists of values together, each a sentence without its full stop."""
    faults = [
        f"{_option_name(name)} is of the unused Services, and there are none: add services=1000"
        for name in _OF_SERVICES
        if not any(values["services"]) and any(value != of_none(name) for value in values[name])
    ]
    count = prod(len(values[name]) for name in FACTORS)
    if count > MOST_SCALES:
        faults.append(
            f"the values of {', '.join(map(_option_name, FACTORS))} combine to {count} scales, and {MOST_SCALES} is "
            "the most"
        )
    return faults


def varied(scales: Sequence[Scale]) -> dict[str, tuple[Number, ...]]:
    """The values of the factors that differ among scales, in ascending order."""
    found = {name: tuple(sorted({getattr(scale, name) for scale in scales})) for name in FACTORS}
    return {name: values for name, values in found.items() if len(values) > 1}
