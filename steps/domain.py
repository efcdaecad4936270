"""What the steps pass to each other: immutable, validated, and small enough for a workflow parameter."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, model_validator

from analysis import formatting
from steps.catalogue.cells import Measured
from steps.strict_model import StrictModel
from steps.tools.tool import Direction

Seconds = Annotated[float, Field(ge=0, le=1e9)]
"""How long something took."""

Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""How many of something there were; as large as the tables' smallest columns take."""

Moment = Literal["before", "after"]
"""before the first trial of a visit, after its last."""

MOMENTS: Final[tuple[Moment, ...]] = get_args(Moment)


class Trial(Measured):
    """One planned measurement."""

    trial: int
    visit: int
    position: int
    topology: str
    direction: Direction
    streams: int
    offered_bps: float | None
    repetition: int
    duration_s: int


class Visit(StrictModel):
    """One planned stay in a dataplane. `dataplane` is an arm: a catalogue name, with +label for a twin."""

    visit: int
    round: int
    dataplane: str
    trials: tuple[Trial, ...]


class Finding(StrictModel):
    """One reason why a run, or a part of it, is impossible or in doubt here, and the remedy.

    severity stop: nothing can run. skip: `subject` (a dataplane or topology) is left out. warn: it is recorded.
    """

    severity: Literal["stop", "skip", "warn"]
    subject: str
    reason: str
    remedy: str | None = None

    @property
    def sentence(self) -> str:
        """Subject, reason and remedy."""
        return f"{self.subject}: {formatting.sentences(self.reason, self.remedy)}"


class Change(StrictModel):
    """One change that configure or restore made, and the equivalent command."""

    what: str
    command: str


class SwitchCost(StrictModel):
    """What a switch cost connections that were open across it.

    `connections`: long-lived TCP connections. `dropped`: those of them that died. A gap is the longest time without a
    reply, of any of them; None: nothing was sent that way. Datagrams without a reply count as lost.
    """

    connections: Count
    dropped: Count
    tcp_longest_gap_s: Seconds | None
    udp_longest_gap_s: Seconds | None
    udp_sent_packets: Count | None
    udp_lost_packets: Count | None


class Sign(StrictModel):
    """One piece of evidence on one node. `indicates`: the dataplanes that it agrees with; None: no information."""

    moment: Moment
    node: str
    looked_at: str
    seen: str
    at: datetime
    indicates: tuple[str, ...] | None


class Monitor(StrictModel):
    """Where a node's CPU and memory counters are read: `local` (this machine) or an http:// address."""

    node: str
    side: Literal["client", "server", "both", "nat"]
    source: str


class Placement(StrictModel):
    """Everything that a measuring step needs to know of one topology, so that it asks no cluster.

    `prefix` goes before each program at the client's end (empty in a pod that already is there).
    `server_interface`: as the monitor on the server's node sees it, an interface with the MTU of the server's own;
    `server_mtu_bytes`: that MTU where it is known already. None: it is not to be had.
    `ports`: of the server of each tool, by the tool's name.
    `nat_prefix` and `nat_interface` read the byte counters of the node that owns the NodePort; None: not on this path.
    """

    topology: str
    client_node: str
    host_network: bool
    prefix: tuple[str, ...] = ()
    address: str
    ports: dict[str, int]
    interface: str | None = None
    server_interface: str | None = None
    server_mtu_bytes: Count | None = None
    monitors: tuple[Monitor, ...]
    nat_monitor: Monitor | None = None
    nat_interface: str | None = None
    gate_foreign_cpu: bool = False

    @model_validator(mode="before")
    @classmethod
    def _by_tool(cls, data: Any) -> Any:  # noqa: ANN401 - whatever a document holds
        """Older documents have a number for each of the two tools that there were."""
        if not isinstance(data, dict) or not {"port", "connect_port"} <= data.keys():
            return data
        others = {name: value for name, value in data.items() if name not in {"port", "connect_port"}}
        return others | {"ports": {"iperf3": data["port"], "tcp_connect": data["connect_port"]}}


class Proof(StrictModel):
    """What the evidence proves. `observed` is None where that is no single dataplane."""

    state: Literal["proven", "disproven", "unproven"]
    observed: str | None
    reason: str | None = Field(default=None, description="why it is not proven, as a sentence")
