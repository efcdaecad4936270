"""Real switches, as a node's logs and connections showed them; see recorded/README.md."""

import gzip
import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from steps.cluster.kube.plugins.calico.felix.log import FelixLog, read_felix_log
from steps.cluster.kube.plugins.calico.proof.signs import Observation
from steps.cluster.kube.probe.report import HostProbe, ServiceProbe

_HERE = Path(__file__).parent / "recorded"
_TABLE: dict[str, Any] = json.loads((_HERE / "switches.json").read_text())
_EVERY_S = 0.2  # a new connection on each path
_GIVES_UP_S = 1.0
_END_S = 3.0
_START = b"2020-01-01T00:00:00Z 2020-01-01 00:00:00.000 [INFO][1] felix/daemon.go 1: Felix starting up"
_HEAD = re.compile(rb"\S+ (?:\S+ \S+ \[[A-Z]+\]\[\d+\] \S+ \d+: )?")

NAMES: tuple[str, ...] = tuple(sorted(_TABLE["switches"]))
NODES = ("node-a", "node-b")


@dataclass(frozen=True)
class Switch:
    name: str
    asked: str
    changed_at: datetime
    logs: dict[str, tuple[bytes, ...]]
    """By node, its lines."""

    failures: tuple[tuple[datetime, str, str], ...]
    probed_until: datetime | None

    @property
    def last_at(self) -> datetime:
        """Of the last line of any log."""
        return max(stamp(lines[-1]) for lines in self.logs.values())

    def seen(self, node: str, now: datetime, host: HostProbe | None = None) -> Observation:
        """What one look at that moment had found; the connections as the recording's probes had them."""
        lines = self.logs[node][: bisect_right(self.logs[node], now, key=stamp)]
        return Observation(node, felix=_read(lines), host=host, answers=self.answers(node, now))

    def look(self, now: datetime) -> list[Observation]:
        return [self.seen(node, now) for node in NODES]

    def answers(self, node: str, now: datetime) -> tuple[ServiceProbe, ...]:
        found = []
        for path, (whose, target) in _TABLE["probes"].items():
            if whose != node:
                continue
            failed = [(at, error) for at, its, error in self.failures if its == path and at <= now]
            until = self.probed_until
            if failed and until is not None and until < now and (until - failed[-1][0]).total_seconds() < _END_S:
                failed.append((now, failed[-1][1]))  # it was failing when the recording ended
            # A success between two failures is only known by a gap in which there was time for one.
            ok_at = now
            for at, _ in reversed(failed):
                ends = min(ok_at, until) if until is not None and until < now and at != now else ok_at
                if at != now and (ends - at).total_seconds() > _EVERY_S + _GIVES_UP_S:
                    break
                ok_at = at - timedelta(seconds=_GIVES_UP_S)
            last = failed[-1] if failed else (None, None)
            found.append(ServiceProbe(whose, target, ok_at, last[0], last[1]))
        return tuple(found)


@lru_cache(maxsize=4096)
def _read(lines: tuple[bytes, ...]) -> FelixLog:
    return read_felix_log(b"\n".join(lines))


@cache
def switch(name: str) -> Switch:
    entry = _TABLE["switches"][name]
    return Switch(
        name,
        entry["asked"],
        moment(entry["changed_at"]),
        {node: tuple(gzip.decompress((_HERE / node / f"{name}.log.gz").read_bytes()).splitlines()) for node in NODES},
        tuple((moment(at), path, error) for at, path, error in entry["failures"]),
        moment(entry["probed_until"]) if entry["probed_until"] else None,
    )


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@lru_cache(maxsize=65536)
def stamp(line: bytes) -> datetime:
    return moment(line.partition(b" ")[0].decode())


def shifted(lines: tuple[bytes, ...], by: timedelta) -> tuple[bytes, ...]:
    """The lines as they had been at another time."""
    return tuple((stamp(line) + by).isoformat().encode() + b" " + line.partition(b" ")[2] for line in lines)


def _is_silent(line: bytes) -> bool:
    """Whether the message of a line tells the parser nothing."""
    head = _HEAD.match(line)
    assert head is not None
    return read_felix_log(_START + b"\n" + line) == read_felix_log(_START + b"\n" + head[0])


def spans(lines: tuple[bytes, ...]) -> Iterator[tuple[int, int]]:
    """Each line that tells the parser something; and between them those that tell it nothing, together.

    To parse some 4,000 logs, each without one line, would take twice as long, and find no more.
    """
    begin = 0
    for silent, group in groupby(lines, _is_silent):
        end = begin + len(list(group))
        yield from [(begin, end)] if silent else [(each, each + 1) for each in range(begin, end)]
        begin = end
