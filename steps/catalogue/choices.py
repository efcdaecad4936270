"""The options whose texts `steps.settings.settings.choose_settings` parses together, one entry each."""

from typing import Final, get_args

from steps.catalogue import profiles, tools, topologies
from steps.catalogue.dataplanes import DATAPLANES, of_kind
from steps.catalogue.environments import KUBERNETES, LAB
from steps.catalogue.option_fields import Option
from steps.catalogue.option_readers import read_list
from steps.tools.tool import Direction


def _names(*, by_default: bool) -> str:
    return ", ".join(d.name for d in of_kind(KUBERNETES) if d.by_default == by_default)


_TOPOLOGIES: Final = ", ".join(t.name for t in topologies.TOPOLOGIES)
_PROTOCOLS: Final = tuple(tools.VARIANTS)
_DIRECTIONS: Final[tuple[Direction, ...]] = get_args(Direction)
_PROFILES: Final = "; ".join(f"{p.name}: {p.description}" for p in profiles.PROFILES)

CHOICES: Final = (
    Option(
        name="dataplanes",
        help="Comma-separated, the baseline first; all if empty. "
        f"Known: {', '.join(d.name for d in DATAPLANES)}. "
        "NAME+twin is an identical twin, NAME+burden=N a twin with N rules more in front of each packet.",
        form=f"Which to compare, separated by commas, the baseline first; empty: {_names(by_default=True)} "
        f"(there is also {_names(by_default=False)}, which switches nothing).",
        # each series of a history is of one dataplane in one cell
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
        help=f"Comma-separated: {', '.join(_PROTOCOLS)}; the profile's if empty.",
        choices=_PROTOCOLS,
        read=read_list,
        changes_method=False,
    ),
    Option(
        name="directions",
        help=f"Comma-separated: {', '.join(_DIRECTIONS)}; each topology's most informative one if empty.",
        choices=_DIRECTIONS,
        read=read_list,
        changes_method=False,
    ),
    Option(
        name="profile",
        help=f"How much is measured. {_PROFILES}.",
        form=f"How much is measured: {_PROFILES}.",
        enum=tuple(p.name for p in profiles.PROFILES),
        default=profiles.DEFAULT,
    ),
    Option(
        name="environment",
        help="The name under which the figures are stored: lab, or a name for the cluster.",
        only="here",
        default=LAB,
    ),
    Option(
        name="nodes",
        help="The two nodes to measure between, CLIENT,SERVER; chosen if empty.",
        form="The two nodes to measure between, CLIENT,SERVER; empty: the two that are most alike.",
        only="cluster",
        changes_method=False,
    ),
    Option(
        name="label",
        help="A word by which to find the run again.",
        form="A word by which to find this run again; may be empty.",
        changes_method=False,
    ),
    Option(
        name="results",
        help="The store: a folder, file:// or s3://.",
        only="here",
        default="results",
        changes_method=False,
    ),
)
