"""The inputs of the tasks: what each may be, for the template's expressions and for the steps alike.

Anyone who may submit a workflow can start any template with any inputs. So a template uses an input in a pod's
specification or in an artifact's key only through `checked_tag`, and each task checks all of its inputs again.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from analysis.errors import BadInput
from steps.catalogue.option_fields import shown_option
from steps.settings.settings import LONGEST_TEXT, load_settings
from steps.tasks.shared.artifacts import artifacts_of

BY_ITS_OWN: Final = "submit the workflow by its own entrypoint"
"""What to do about inputs that no run of the template has."""

REFUSED: Final = "refused"
"""What `checked_tag` inserts in place of an invalid value. It is valid in a key, but no visit, topology or node."""


@dataclass(frozen=True, slots=True)
class Input:
    """What an input may be. `pattern`: of the whole value, read alike by Python's re and by Go's regexp."""

    pattern: str
    meaning: str


_TEXT: Final = Input(rf"(?s:.{{0,{LONGEST_TEXT}}})", f"a text of at most {LONGEST_TEXT} characters")
_PHASE: Final = Input("Pending|Running|Succeeded|Failed|Error|Skipped|Omitted", "a phase of Argo's, such as Succeeded")
_FORM: Final = ("profile", "dataplanes", "topologies", "options", "nodes", "label", "trigger")
"""Fields of the form, of which `validate` has more to say."""

INPUTS: Final[Mapping[str, Input]] = {
    "settings": _TEXT,
    "visit": Input("[0-9]{2,9}", "a visit's number of at least two digits"),
    "visits": _TEXT,
    "level": Input("[0-9]{2,3}", "a level of the rounds, such as 01"),
    "what": Input("[a-z0-9][a-z0-9-]{0,62}", "a topology, or host-network"),
    "client-node": Input("[a-z0-9][a-z0-9.-]{0,252}", "a node's name"),
    "network": Input("node|outside|pod", "node, outside or pod"),
    "timeout": Input("[0-9]{1,6}s", "a number of seconds, such as 1800s"),
    "title": Input("[A-Za-z0-9][A-Za-z0-9.-]{0,62}", "a name of letters, digits, dots and dashes, 63 at most"),
    "dataplane": Input("[a-z0-9][a-z0-9-]{0,62}([+][A-Za-z0-9._=-]{1,40})?", "a dataplane, or NAME+LABEL"),
    "round": Input("[0-9]{1,4}", "a round's number"),
    "status": _PHASE,
    "restored": _PHASE,
    "configured": _PHASE,
    "headline": _TEXT,
    "outcome": Input("measured|measured-with-failures|nothing-measured", "a run's outcome, such as measured"),
    "regression": _TEXT,
    **dict.fromkeys(_FORM, _TEXT),
}


def checked_tag(name: str) -> str:
    """The tag that inserts an input into a template where it matches its pattern, and else REFUSED."""
    value = f"inputs.parameters['{name}']"
    return f"{{{{={value} matches '^{INPUTS[name].pattern}$' ? {value} : '{REFUSED}'}}}}"


def input_names(function: Callable[..., object]) -> dict[str, str]:
    """The inputs of a step by their parameters: those that are texts; the others are artifacts."""
    return {
        parameter.name: parameter.name.replace("_", "-")
        for parameter in inspect.signature(function).parameters.values()
        if getattr(parameter.annotation, "__origin__", parameter.annotation) is str
    }


def require_checks(step: Callable[..., object]) -> None:
    """Raise TypeError where an input of a step has no entry in INPUTS, or a parameter is no input and no artifact."""
    names, name = input_names(step), getattr(step, "__name__", step)
    if unknown := sorted(set(names.values()) - INPUTS.keys()):
        raise TypeError(f"input {unknown[0]} of {name} has no entry in INPUTS, so nothing would check it")
    known = names.keys() | artifacts_of(step).keys()
    if others := [each for each in inspect.signature(step).parameters if each not in known]:
        raise TypeError(f"parameter {others[0]} of {name} is neither a text nor an Artifact, so nothing would pass it")


def check_inputs(values: Mapping[str, object]) -> None:
    """Check the values of a task's inputs, by their names.

    Raises:
        BadInput: a sentence for each value that is not permitted.
    """
    faults = [
        f"input {name} is {shown_option(str(value))}, and must be {INPUTS[name].meaning}"
        for name, value in values.items()
        if not isinstance(value, str) or re.fullmatch(INPUTS[name].pattern, value, re.ASCII) is None
    ]
    if faults:
        raise BadInput("\n".join(f"{fault}: {BY_ITS_OWN}." for fault in faults))
    if "settings" in values:
        load_settings(str(values["settings"]))
