"""The options: all that a person can choose for a run. One entry each; adding one touches nothing else.

An option that is a value of its own is a field of `Settings`, with its bounds, its default and an `Option` that says
the rest. The few from whose texts `steps.settings.settings.choose_settings` makes something else stand in `CHOICES`.
Flags of the verbs, Argo's form, the variables of `make`, the documents, and which nights are compared, follow from
these entries; after a change, `make manifests` writes what is committed of them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Self, get_args

from pydantic import Field, model_validator
from pydantic_core import to_jsonable_python

from steps.catalogue import profiles, tools, topologies
from steps.catalogue.arms import burden_fault
from steps.catalogue.cells import Cell
from steps.catalogue.dataplanes import DATAPLANES, of_kind
from steps.catalogue.environments import KUBERNETES, LAB, is_lab
from steps.catalogue.option_fields import Default, Option, by_name, options_of, read_algorithm, read_list, read_rate
from steps.strict_model import StrictModel
from steps.tools.tool import Direction

MOST_LAB_SERVICES: Final = 10_000
"""The Service map of the lab's eBPF programs holds 16384 ports; kube-proxy with iptables is said to be usable to this.

A cluster may have more: the bound of the field.
"""

MOST_ARMS: Final = 250
"""A comparison of more dataplanes and twins than this is taken for a typing error."""


def _names(*, unasked: bool) -> str:
    return ", ".join(d.name for d in of_kind(KUBERNETES) if d.unasked == unasked)


_TOPOLOGIES: Final = ", ".join(t.name for t in topologies.TOPOLOGIES)
_PROTOCOLS: Final = tuple(tools.VARIANTS)
_DIRECTIONS: Final[tuple[Direction, ...]] = get_args(Direction)
_PROFILES: Final = "; ".join(f"{p.name}: {p.description}" for p in profiles.PROFILES)

CHOICES: Final = (
    Option(
        name="dataplanes",
        field="dataplanes",
        help="Comma-separated, the baseline first; all if empty. "
        f"Known: {', '.join(d.name for d in DATAPLANES)}. "
        "NAME+twin is an identical twin, NAME+burden=N a twin with N rules more in front of each packet.",
        form=f"Which to compare, separated by commas, the baseline first; empty: {_names(unasked=True)} "
        f"(there is also {_names(unasked=False)}, which switches nothing).",
        # Each series of a history is of one dataplane in one cell, so that others beside it do not matter.
        changes_method=False,
    ),
    Option(
        name="topologies",
        field="cells",
        help=f"Comma-separated; the profile's if empty. Known: {_TOPOLOGIES}.",
        form=f"Which paths, separated by commas; empty: the profile's (there are {_TOPOLOGIES}).",
        changes_method=False,
    ),
    Option(
        name="protocols",
        field="protocols",
        help=f"Comma-separated: {', '.join(_PROTOCOLS)}; the profile's if empty.",
        choices=_PROTOCOLS,
        read=read_list,
        changes_method=False,
    ),
    Option(
        name="directions",
        field="directions",
        help=f"Comma-separated: {', '.join(_DIRECTIONS)}; each topology's telling one if empty.",
        choices=_DIRECTIONS,
        read=read_list,
        changes_method=False,
    ),
    Option(
        name="profile",
        field="profile",
        help=f"How much is measured. {_PROFILES}.",
        form=f"How much is measured: {_PROFILES}.",
        enum=tuple(p.name for p in profiles.PROFILES),
        default=profiles.DEFAULT,
    ),
    Option(
        name="environment",
        field="environment",
        help="Under which name the figures are kept: lab, or a name for the cluster.",
        only="here",
        default=LAB,
    ),
    Option(
        name="nodes",
        field="nodes",
        help="The two nodes between which is measured, CLIENT,SERVER; chosen if empty.",
        form="The two nodes between which is measured, CLIENT,SERVER; empty: the two that are most alike.",
        only="cluster",
        changes_method=False,
    ),
    Option(
        name="label",
        field="label",
        help="A word by which to find the run again.",
        form="A word by which to find this run again; may be empty.",
        changes_method=False,
    ),
    Option(
        name="results",
        field="results",
        help="The store: a folder, file:// or s3://.",
        only="here",
        default="results",
        changes_method=False,
    ),
)
"""Options whose texts are more than a value: `steps.settings.settings.choose_settings` makes settings of them."""


# Upper bounds are iperf3's own (86400 s, 600 s omitted, 128 streams, 1 MiB), or where a typing error is likelier.
class Settings(StrictModel):
    """Everything that decides what is measured, and how. `dataplanes` are arms; the first is the baseline."""

    profile: str
    environment: str
    dataplanes: tuple[str, ...] = Field(max_length=MOST_ARMS)
    cells: tuple[Cell, ...] = Field(max_length=100)
    duration_s: Annotated[
        int,
        Field(ge=1, le=86_400),
        Default(
            lab={"smoke": 1, "quick": 1, "standard": 2, "thorough": 3},
            cluster={"smoke": 2, "quick": 10, "standard": 10, "thorough": 10},
        ),
        Option(help="Seconds of one trial, a whole number from 1.", too_low=' (iperf3 reads it as "for ever")'),
    ]
    repetitions: Annotated[
        int,
        Field(ge=1, le=1_000),
        Default(cluster={"quick": 2, "standard": 8, "thorough": 4}),
        Option(help="How often each trial is repeated within a visit."),
    ] = 1
    rounds: Annotated[
        int,
        Field(ge=1, le=1_000),
        Default(
            lab={"smoke": 2, "quick": 6, "standard": 10, "thorough": 10},
            cluster={"smoke": 2, "quick": 3, "standard": 4, "thorough": 6},
        ),
        Option(name="visits", help="Visits of each dataplane, which is the number of rounds.", changes_method=False),
    ]
    streams: Annotated[int, Field(ge=1, le=128), Option(help="Parallel iperf3 streams.")] = 1
    offered_bps: Annotated[
        float | None,
        Field(ge=1, le=1e13),
        Option(
            name="rate",
            help="UDP rate of all streams together, such as 500M; no limit if empty.",
            hint="such as 500M, 0 for no limit",
            read=read_rate,
        ),
    ] = None
    """UDP, of all streams together; None: no limit."""
    omit_s: Annotated[
        int,
        Field(ge=0, le=600),
        Option(help="Seconds at the beginning of each trial that iperf3 leaves out of its figures."),
    ] = 0
    idle_s: Annotated[
        float,
        Field(ge=0, le=600),
        Default(lab={"thorough": 1.0}, cluster={"smoke": 1, "quick": 5, "standard": 5, "thorough": 5}),
        Option(help="Seconds for which each visit looks at the idle nodes, before its trials."),
    ] = 0.2
    services: Annotated[
        int,
        Field(ge=0, le=20_000),
        Default(lab={"smoke": 100}, cluster={"smoke": 0, "quick": 100}),
        Option(help="How many Services the rule sets and maps hold."),
    ] = 1000
    """Which nobody uses, beside the measured one."""
    seed: Annotated[
        int,
        Field(ge=0, le=2**53),
        Option(
            help="Of the random order; a new one if empty, which is recorded.",
            changes_method=False,
        ),
    ]
    offloads: Annotated[bool, Option(help="true: leave the wire's segmentation offloads on.")] = False
    block_size_bytes: Annotated[
        int | None,
        Field(ge=16, le=1_048_576),
        Option(help="Bytes of each write or datagram; if empty iperf3's own for TCP, and what fits the MTU for UDP."),
    ] = None
    congestion_control: Annotated[
        str | None,
        Field(max_length=15),
        # Whatever the machine's own is. In an unprivileged pod only those that its node allows can be asked for.
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
        Option(help="Share of all cores that others may use before a trial is repeated, then flagged, such as 0.03."),
    ] = 0.03
    remeasure_ratio: Annotated[float, Field(ge=0, le=10), Default(lab={"smoke": 0})] = 0.5
    """What share of the time of its trials a step may spend on measuring those again that others disturbed. They are
    flagged in any case."""
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

    @model_validator(mode="after")
    def _fits_its_environment(self) -> Self:
        if is_lab(self.environment) and self.services > MOST_LAB_SERVICES:
            raise ValueError(f"services must be at most {MOST_LAB_SERVICES} in the lab, got {self.services}")
        for arm in self.dataplanes:
            if fault := burden_fault(arm):
                raise ValueError(fault)
        return self


OPTIONS: Final = (*CHOICES, *options_of(Settings))

BY_NAME: Final = by_name(OPTIONS)
"""Those that are typed as NAME=VALUE, by each of their names."""

_RECORDED: Final = frozenset({"planned_visits", "findings", "skipped", "tools"})
"""What a stored run keeps beside its settings: what came of them."""

NOT_METHOD: Final = _RECORDED | {option.field for option in OPTIONS if not option.changes_method}


def defaults(profile: str, environment: str) -> dict[str, Any]:
    """The value of each field that has one in this profile and environment when nothing is chosen."""
    found: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        value = None if field.is_required() else field.default
        for default in field.metadata:
            if isinstance(default, Default):
                value = default.of(profile, is_lab=is_lab(environment), otherwise=value)
        if value is not None or not field.is_required():
            found[name] = value
    return found


def method(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What decides what one trial of a stored run measures: runs in which it is equal can be compared.

    An option that the run lacks, since it is from before there was one, counts with its default. A parameter that is no
    option of this version is taken to change the method: figures of changed methods must never mix.

    Args:
        parameters: of the stored run, as the column of that name has them; one that is null is as good as missing.
    """
    stored = {name: value for name, value in parameters.items() if value is not None}
    own = defaults(str(stored.get("profile", "")), str(stored.get("environment", "")))
    return {
        name: value
        for name, value in {**to_jsonable_python(own), **stored}.items()
        if value is not None and name not in NOT_METHOD
    }
