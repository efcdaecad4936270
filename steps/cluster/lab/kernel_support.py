"""Try on this machine what a dataplane needs of its kernel, in a namespace that preflight creates and deletes."""

from collections.abc import Iterable
from typing import Final

from analysis.errors import Problem
from steps.cluster.lab import capabilities
from steps.cluster.lab.network.programs import Job, run_one
from steps.namespaces import path

NAMESPACE: Final = "preflight"

Refusal = tuple[str, str]
"""Why something is impossible here, and the remedy."""


def failure(jobs: Iterable[Job]) -> str | None:
    """The error of the first program that fails; None if none does."""
    try:
        for job in jobs:
            run_one(job)
    except Problem as problem:
        return str(problem)
    return None


def remedy(failed: str, otherwise: str) -> str:
    """The remedy for a failed program: rights, if these were missing."""
    if capabilities.is_forbidden(failed):
        return capabilities.capability_remedy(capabilities.missing_capabilities())
    return otherwise


def refusal_of_rules(argv: tuple[str, ...], rules: str) -> Refusal | None:
    """Why the kernel refuses such rules; None if it accepts them, or there is no namespace to try them in."""
    failed = failure([Job(NAMESPACE, argv, rules)]) if path(NAMESPACE).exists() else None
    if failed is None:
        return None
    return failed, remedy(failed, "use a kernel with nf_tables, conntrack and NAT, or leave it out")
