"""As whom the API server is called."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """As whom the API server is called.

    `who`: for sentences. `renew`: what gets new credentials. `impersonation`: headers by which it is somebody else.
    """

    who: str = "these credentials"
    renew: str = "renew them"
    impersonation: tuple[tuple[str, str], ...] = ()
