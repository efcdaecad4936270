"""What the steps hand to each other: immutable, validated data."""

import re
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from analysis import formatting
from analysis.errors import Problem
from steps import namespaces
from steps.catalogue.cells import ToolOverTransport, TopologyName
from steps.catalogue.factors import Scale
from steps.strict_model import Count, Instant, Seconds, StrictModel
from steps.tools.tool import Direction

MOST_TRIALS: Final = 20_000
"""Of a run: more are taken for a typing error."""

Moment = Literal["before", "after"]
"""before the first trial of a visit, after its last."""

MOMENTS: Final[tuple[Moment, ...]] = get_args(Moment)


class Trial(ToolOverTransport):
    """One planned measurement, at a scale of the cluster; documents from before scales have none."""

    scale: Scale = Scale()
    trial: Count
    visit: Count
    position: Count
    topology: TopologyName
    direction: Direction
    streams: Count
    offered_bps: Annotated[float, Field(ge=0, le=1e15)] | None
    repetition: Count
    duration_s: Count


class Visit(StrictModel):
    """One planned stay in a dataplane. `dataplane` is an arm: a catalogue name, with +label for a twin."""

    visit: Count
    round: Count
    dataplane: str
    trials: Annotated[tuple[Trial, ...], Field(max_length=MOST_TRIALS, fail_fast=True)]


PERMISSIONS: Final = "permissions"
"""The subject of a finding that a permission is missing."""

LEFT_BEHIND: Final = "left behind"
"""The subject of a finding that the cluster is as a dead run left it: a run restores it first."""


class Finding(StrictModel):
    """One reason why a run, or a part of it, is impossible here, and the remedy.

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

    `connections`: long-lived TCP connections that were open. `dropped`: those of them that died. A gap is the longest
    time without a reply, of any of them; None: nothing was sent by that protocol. A datagram without a reply is lost.
    `new_failed`: new connections that failed after a first one had succeeded; None: not recorded.
    """

    connections: Count
    dropped: Count
    tcp_longest_gap_s: Seconds | None
    udp_longest_gap_s: Seconds | None
    udp_sent_packets: Count | None
    udp_lost_packets: Count | None
    new_failed: Count | None = None


class Sign(StrictModel):
    """One piece of evidence on one node. `indicates`: the dataplanes that it agrees with; None: it is inconclusive."""

    moment: Moment
    node: str
    looked_at: str
    seen: str
    at: Instant
    indicates: Annotated[tuple[str, ...], Field(max_length=1_000, fail_fast=True)] | None


class ScaleSign(StrictModel):
    """What was counted of a factor on one node. `holds`: whether it is what the scale asks for; None: not countable."""

    factor: str
    node: str
    looked_at: str
    seen: str
    at: Instant
    holds: bool | None

    @classmethod
    def of_count(cls, factor: str, node: str, looked_at: str, counted: float, wanted: float) -> Self:
        """A count that was taken now, beside what the scale asks for."""
        seen = f"{counted:.10g} of {wanted:.10g}"
        return cls(
            factor=factor, node=node, looked_at=looked_at, seen=seen, at=datetime.now(UTC), holds=counted == wanted
        )


LOCAL: Final = "local"
"""The source of a monitor that is this machine."""

LAB_TURNS: Final = "unix:/run/lab/turns"
"""The server of turns in the lab's sandbox."""

_OLD_ENTER: Final = "--net=/run/netns/"


def _checked_address(text: str) -> str:
    address = ip_address(text)
    if "%" in text or address.is_link_local or address.is_multicast or address.is_unspecified:
        raise ValueError("it must be the address of a node, a pod or a Service")
    return text


Address = Annotated[str, AfterValidator(_checked_address)]
"""The IP address of a node, a pod or a Service."""

_LAST_PORT: Final = 65_535
Port = Annotated[int, Field(ge=1, le=_LAST_PORT)]

NodeName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
"""As Kubernetes has it; the lab's nodes are called by the same rules."""

Interface = Annotated[str, Field(pattern=r"^[^-/\s\x00-\x1f][^/\s\x00-\x1f]{0,14}$")]
"""The name of a network interface; no program takes it for an option."""


