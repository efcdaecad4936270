"""The identity of the caller of an API server."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller, for messages. `renew`: how to get new credentials. `impersonation`: headers to act as another."""

    who: str = "these credentials"
    renew: str = "renew them"
    impersonation: tuple[tuple[str, str], ...] = ()
