"""Parse a node's calico-node log into the Felix processes that wrote it. Pure.

Felix drops lines in a burst, and the log still has lines from before earlier switches. So each line is assigned to one
process, by process number and start, and the state of the last process is derived from all of its lines.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from steps.cluster.kube.plugins.calico.felix.process import FelixProcess, LoggedValue, LogPosition

_LATE: Final = timedelta(seconds=1)
"""How long after its successor's start a process's lines may arrive; a later line belongs to a new process."""

_LINE: Final = re.compile(
    r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \[(?P<level>[A-Z]+)\]\[(?P<pid>\d+)\] (?P<file>\S+) \d+: (?P<message>.*)$"
)
_INNER_TIME: Final = re.compile(r"^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d+) \[")
_ROW: Final = re.compile(r"^\| (\w+)\s+\|")
_VALUE: Final = re.compile(r"^Parsed value for (\w+): (.*) \(from (.*)\)$")
_DROPPED: Final = re.compile(r"^\.\.\. dropped (\d+) logs \.\.\.$")
_BPF: Final = re.compile(r"[ {]BPFEnabled:(true|false)")
_DSR: Final = re.compile(r"\bBPFNodePortDSREnabled:(true|false)")
_ATTACHED_DSR: Final = re.compile(r"\bAttachPoint\{.*\bDSR:(true|false)")
_NFTABLES: Final = re.compile(r"\buseNftables=(true|false)")
_REFERENCED: Final = re.compile(r"^Chain became referenced.*\btable=\"(calico|filter|nat|mangle|raw)\"")
"""Printed for each new pod: the table of its chains is Felix's own in nftables, and the kernel's in iptables."""

_HEALTH: Final = re.compile(r"^Overall health status changed: live=(?:true|false) ready=(true|false)")
_INTERFACE: Final = re.compile(
    r"^Received interface update\b.*\bName:\"(?P<name>[^\"]+)\", State:\"(?P<state>\w*)\", Index:(?P<index>\d+)"
)
_CHANGED: Final = re.compile(r"change DOES require Felix to restart\..*?key=\"(\w+)\" newValue=\"([^\"]*)\"")
_STARTS: Final = ("Felix starting up", "Successfully loaded configuration")
_FALLBACK: Final = "BPF dataplane mode enabled but not supported"
_OVERRIDE: Final = "Merging in config from internal override"
_SKIPPED: Final = re.compile(r"^Skipping config value for BPFEnabled from .*; already have a value from (.*)$")
_UNREAD: Final = "Failed to get config from datastore error="
_QUOTED: Final = 160


@dataclass(frozen=True, slots=True)
class FelixLog:
    """The Felix processes of a node's log, in the order of their starts. `container`: that wrote it; empty: unknown."""

    processes: tuple[FelixProcess, ...]
    container: str = ""

    @property
    def current(self) -> FelixProcess | None:
        """The last process, which may have ended already."""
        return self.processes[-1] if self.processes else None

    def starts(self, since: datetime) -> tuple[datetime, ...]:
        """The starts of processes at or after a moment."""
        return tuple(p.started_at for p in self.processes if p.started_at is not None and p.started_at >= since)

    def panics(self, since: datetime) -> tuple[LogPosition, ...]:
        """The crashes at or after a moment."""
        return tuple(p.panic for p in self.processes if p.panic is not None and p.panic.at >= since)


def read_felix_log(log: bytes, container: str = "") -> FelixLog:
    """Parse a calico-node log, sorted by time. Lines of other programs in the container are ignored.

    `log`: as the API returns it with timestamps; lines without one are taken to be at Felix's own time, in UTC.
    `container`: that wrote it.
    """
    processes: list[FelixProcess] = []
    latest: dict[int, FelixProcess] = {}
    for at, text in sorted(_lines(log), key=lambda line: line[0]):
        found = _LINE.match(text)
        if found is None:
            if processes:
                _parse_headless_line(processes[-1], at, text)
            continue
        if not found["file"].startswith("felix/"):
            continue
        pid = int(found["pid"])
        process = latest.get(pid)
        if process is None or _is_new_process(process, processes[-1], at, found["message"]):
            begins = bool(processes) or found["message"].startswith(_STARTS)
            process = FelixProcess(pid, at, at if begins else None, at)
            processes.append(process)
            latest[pid] = process
        process.last_at = at
        _parse_message(process, at, found["level"], found["message"])
    return FelixLog(tuple(processes), container)


def _lines(log: bytes) -> Iterator[tuple[datetime, str]]:
    last: datetime | None = None
    for line in log.decode(errors="replace").splitlines():
        stamp, _, rest = line.partition(" ")
        try:
            at = datetime.fromisoformat(stamp)
        except ValueError:
            at = None
        if at is not None and at.tzinfo is not None:
            last, text = at.astimezone(UTC), rest
        else:
            text = line
            if inner := _INNER_TIME.match(line):
                last = datetime.fromisoformat(f"{inner[1]}T{inner[2]}+00:00")
        if last is not None:
            yield last, text


