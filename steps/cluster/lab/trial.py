"""Try on this machine what a dataplane needs of its kernel, in a namespace that preflight makes and takes away."""

from collections.abc import Iterable
from typing import Final

from analysis.errors import Problem
from steps.cluster.lab import capabilities
from steps.cluster.lab.namespaces import Job, path, run_one

NAMESPACE: Final = "preflight"


def refusal(jobs: Iterable[Job]) -> str | None:
    """What the first program that failed printed; None if none did."""
    try:
        for job in jobs:
            run_one(job)
    except Problem as problem:
        return str(problem)
    return None


def remedy(refused: str, otherwise: str) -> str:
    """What would mend a refusal: rights, where it is a matter of rights."""
    return (
        capabilities.capability_remedy(capabilities.missing_capabilities())
        if capabilities.is_forbidden(refused)
        else otherwise
    )


def of_rules(argv: tuple[str, ...], rules: str) -> tuple[str, str] | None:
    """Why the kernel takes no such rules, and what would mend it; None if it does, or there is no trial namespace."""
    refused = refusal([Job(NAMESPACE, argv, rules)]) if path(NAMESPACE).exists() else None
    if refused is None:
        return None
    return refused, remedy(refused, "use a kernel with nf_tables, conntrack and NAT, or leave it out")
