"""What is read from a file of another tool, before it is known where in a run it stands. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from steps.tools.tool import Direction


@dataclass(frozen=True, slots=True)
class Traffic:
    """How an imported trial was measured: a tool over a transport, as a run records it.

    A cell has no streams, message sizes or rates, so each of these is a tool of its own, as in the catalogue.

    Attributes:
        tool: as stored. Small letters, digits and underscores.
        transport: tcp, udp or sctp; empty: unknown.
        name: of the variant, in paths: `tcp`, `tcp-4`.
        title: the traffic in plain words, as in `in-cluster Service, TCP, 4 streams`.
        figures: the columns of `trials` that it fills.
    """

    tool: str
    transport: str
    name: str
    title: str
    figures: tuple[str, ...]


UNKNOWN_TRAFFIC: Final = Traffic("iperf3", "", "iperf3", "iperf3, of an unknown kind", ())
"""That of a test which failed before it began, and of which its file does not say what it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedTrial:
    """One measurement. None: the file does not say.

    Attributes:
        traffic: how it was measured.
        topology: as far as the file itself names it.
        direction: of the payload.
        streams: in parallel.
        offered_bps: the target rate of all streams together; None: unlimited or unknown.
        started_at: by the client's clock.
        duration_s: that was measured.
        columns: the figures, by their columns of `trials`.
        samples: figures by interval, as rows of `samples` without run and trial.
        nodes: CPU and memory of nodes, as the column `nodes` of `trials` has them.
        flags: reasons for doubt.
        error: why it failed, as a sentence; None: it was measured.
        test: names the test, so that another file of the same one is known; empty: unknown.
    """

    traffic: Traffic
    topology: str | None = None
    direction: Direction | None = "forward"
    streams: int | None = None
    offered_bps: float | None = None
    started_at: datetime | None = None
    duration_s: float | None = None
    columns: Mapping[str, object] = field(default_factory=dict)
    samples: tuple[Mapping[str, object], ...] = ()
    nodes: tuple[Mapping[str, object], ...] = ()
    flags: tuple[str, ...] = ()
    error: str | None = None
    test: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """What a file has.

    Attributes:
        tool: whose file it is: iperf3, knb or k8s-netperf.
        trials: its measurements, in the order in which they stand there or were measured.
        provenance: what it says of the machines and versions, by name.
        idle: CPU and memory of nodes with nothing sent, as the column `idle_nodes` of `visits` has them.
        faults: why parts of it can't be used, as sentences.
        at: the time that the file gives for all of them: when the tool began, or wrote it.
        figures: stands for all figures of it, where one form of the tool's files does not name tests; else empty.
    """

    tool: str
    trials: tuple[ImportedTrial, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    idle: tuple[Mapping[str, object], ...] = ()
    faults: tuple[str, ...] = ()
    at: datetime | None = None
    figures: str = ""
