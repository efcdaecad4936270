"""The submit form: few parameters, each with a sentence; fixed choices are read from the catalogues."""

from hera.workflows import Parameter

from steps.catalogue.dataplanes import DATAPLANES
from steps.catalogue.profiles import DEFAULT, PROFILES
from steps.catalogue.topologies import TOPOLOGIES


def _names(entries: tuple[object, ...]) -> str:
    return ", ".join(getattr(entry, "name", "") for entry in entries)


FORM = (
    Parameter(
        name="profile",
        value=DEFAULT,
        enum=[profile.name for profile in PROFILES],
        description="How much is measured: " + "; ".join(f"{p.name}: {p.description}" for p in PROFILES) + ".",
    ),
    Parameter(
        name="dataplanes",
        value="",
        description="Which to compare, separated by commas, the baseline first; empty: all of the environment. "
        f"Known: {_names(DATAPLANES)}.",
    ),
    Parameter(
        name="topologies",
        value="",
        description=f"Which paths, separated by commas; empty: the profile's. Known: {_names(TOPOLOGIES)}.",
    ),
    Parameter(
        name="options",
        value="",
        description="What to change of the profile, as NAME=VALUE separated by spaces, "
        "such as `duration=5 rounds=8 seed=7`; empty: nothing.",
    ),
    Parameter(
        name="nodes",
        value="",
        description="The two nodes between which is measured, CLIENT,SERVER; empty: the two that are most alike.",
    ),
    Parameter(name="label", value="", description="A word by which to find this run again; may be empty."),
    Parameter(
        name="trigger",
        value="submitted",
        enum=["submitted", "nightly", "local"],
        description="Who asked for the run; leave it as it is.",
    ),
)