_HTTP: Final = r"http://(?P<address>[0-9.]+|\[[0-9a-fA-F:.]+\]):(?P<port>[1-9][0-9]{0,4})/([0-9a-f]{32})?"


def _source(meaning: str, pattern: str) -> AfterValidator:
    """The check of a text that is one of a few, or the address of a server in the cluster."""
    known = re.compile(rf"{pattern}|{_HTTP}")

    def checked(text: str) -> str:
        match = known.fullmatch(text)
        if match is None or int(match["port"] or 1) > _LAST_PORT:
            raise ValueError(f"it must be {meaning} or http://ADDRESS:PORT/TOKEN")
        if match["address"]:
            _checked_address(match["address"].strip("[]"))
        return text

    return AfterValidator(checked)


class Monitor(StrictModel):
    """Where the CPU, memory and interface counters of a node are read.

    source: `local`, this machine; `netns:NAME`, the interfaces of a namespace on it; or `http://ADDRESS:PORT/TOKEN`.
    """

    node: NodeName
    side: Literal["client", "server", "both", "nat"]
    source: Annotated[str, _source(f"{LOCAL}, netns:NAMESPACE", f"{LOCAL}|netns:{namespaces.NAME}")]


class Placement(StrictModel):
    """All that a measuring step needs to know of one topology: data alone, from which the step makes its commands.

    Attributes:
        namespace: the network namespace of the client, in the lab; None: that of the step's own pod.
        ports: of the server of each tool, by the tool's name.
        interface: of the client; None: unknown.
        server_interface: of the server's node, as its monitor sees it, with the MTU of the server's own; None: unknown.
        server_mtu_bytes: that MTU where it is known already.
        nat_monitor: of the node that owns the NodePort, and `nat_interface` its uplink; None: not on this path.
        gate_foreign_cpu: a trial is measured again where other programs of its nodes disturbed it.
        turns: the server of the visit's turns, `http://ADDRESS:PORT/TOKEN` or the lab's; None: in older documents.
    """

    topology: TopologyName
    client_node: NodeName
    host_network: bool
    namespace: Annotated[str, Field(pattern=rf"^{namespaces.NAME}$")] | None = None
    address: Address
    ports: Annotated[dict[str, Port], Field(max_length=100)]
    interface: Interface | None = None
    server_interface: Interface | None = None
    server_mtu_bytes: Count | None = None
    monitors: Annotated[tuple[Monitor, ...], Field(max_length=16, fail_fast=True)]
    nat_monitor: Monitor | None = None
    nat_interface: Interface | None = None
    gate_foreign_cpu: bool = False
    turns: Annotated[str, _source(LAB_TURNS, LAB_TURNS)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _upgrade(cls, data: Any) -> Any:  # noqa: ANN401 - whatever a document holds
        """Read older documents, which have one number for each of two tools, and the start of a command."""
        if not isinstance(data, dict):
            return data
        upgraded = dict(data)
        if {"port", "connect_port"} <= upgraded.keys():
            upgraded["ports"] = {"iperf3": upgraded.pop("port"), "tcp_connect": upgraded.pop("connect_port")}
        if "prefix" in upgraded and "namespace" not in upgraded:
            upgraded["namespace"] = _namespace_of(upgraded.pop("prefix"))
        return upgraded

    def port(self, tool: str) -> int:
        """The port of a tool's server.

        Raises:
            Problem: there is none.
        """
        if tool not in self.ports:
            raise Problem(f"the placement of {self.topology} has no port of {tool}: run the visit's `prepare` again.")
        return self.ports[tool]


def _namespace_of(prefix: object) -> str | None:
    """The namespace that an older document's command enters; nothing else of the command is used."""
    match prefix:
        case []:
            return None
        case ["nsenter", str(entered)] if entered.startswith(_OLD_ENTER):
            return entered.removeprefix(_OLD_ENTER)
    raise ValueError("its `prefix` is a command, which a document may not have")


class Proof(StrictModel):
    """What the evidence proves. `observed`: the dataplane that it indicates; None: none in particular."""

    state: Literal["proven", "disproven", "unproven"]
    observed: str | None
    reason: str | None = Field(default=None, description="why it is not proven, as a sentence")
