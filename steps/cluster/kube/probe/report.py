"""What the probe pods report of a node: its own network, and the results of connections. Pure.

The reports are read from pods' logs, so every text and every list is bounded.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from steps.strict_model import StrictModel

ShortText = Annotated[str, Field(max_length=300)]
_Count = Annotated[int, Field(ge=0, le=2**53)]
_Metrics = Annotated[dict[ShortText, Annotated[float, Field(allow_inf_nan=False)]], Field(max_length=100)]
_Seconds = Annotated[float, Field(ge=0, le=1e9)]


@dataclass(frozen=True, slots=True)
class HostProbe:
    """What a pod in a node's own network observes, without privileges. None is unknown.

    Attributes:
        at: the time, by the node's clock.
        interfaces: the names of all its interfaces.
        tunnel_external: whether the agent's tunnel interface takes its tunnels from BPF; None: there is none.
        proxy_mode: the mode that kube-proxy reports.
        agent_ready: the answer of the readiness page of the network plugin's agent.
        agent_started_at: when its process started, if its metrics are on.
        agent_answered_at: when its readiness page last answered; None: never.
        uplink: the interface with the node's address.
        uplink_mtu_bytes: its MTU.
        agent: chosen metrics of it, by name; None: its metrics are off.
        kube_proxy: likewise of kube-proxy; None: it does not run.
        kernel_memory_bytes: what the kernel holds for itself, see `agent_metrics`.
    """

    at: AwareDatetime
    interfaces: Annotated[frozenset[ShortText], Field(max_length=10_000)] | None = None
    tunnel_external: bool | None = None
    proxy_mode: ShortText | None = None
    agent_ready: bool | None = None
    agent_started_at: AwareDatetime | None = None
    agent_answered_at: AwareDatetime | None = None
    uplink: ShortText | None = None
    uplink_mtu_bytes: _Count | None = None
    agent: _Metrics | None = None
    kube_proxy: _Metrics | None = None
    kernel_memory_bytes: _Count | None = None

    @property
    def agent_fell_silent(self) -> bool:
        """Whether the agent's readiness page answered once and no longer does: the agent is gone."""
        return self.agent_ready is None and self.agent_answered_at is not None


@dataclass(frozen=True, slots=True)
class ServiceProbe:
    """The results of new connections to one Service address.

    Attributes:
        node: the node whose rules the connections depend on.
        target: a description of the address.
        ok_at: the time of the last success; None: none.
        failed_at: the time of the last failure; None: none.
        error: the reason of that failure.
        since: when the attempts began; None: unknown.
        failed: the number of failures.
        failed_since_ok: of those after the first success.
    """

    node: ShortText
    target: ShortText
    ok_at: AwareDatetime | None = None
    failed_at: AwareDatetime | None = None
    error: ShortText | None = None
    since: AwareDatetime | None = None
    failed: _Count = 0
    failed_since_ok: _Count = 0


class ConnectionReport(StrictModel):
    """The results of one connection that is kept open."""

    name: ShortText
    protocol: Literal["tcp", "udp"]
    connected: _Count
    dropped: _Count
    sent: _Count
    received: _Count
    silent_s: _Seconds
    longest_gap_s: _Seconds


class ProbeReport(StrictModel):
    """One line of a probe pod's log. `host`: None for a pod in the pod network. `rests`: see `probe.rest`."""

    at: AwareDatetime
    node: ShortText
    host: HostProbe | None
    rests: bool = False
    answers: Annotated[tuple[ServiceProbe, ...], Field(max_length=16)]
    lines: Annotated[tuple[ConnectionReport, ...], Field(max_length=16)]
