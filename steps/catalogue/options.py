"""The options: everything that a user can choose for a run, one entry each.

Most are fields of `Settings`, with bounds, default and an `Option`. The few whose texts are parsed together are in
`steps.catalogue.choices`. The verbs' flags, Argo's form, the variables of `make`, docs/options.md and the choice of
nights to compare derive from these entries; after a change, `make manifests` renders the committed files.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator
from pydantic_core import to_jsonable_python

from analysis.domain import DEALT, IMPORTED, MARGIN_RATIO
from steps.catalogue import factors
from steps.catalogue.arms import burden_fault
from steps.catalogue.cells import PlannedCell
from steps.catalogue.choices import CHOICES
from steps.catalogue.environments import is_lab
from steps.catalogue.factors import MOST_SCALES, Scale
from steps.catalogue.option_fields import Default, Option, by_name, options_of
from steps.catalogue.option_readers import read_algorithm, read_duration, read_rate, read_run_id
from steps.strict_model import StrictModel

_LONGEST_RUN_ID: Final = 200

MOST_ARMS: Final = 250
"""More dataplanes and twins than this are taken for a typing error."""


# Upper bounds are iperf3's own (86400 s, 600 s omitted, 128 streams, 1 MiB), or exclude typing errors.
class Settings(StrictModel):
    """What is measured, and how. `dataplanes` are arms; the first is the baseline."""

    profile: str
    environment: str
    dataplanes: tuple[str, ...] = Field(max_length=MOST_ARMS)
    cells: tuple[PlannedCell, ...] = Field(max_length=100)
    duration_s: Annotated[
        int,
        Field(ge=1, le=86_400),
        Default(
            lab={"smoke": 1, "selftest": 1, "scale": 1, "quick": 1, "standard": 1, "thorough": 2},
            cluster={"smoke": 2, "selftest": 2, "scale": 2, "quick": 2, "standard": 24, "thorough": 8},
        ),
        Option(
            help="Seconds of one trial, a whole number from 1.",
            too_low=' (iperf3 reads it as "for ever")',
            quantity=("",),
        ),
    ]
    repetitions: Annotated[
        int,
        Field(ge=1, le=1_000),
        Default(cluster={"standard": 3}),
        Option(help="How often each trial is repeated within a visit."),
    ] = 1
    rounds: Annotated[
        int,
        Field(ge=1, le=1_000),
        Default(
            lab={"smoke": 2, "selftest": 1, "scale": 4, "quick": 5, "standard": 9, "thorough": 5},
            cluster={"smoke": 2, "selftest": 1, "scale": 3, "quick": 4, "standard": 9, "thorough": 10},
        ),
        Option(
            aliases=("visits",),
            help="Rounds at most; each visits every dataplane once. From the third on a run stops when all is decided.",
            changes_method=False,
        ),
    ]
    budget_s: Annotated[
        int | None,
        Field(ge=60, le=172_800),
        Option(
            help="How long the run may take, such as 20m: it ends before a round that would take it longer, but has "
            "its first round in any case; no limit if empty.",
            hint="such as 20m, 1h30m, 900s",
            read=read_duration,
            changes_method=False,
        ),
    ] = None
    margin_ratio: Annotated[
        float,
        Field(gt=0, lt=1),
        Option(
            help="How small a difference counts as none, as a share, such as 0.1 for 10 %.",
            changes_method=False,
        ),
    ] = MARGIN_RATIO
    continues: Annotated[
        str,
        Field(max_length=_LONGEST_RUN_ID),
        Option(
            help="A stored run whose verdict needs more rounds: these are measured by its settings and judged with its "
            "own.",
            hint="a run's id",
            read=read_run_id,
            changes_method=False,
        ),
    ] = ""
    streams: Annotated[int, Field(ge=1, le=128), Option(help="Parallel iperf3 streams.", quantity=("iperf3 ",))] = 1
    offered_bps: Annotated[
        float | None,
        Field(ge=1, le=1e13),
        Option(
            name="rate",
            help="UDP rate of all streams together, such as 500M; no limit if empty.",
            hint="such as 500M, 0 for no limit",
            read=read_rate,
            quantity=("iperf3 udp",),
        ),
    ] = None
    omit_s: Annotated[
        int,
        Field(ge=0, le=600),
        Option(
            help="Seconds at the beginning of each trial that iperf3 leaves out of its figures.", quantity=("iperf3 ",)
        ),
    ] = 0
    idle_s: Annotated[
        float,
        Field(ge=0, le=600),
        Default(
            lab={"thorough": 1.0},
            cluster={"smoke": 1, "selftest": 1, "scale": 1, "quick": 1, "standard": 5, "thorough": 5},
        ),
        Option(help="Seconds for which each visit observes the idle nodes, before its trials.", changes_method=False),
    ] = 0.2
    scales: tuple[Scale, ...] = Field(min_length=1, max_length=MOST_SCALES)
    """What the cluster is like in turn within each visit: the product of the values of all factors."""
    seed: Annotated[
        int,
        Field(ge=0, le=2**53),
        Option(help="Of the random order; a new one if empty, which is recorded.", changes_method=False),
    ]
    offloads: Annotated[bool, Option(help="true: leave the wire's segmentation offloads on.")] = False
    block_size_bytes: Annotated[
        int | None,
        Field(ge=16, le=1_048_576),
        Option(
            help="Bytes of each write or datagram; if empty iperf3's own for TCP, what fits the MTU for UDP, and 64 "
            "for requests.",
            quantity=("iperf3 ", "sockperf"),
        ),
    ] = None
    loss_bound_ratio: Annotated[
        float,
        Field(gt=0, lt=1),
        Option(
            help="Share of datagrams that may be lost at the rate that a ladder looks for, such as 0.001 for 0.1 %.",
            quantity=("ladder",),
        ),
    ] = 0.001
    congestion_control: Annotated[
        str | None,
        Field(max_length=15),
        # An unprivileged pod can only choose those that its node allows.
        Default(lab="cubic"),
        Option(
            help="TCP's algorithm, such as bbr; if empty cubic in the lab, and on a cluster each node's own.",
            hint="such as bbr",
            read=read_algorithm,
        ),
    ] = None
    foreign_cpu_limit_ratio: Annotated[
        float,
        Field(ge=0.001, le=1),
        # An idle node of a cluster has its kubelet, its container runtime and its network plugin.
        Default(cluster=0.15),
        Option(help="Share of all cores that others may use before a trial is repeated, then flagged, such as 0.03."),
    ] = 0.03
    remeasure_ratio: Annotated[float, Field(ge=0, le=10), Default(lab={"smoke": 0, "selftest": 0})] = 0.5
    """The time that a step may spend on repeating disturbed trials, as a share of the time of all its trials."""
    regression_limit_ratio: Annotated[
        float,
        Field(gt=0, lt=1),
        Option(
            help="How much worse than in the nights before fails a nightly run, as a share, such as 0.05.",
            changes_method=False,
        ),
    ] = 0.05
    label: str = Field(default="", max_length=200)
    results: str

    @model_validator(mode="before")
    @classmethod
    def _upgrade(cls, data: Any) -> Any:  # noqa: ANN401 - whatever a document holds
        """Read the settings of runs from before factors, which have a number of Services."""
        if not isinstance(data, dict) or "services" not in data or "scales" in data:
            return data
        others = {name: value for name, value in data.items() if name != "services"}
        return {**others, "scales": ({"services": data["services"]},)}

    @model_validator(mode="after")
    def _has_possible_burdens(self) -> Self:
        for arm in self.dataplanes:
            if fault := burden_fault(arm):
                raise ValueError(fault)
        return self

    @property
    def services(self) -> int:
        """The most unused Services of any scale."""
        return max(scale.services for scale in self.scales)


OPTIONS: Final = (
    *(replace(option, field=option.field or option.name) for option in CHOICES),
    *options_of(Settings),
    *factors.options(),
)

BY_NAME: Final = by_name(OPTIONS)
"""Those typed as NAME=VALUE, by each of their names."""

_RECORDED: Final = frozenset(
    {
        "planned_visits",
        "findings",
        "skipped",
        "tools",
        "topologies",
        "rounds_run",
        "stopped",
        "stopped_reason",
        "decided_after",
        "repeats",
        "looks",
        "factors",
        IMPORTED,
        DEALT,
    }
)
"""What a stored run has beside its settings: their outcome."""

_METHOD: Final = frozenset(option.field for option in OPTIONS if option.changes_method)

NOT_METHOD: Final = (_RECORDED | {option.field for option in OPTIONS} | Settings.model_fields.keys()) - _METHOD
"""Outcomes, and settings that no option marks as the method: those that nobody can choose follow from the profile."""

NAMES: Final = {option.field: option.name for option in OPTIONS}
"""Field -> the option as it is typed."""

QUANTITIES: Final = {option.field: option.quantity for option in OPTIONS if option.quantity}
"""Field -> the trials whose figures are another quantity where it differs, by how `TOOL TRANSPORT` begins."""


def defaults(profile: str, environment: str) -> dict[str, Any]:
    """The default of each field that has one in this profile and environment."""
    found: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        value = None if field.is_required() else field.default
        for default in field.metadata:
            if isinstance(default, Default):
                value = default.of(profile, is_lab=is_lab(environment), otherwise=value)
        if value is not None or not field.is_required():
            found[name] = value
    values = factors.default_values(profile, is_lab=is_lab(environment))
    return {**found, "scales": factors.scales_of(values)}


def settings_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The settings among the parameters of a stored run, of this version or of an earlier one, as JSON has them."""
    older = {"services"} if "scales" not in parameters else set()
    return {name: value for name, value in parameters.items() if name in Settings.model_fields or name in older}


def method(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that decide what one trial of a stored run measures: runs are comparable where they are equal.

    An option that the run lacks counts as its default. A parameter that is no option of this version is taken to change
    the method: figures of different methods must never mix. `parameters`: the column of that name; null counts as
    missing.
    """
    stored = {name: value for name, value in parameters.items() if value is not None}
    own = defaults(str(stored.get("profile", "")), str(stored.get("environment", "")))
    return {
        name: value
        for name, value in {**to_jsonable_python(own), **stored}.items()
        if value is not None and name not in NOT_METHOD
    }
