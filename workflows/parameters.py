"""The submit form: few parameters, each with a sentence; what can be chosen is read from the catalogues.

Its order is that of a person's questions: what, where, how much, on which nodes, under which word; the rest comes last
and can stay as it is. Dataplanes and topologies are texts, not drop-downs: they are lists, whose first entry is the
baseline and which may name twins, and the UI's drop-down takes one value and no other text.
"""

from typing import get_args

from hera.workflows import Parameter

from steps.catalogue.dataplanes import of_kind
from steps.catalogue.environments import KUBERNETES
from steps.catalogue.profiles import DEFAULT, PROFILES
from steps.catalogue.topologies import TOPOLOGIES
from steps.raw import Trigger

_KUBERNETES = of_kind(KUBERNETES)
_UNASKED = ", ".join(d.name for d in _KUBERNETES if d.unasked)
_ON_REQUEST = ", ".join(d.name for d in _KUBERNETES if not d.unasked)
_TOPOLOGIES = ", ".join(t.name for t in TOPOLOGIES)

FORM = (
    Parameter(
        name="dataplanes",
        value="",
        description=f"Which to compare, separated by commas, the baseline first; empty: {_UNASKED} "
        f"(there is also {_ON_REQUEST}, which switches nothing).",
    ),
    Parameter(
        name="topologies",
        value="",
        description=f"Which paths, separated by commas; empty: the profile's (there are {_TOPOLOGIES}).",
    ),
    Parameter(
        name="profile",
        value=DEFAULT,
        enum=[profile.name for profile in PROFILES],
        description="How much is measured: " + "; ".join(f"{p.name}: {p.description}" for p in PROFILES) + ".",
    ),
    Parameter(
        name="nodes",
        value="",
        description="The two nodes between which is measured, CLIENT,SERVER; empty: the two that are most alike.",
    ),
    Parameter(name="label", value="", description="A word by which to find this run again; may be empty."),
    Parameter(
        name="options",
        value="",
        description="What to change of the profile, as NAME=VALUE separated by spaces, "
        "such as `duration=5 visits=8 seed=7`; empty: nothing.",
    ),
    Parameter(
        name="trigger",
        value="submitted",
        enum=list(get_args(Trigger)),
        description="Who asked for the run; leave it as it is.",
    ),
)
