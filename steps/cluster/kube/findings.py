"""Findings of a preflight: each that stops or skips anything has a remedy. Pure."""

from collections.abc import Iterable
from typing import Final

from steps.domain import Finding

CLUSTER: Final = "cluster"
"""The subject of a finding about the whole run."""

NO_COMMAND: Final = "No command mends that:"
"""The beginning of a remedy that is no command."""


def stop(reason: str, remedy: str, subject: str = CLUSTER) -> Finding:
    """Nothing can run."""
    return Finding(severity="stop", subject=subject, reason=reason, remedy=remedy)


def skip(name: str, reason: str, remedy: str) -> Finding:
    """A dataplane or a topology is left out."""
    return Finding(severity="skip", subject=name, reason=reason, remedy=remedy)


def skip_all(names: Iterable[str], reason: str, remedy: str) -> list[Finding]:
    """These dataplanes are left out."""
    return [skip(name, reason, remedy) for name in names]


def warn(reason: str, remedy: str | None, subject: str = CLUSTER) -> Finding:
    """Something to know, perhaps without a remedy."""
    return Finding(severity="warn", subject=subject, reason=reason, remedy=remedy)
