"""One process of Felix, Calico's agent: what it said, and what follows from that. Pure."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A telling line: when the node took it, and the beginning of its message."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class LoggedValue:
    """A setting as Felix parsed it, and the source that won."""

    value: str
    source: str
    at: datetime


@dataclass(slots=True)
class FelixProcess:
    """What one Felix process said. None or empty: it was not said, or the line is lost.

    Attributes:
        pid: its number in the container.
        first_at: its first line that is here.
        started_at: the same, if it began within this log; None: it is older than the log.
        last_at: its last line that is here.
        driver_bpf: whether it made its dataplane driver for BPF, after any fallback.
        driver_dsr: whether it made it for direct server return.
        asked_bpf: whether BPF was asked for, as read before the driver was made; what is read later is for a restart.
        bpf: lines that only a process in BPF mode prints.
        fallback: that the kernel was found unfit for BPF, so that it goes on without.
        attached_dsr: whether programs were attached with direct server return, as last said.
        use_nftables: whether it writes nftables rules rather than iptables ones.
        values: settings as it parsed them last; those of a changed configuration come before it restarts for them.
        first_update: that the dataplane was written for the first time; comes after a fallback too.
        live: its health as it last changed.
        ready: its readiness as it last changed.
        ready_at: when it last turned ready.
        components: the rows that its health tables have had.
        tables: how many health tables it printed that had the dataplane's row.
        wanted: settings that changed and need a restart, with their new values.
        leaving: that it exits, for a changed configuration.
        panic: that it crashed.
        dropped: how many of its lines it says it dropped.
        levels: the levels of its lines that are here.
    """

    pid: int
    first_at: datetime
    started_at: datetime | None
    last_at: datetime
    driver_bpf: LogPosition | None = None
    driver_dsr: bool | None = None
    asked_bpf: bool | None = None
    bpf: list[LogPosition] = field(default_factory=list)
    fallback: LogPosition | None = None
    attached_dsr: bool | None = None
    use_nftables: bool | None = None
    values: dict[str, LoggedValue] = field(default_factory=dict)
    first_update: LogPosition | None = None
    live: bool | None = None
    ready: bool | None = None
    ready_at: datetime | None = None
    components: set[str] = field(default_factory=set)
    tables: int = 0
    wanted: dict[str, str] = field(default_factory=dict)
    leaving: LogPosition | None = None
    panic: LogPosition | None = None
    dropped: int = 0
    levels: set[str] = field(default_factory=set)
    _begun_by: set[str] = field(default_factory=set)

    @property
    def in_bpf(self) -> bool | None:
        """Whether it runs BPF; None: it can't be told from what is here.

        A health table without the BPF row is taken for an answer only if no line says BPF: a row may be lost.
        """
        if self.fallback is not None:
            return False
        if self.driver_bpf is not None:
            return self.driver_bpf.text == "true"
        if self.bpf or self.attached_dsr is not None or "BPFEndpointManager" in self.components:
            return True
        return False if self.tables and self.use_nftables is not None else None

    @property
    def in_dsr(self) -> bool | None:
        """Whether replies leave directly; None: it can't be told."""
        return self.attached_dsr if self.driver_dsr is None else self.driver_dsr

    @property
    def restart_due(self) -> str | None:
        """Why it has yet to restart for a configuration that it has read, as a clause; None: it has not."""
        if self.wanted:
            return "its configuration changed: " + ", ".join(f"{k} to {v!r}" for k, v in sorted(self.wanted.items()))
        wish = self.values.get("BPFEnabled")
        overridden = self.fallback is not None or (wish is not None and "override" in wish.source)
        if wish is not None and not overridden and self.driver_bpf is not None and wish.value != self.driver_bpf.text:
            return f"it has read BPFEnabled {wish.value}, and runs with {self.driver_bpf.text}"
        mode = self.values.get("BPFExternalServiceMode")
        if mode is not None and self.in_bpf and self.driver_dsr is not None:
            wants = mode.value.lower() == "dsr"
            if wants != self.driver_dsr:
                return f"it has read BPFExternalServiceMode {mode.value}, and runs without it"
        return None

    @property
    def gone(self) -> bool:
        """Whether it has ended, so that a successor must come."""
        return self.leaving is not None or self.panic is not None

    @property
    def updated_at(self) -> datetime | None:
        """When it had written the dataplane for the first time, or was ready for other reasons; None: not seen."""
        if self.first_update is not None:
            return self.first_update.at
        return self.ready_at

    @property
    def quiet(self) -> bool:
        """Whether it began here, and no line of it is of level INFO: the log level hides what a proof needs."""
        return self.started_at is not None and not self.levels & {"INFO", "DEBUG", "TRACE"}
