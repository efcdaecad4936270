"""What the pods on a node report of it: its own network, and how connections fare. Pure."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class HostProbe:
    """What a pod in a node's own network sees there, without any privilege. None: it could not be seen.

    Attributes:
        at: when it looked, by the node's clock.
        interfaces: the names of all its interfaces.
        vxlan_external: whether vxlan.calico takes its tunnels from BPF; None where there is no such interface.
        proxy_mode: what kube-proxy there calls its mode.
        felix_ready: what Felix's own readiness address answers.
        felix_answered_at: when that address answered last, if it ever did.
        felix_started_at: when Felix's process started, where its metrics are on.
    """

    at: datetime
    interfaces: frozenset[str] | None = None
    vxlan_external: bool | None = None
    proxy_mode: str | None = None
    felix_ready: bool | None = None
    felix_started_at: datetime | None = None
    felix_answered_at: datetime | None = None

    @property
    def felix_fell_silent(self) -> bool:
        """Whether Felix's readiness address answered once and is not to be reached now: Felix is gone."""
        return self.felix_ready is None and self.felix_answered_at is not None


@dataclass(frozen=True, slots=True)
class ServiceProbe:
    """How new connections to one Service address fare, as seen from a node.

    Attributes:
        node: the node whose rules the connections depend on.
        target: what was connected to, in words.
        ok_at: when one was last answered; None: never.
        failed_at: when one last failed; None: never.
        error: what that failure said.
        since: when trying began, if that is known.
    """

    node: str
    target: str
    ok_at: datetime | None = None
    failed_at: datetime | None = None
    error: str | None = None
    since: datetime | None = None
