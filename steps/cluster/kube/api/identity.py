"""The identity of the caller of an API server, and of the workflow that it is a step of."""

from dataclasses import dataclass
from typing import Final

WORKFLOW_NAME: Final = "ARGO_WORKFLOW_NAME"
WORKFLOW_UID: Final = "ARGO_WORKFLOW_UID"
"""Environment variables of each step: the identity that Argo gave to its workflow."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller, for messages. `renew`: how to get new credentials. `impersonation`: headers to act as another."""

    who: str = "these credentials"
    renew: str = "renew them"
    impersonation: tuple[tuple[str, str], ...] = ()
