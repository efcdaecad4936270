"""One process of Felix, Calico's agent, as its log lines describe it. Pure."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A log line: its time, and the beginning of its message."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class LoggedValue:
    """A setting as Felix parsed it, and the source that took precedence."""

    value: str
    source: str
    at: datetime


@dataclass(slots=True)
class FelixProcess:
    """One Felix process. None or empty: not logged, or the line was dropped.

    Attributes:
        pid: its process number in the container.
        first_at: the time of its first line in this log.
        started_at: its start; None: before this log begins.
        last_at: the time of its last line in this log.
        driver_bpf: `true` or `false`: whether it created its dataplane driver for BPF, after any fallback.
        driver_dsr: whether it created the driver for direct server return.
        configured_bpf: BPFEnabled as read before the driver was created; later values apply after a restart.
        bpf: lines that only a process in BPF mode prints.
        fallback: the line by which it runs without BPF since the kernel does not support it.
        attached_dsr: whether its programs were last attached with direct server return.
        use_nftables: whether it writes nftables rules rather than iptables rules.
        values: settings as last parsed; those of a changed configuration are logged before the restart.
        first_update: the first complete update of the dataplane; logged after a fallback too.
        ready: its readiness as it last changed.
        ready_at: when it last became ready.
        components: the row names of its health tables.
        tables: how many of its health tables had the dataplane's row.
        pending_settings: changed settings that need a restart, with their new values.
        leaving: the line by which it exits for a changed configuration.
        panic: the line by which it crashed.
        dropped: how many of its lines it reports as dropped.
        levels: the levels of its lines.
        unconfigured: its last line, by which it can't read its configuration from the API server.
        interfaces: the index of each network interface that was last reported to it as up.
        lost: the interfaces that it takes for deleted though they exist, by name. It was told of the end of the one
            that had the name before after the start of the new one: Felix (seen with 3.32.1) holds back reports of an
            end for 100 ms, by interface number, and sends those that are due in any order. Such an interface has no
            programs or rules; of vxlan.calico, which it makes anew when BPF is switched, no other node is reached.
    """

    pid: int
    first_at: datetime
    started_at: datetime | None
    last_at: datetime
    driver_bpf: LogPosition | None = None
    driver_dsr: bool | None = None
    configured_bpf: bool | None = None
    bpf: list[LogPosition] = field(default_factory=list)
    fallback: LogPosition | None = None
    attached_dsr: bool | None = None
    use_nftables: bool | None = None
    values: dict[str, LoggedValue] = field(default_factory=dict)
    first_update: LogPosition | None = None
    ready: bool | None = None
    ready_at: datetime | None = None
    components: set[str] = field(default_factory=set)
    tables: int = 0
    pending_settings: dict[str, str] = field(default_factory=dict)
    leaving: LogPosition | None = None
    panic: LogPosition | None = None
    dropped: int = 0
    levels: set[str] = field(default_factory=set)
    unconfigured: LogPosition | None = None
    interfaces: dict[str, int] = field(default_factory=dict)
    lost: dict[str, LogPosition] = field(default_factory=dict)
    _start_lines: set[str] = field(default_factory=set)

    @property
    def in_bpf(self) -> bool | None:
        """Whether it runs BPF; None: unknown.

        A health table without the BPF row counts only where no line names BPF, since rows may be dropped.
        """
        if self.fallback is not None:
            return False
        if self.driver_bpf is not None:
            return self.driver_bpf.text == "true"
        if self.bpf or self.attached_dsr is not None or "BPFEndpointManager" in self.components:
            return True
        return False if self.tables and self.use_nftables is not None else None

    @property
    def restart_due(self) -> str | None:
        """Why a restart for its changed configuration is pending, as a clause; None: none is."""
        if self.pending_settings:
            changed = ", ".join(f"{name} to {value!r}" for name, value in sorted(self.pending_settings.items()))
            return f"its configuration changed: {changed}"
        bpf = self.values.get("BPFEnabled")
        overridden = self.fallback is not None or (bpf is not None and "override" in bpf.source)
        if bpf is not None and not overridden and self.driver_bpf is not None and bpf.value != self.driver_bpf.text:
            return f"it has read BPFEnabled {bpf.value}, and runs with {self.driver_bpf.text}"
        mode = self.values.get("BPFExternalServiceMode")
        pending = mode is not None and self.driver_dsr is not None and (mode.value.lower() == "dsr") != self.driver_dsr
        if mode is not None and self.in_bpf and pending:
            return f"it has read BPFExternalServiceMode {mode.value}, and runs without it"
        return None

    @property
    def gone(self) -> bool:
        """Whether it has ended, so that another must start."""
        return self.leaving is not None or self.panic is not None

    @property
    def stays(self) -> bool:
        """Whether it goes on running: it has not ended, and nothing that it saw makes it start again."""
        return not self.gone and self.restart_due is None

    @property
    def updated_at(self) -> datetime | None:
        """When the dataplane was first written: its first update, else when it became ready; None: unknown."""
        return self.first_update.at if self.first_update is not None else self.ready_at

    @property
    def quiet(self) -> bool:
        """Whether it started within this log and has no line of level INFO: the log level hides what a proof needs.

        Before it has read its configuration it prints errors alone, at any level.
        """
        silent = not self.levels & {"INFO", "DEBUG", "TRACE"}
        return self.started_at is not None and silent and self.unconfigured is None
