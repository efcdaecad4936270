"""Findings of a preflight: none that stops or leaves out anything comes without what would mend it. Pure."""

from typing import Final

from steps.domain import Finding

CLUSTER: Final = "cluster"
"""The subject of a finding that concerns the whole run."""

NO_COMMAND: Final = "No command mends that:"
"""How a remedy begins that is not to be typed."""


def stop(reason: str, remedy: str) -> Finding:
    """Nothing can run."""
    return Finding(severity="stop", subject=CLUSTER, reason=reason, remedy=remedy)


def skip(name: str, reason: str, remedy: str) -> Finding:
    """A dataplane is left out."""
    return Finding(severity="skip", subject=name, reason=reason, remedy=remedy)


def warn(reason: str, remedy: str | None) -> Finding:
    """Something to know; there may be nothing to do about it."""
    return Finding(severity="warn", subject=CLUSTER, reason=reason, remedy=remedy)
