"""The submit form: the options with a field of their own, then the text of all others.

Dataplanes and topologies are texts, since the UI's drop-down takes a single value and these are lists.
"""

from typing import get_args

from hera.workflows import Parameter

from steps.catalogue.option_fields import Option
from steps.catalogue.options import OPTIONS
from steps.run_documents import Trigger

_KNOWN = ", ".join(
    f"{option.name} ({option.values})" if option.values else option.name for option in OPTIONS if option.read
)


def _field(option: Option) -> Parameter:
    return Parameter(name=option.name, value=option.default, enum=list(option.enum) or None, description=option.form)


FORM = (
    *(_field(option) for option in OPTIONS if option.form),
    Parameter(
        name="options",
        value="",
        description="What to change of the profile, as NAME=VALUE separated by spaces, "
        f"such as `duration=5 rounds=8 seed=7`; empty: nothing. There are {_KNOWN}.",
    ),
    Parameter(
        name="trigger",
        value="submitted",
        enum=list(get_args(Trigger)),
        description="What started the run; leave it as it is.",
    ),
)