def _is_new_process(process: FelixProcess, newest: FelixProcess, at: datetime, message: str) -> bool:
    """Whether a line with a known process number belongs to a new process: numbers are reused."""
    if process is not newest and newest.started_at is not None and at - newest.started_at > _LATE:
        return True
    if (end := process.panic or process.leaving) is not None and at - end.at > _LATE:
        return True
    marker = next((start for start in _STARTS if message.startswith(start)), None)
    started_before = process.started_at is None or marker in process._start_lines  # noqa: SLF001 - filled by this module
    return marker is not None and (process.gone or started_before)


def _parse_headless_line(process: FelixProcess, at: datetime, text: str) -> None:
    """Parse a line without Felix's prefix: a row of a health table, a Go panic, a count of dropped lines."""
    if row := _ROW.match(text):
        name = row[1]
        process.components.add(name)
        if name == "InternalDataplaneMainLoop":
            process.tables += 1
    elif dropped := _DROPPED.match(text):
        process.dropped += int(dropped[1])
    elif text.startswith(("panic: ", "fatal error: ")) and process.panic is None:
        process.panic = LogPosition(at, text[:_QUOTED])


def _parse_message(process: FelixProcess, at: datetime, level: str, message: str) -> None:
    process.levels.add(level)
    mark = LogPosition(at, message[:_QUOTED])
    unread = message.removeprefix(_UNREAD)
    process.unconfigured = LogPosition(at, unread[:_QUOTED]) if unread != message else None
    for start in _STARTS:
        if message.startswith(start):
            process._start_lines.add(start)  # noqa: SLF001 - filled by this module
            process.started_at = process.started_at or at
    if level in {"PANIC", "FATAL"}:
        process.panic = process.panic or mark
    elif value := _VALUE.match(message):
        process.values[value[1]] = LoggedValue(value[2], value[3], at)
        if value[1] == "BPFEnabled":
            _parse_bpf_enabled(process, mark, value[2], value[3])
    elif skipped := _SKIPPED.match(message):
        # the value that takes precedence was parsed before
        _parse_bpf_enabled(process, mark, "false", skipped[1])
    elif message.startswith("Creating internal dataplane driver"):
        _parse_driver(process, at, message)
    elif message.startswith(_FALLBACK):
        process.fallback = mark
    elif message.startswith(_OVERRIDE) and "BPFEnabled:false" in message:
        process.fallback = process.fallback or mark
    else:
        _parse_progress(process, mark, message)


def _parse_bpf_enabled(process: FelixProcess, mark: LogPosition, enabled: str, source: str) -> None:
    if source == "internal override":
        process.fallback = process.fallback or (mark if enabled == "false" else None)
    elif process.driver_bpf is None:
        process.configured_bpf = enabled == "true"


def _parse_driver(process: FelixProcess, at: datetime, message: str) -> None:
    if bpf := _BPF.search(message):
        process.driver_bpf = LogPosition(at, bpf[1])
        if process.configured_bpf and bpf[1] == "false":  # the line with the reason was dropped
            text = "it read BPFEnabled true, and created its driver with BPF off"
            process.fallback = process.fallback or LogPosition(at, text)
    if dsr := _DSR.search(message):
        process.driver_dsr = dsr[1] == "true"


def _parse_progress(process: FelixProcess, mark: LogPosition, message: str) -> None:
    if message.startswith(("BPF enabled, ", "Connect time load balancer enabled")):
        process.bpf.append(mark)
    elif attached := _ATTACHED_DSR.search(message):
        process.attached_dsr = attached[1] == "true"
    elif nftables := _NFTABLES.search(message):
        process.use_nftables = nftables[1] == "true"
    elif referenced := _REFERENCED.match(message):
        process.use_nftables = referenced[1] == "calico"
    elif message.startswith("Completed first update to dataplane"):
        process.first_update = process.first_update or mark
    elif interface := _INTERFACE.match(message):
        _parse_interface(process, mark.at, interface["name"], interface["state"], int(interface["index"]))
    else:
        _parse_life(process, mark, message)


def _parse_life(process: FelixProcess, mark: LogPosition, message: str) -> None:
    """Parse whether it is ready, has to start again, or ends."""
    if health := _HEALTH.match(message):
        process.ready = health[1] == "true"
        process.ready_at = mark.at if process.ready else None
    elif changed := _CHANGED.search(message):
        process.pending_settings[changed[1]] = changed[2]
    elif "Restart felix" in message:
        process.pending_settings["kube-proxy's mode"] = message.rpartition("current=")[2].partition(" ")[0] or "another"
    elif message.startswith("Exiting for config change"):
        process.leaving = process.leaving or mark


def _parse_interface(process: FelixProcess, at: datetime, name: str, state: str, index: int) -> None:
    """Parse that an interface is up, or, with an empty state, that it is gone."""
    known = process.interfaces.get(name)
    if state == "up":
        process.interfaces[name] = index
        process.lost.pop(name, None)
    elif state == "" and known in {None, index}:
        process.interfaces.pop(name, None)
        process.lost.pop(name, None)
    elif state == "":
        seen = f"it takes {name}, which is up as number {known}, for deleted, as number {index} was"
        process.lost[name] = LogPosition(at, seen)
