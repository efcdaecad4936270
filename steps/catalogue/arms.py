"""What is wrong with a dataplane as typed, as sentences. Pure."""

import re
from typing import Final

from steps.catalogue.dataplanes import BY_NAME, Arm, of_kind
from steps.catalogue.environments import LAB, kind_of
from steps.catalogue.option_fields import nearest, shown_option

MOST_RULES: Final = 100_000
"""Of a burdened twin: loading them takes some 2 s and 110 MB on each of the lab's nodes."""

_LABEL: Final = re.compile(r"[A-Za-z0-9._=-]{1,40}")


def arm_fault(name: str, environment: str) -> str | None:
    """What is wrong with an arm as typed in an environment of this name, as a sentence; None if nothing is."""
    kind = kind_of(environment)
    here = [d.name for d in of_kind(kind)]
    arm = Arm.parse(name)
    known = BY_NAME.get(arm.name)
    if known is None:
        return f"unknown dataplane {shown_option(arm.name)}: {nearest(arm.name, here)}"
    if known.environment != kind:
        return (
            f"dataplane {arm.name} belongs to {known.environment}, and environment {shown_option(environment)} is "
            f"{'the lab' if kind == LAB else 'a Kubernetes cluster'}: choose from {', '.join(here)}"
        )
    if arm.label is not None and _LABEL.fullmatch(arm.label) is None:
        what = f"label of dataplane {shown_option(name)}"
        return f"{what} must be letters, digits and ._=-, 40 at most: write {arm.name}+twin"
    return burden_fault(name)


def burden_fault(name: str) -> str | None:
    """What is wrong with the number of rules of a burdened twin; None if nothing is."""
    arm = Arm.parse(name)
    if arm.label is None or not arm.label.startswith("burden"):
        return None
    rules = arm.label.removeprefix("burden=")
    if rules == arm.label or not (rules.isascii() and rules.isdigit() and rules.strip("0")):
        return f"dataplane {shown_option(name)} needs a number of rules: write {arm.name}+burden=100"
    if len(rules.lstrip("0")) > len(str(MOST_RULES)) or int(rules) > MOST_RULES:
        return f"dataplane {name!r} must have a burden of at most {MOST_RULES} rules"
    return None
