"""knb's data files: a compressed tar with a shell file of settings, and a few small texts for each test.

The shell file is parsed and never sourced; nothing is unpacked onto the disk; only regular members with plain names
are read, within bounds.
"""

import io
import re
import tarfile
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from steps.imports.content import Content
from steps.imports.readers import knb
from steps.imports.readers.knb import Detail, KnbCpu, KnbData, KnbMetadata, KnbPath, KnbReport, KnbTest, NodeResult
from steps.imports.values import first_line, number
from steps.tools import bounds
from steps.tools.failure import Failure

_MOST_BYTES: Final = 64 * 2**20
"""Of an archive, unpacked; knb's have some 50 kB."""

_MOST_MEMBERS: Final = 1_000
_MOST_MEMBER_BYTES: Final = 2**20
_GZIP: Final = 31
"""zlib's code for the format of gzip."""

_PLAIN: Final = re.compile(r"(?:\./)?(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,250})")
_SETTING: Final = re.compile(r'(?P<name>[A-Z][A-Z0-9_]{0,63})="(?P<value>[^"]{0,1000})"')
_POD: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}")

_PODS: Final = {
    ("pod2pod", "tcp"): "CLIENT_TCP_P2P_POD_NAME",
    ("pod2pod", "udp"): "CLIENT_UDP_P2P_POD_NAME",
    ("pod2svc", "tcp"): "CLIENT_TCP_P2S_POD_NAME",
    ("pod2svc", "udp"): "CLIENT_UDP_P2S_POD_NAME",
}
_IDLE: Final = "IDLE_POD_NAME"

_RESULT: Final = re.compile(
    r"\[ *\d+\] +(?P<start>[\d.]{1,12})-(?P<end>[\d.]{1,12}) +sec +\S+ \S+ +(?P<mbps>[\d.]{1,20}) Mbits/sec"
    r"(?: +(?P<jitter_ms>[\d.]{1,20}) ms +(?P<lost>-?\d{1,15})/(?P<total>\d{1,15}) \([^)]{0,20}\)"
    r"| +(?P<retr>\d{1,15}))?"
    r" +(?P<side>sender|receiver) *"
)
"""A line of iperf3's text at the end of a test, in Mbit/s as knb asks for it."""

_ERROR: Final = re.compile(r"iperf3: error - (?P<message>.{1,300})")


def read(data: bytes) -> Content | Failure:
    """The measurements of a data file."""
    members = _members(data)
    if isinstance(members, Failure):
        return members
    if "env" not in members:
        return Failure("it has no file env, by which knb's data would be known")
    settings = {
        match["name"]: match["value"] for match in map(_SETTING.fullmatch, members["env"].splitlines()) if match
    }
    pods = {place: pod for place, name in _PODS.items() if _POD.fullmatch(pod := settings.get(name, ""))}
    tests = {place: _test(members, pod) for place, pod in pods.items()}
    idle = settings.get(_IDLE, "")
    report = KnbReport(
        KnbMetadata(
            generator=settings.get("GENERATOR", ""),
            name=settings.get("BENCHMARK_RUN_NAME"),
            version=settings.get("VERSION"),
            date=settings.get("BENCHMARK_DATE"),
            server_node=settings.get("SERVER_NODE"),
            client_node=settings.get("CLIENT_NODE"),
            socket_buffer_size=settings.get("SOCKET_BUFFER_SIZE"),
        ),
        KnbData(
            cpu=first_line(members.get("cpu")),
            kernel=first_line(members.get("kernel")),
            k8s_version=first_line(members.get("k8s-version")),
            mtu=first_line(members.get("mtu")),
            idle=_test(members, idle) if _POD.fullmatch(idle) else None,
            **{
                path: KnbPath(tests.get((path, "tcp")), tests.get((path, "udp")))
                for path in knb.PATHS
                if any(place[0] == path for place in tests)
            },
        ),
    )
    return knb.content(report, {place: _detail(members, pod, place[1]) for place, pod in pods.items()})


def _members(data: bytes) -> dict[str, str] | Failure:
    """The texts of the archive's regular files, by name."""
    unpacked = _unpacked(data)
    if isinstance(unpacked, Failure):
        return unpacked
    found: dict[str, str] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as archive:
            for number_of, member in enumerate(archive):
                name = _PLAIN.fullmatch(member.name)
                if number_of >= _MOST_MEMBERS or (member.isreg() and member.size > _MOST_MEMBER_BYTES):
                    return Failure(f"it has more than {_MOST_MEMBERS} files, or one above {_MOST_MEMBER_BYTES} bytes")
                if name is None or not member.isreg() or member.issparse():
                    continue
                if name["name"] in found:
                    return Failure(f"it has two files {name['name']}")
                content = archive.extractfile(member)
                found[name["name"]] = content.read().decode(errors="replace") if content is not None else ""
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, RecursionError) as error:
        return Failure(f"its archive is damaged: {bounds.one_line(str(error)) or type(error).__name__}")
    return found


def _unpacked(data: bytes) -> bytes | Failure:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        unpacked = unpacker.decompress(data, _MOST_BYTES)
    except zlib.error:
        return Failure("it is a damaged gzip file")
    if unpacker.unconsumed_tail:
        return Failure(f"it has more than {_MOST_BYTES} bytes when unpacked")
    return unpacked if unpacker.eof else Failure("it is cut short")


def _test(members: Mapping[str, str], pod: str) -> KnbTest:
    return KnbTest(
        first_line(members.get(f"{pod}.bw")), *(_side(members.get(f"{pod}-{side}.avg", "")) for side in knb.SIDES)
    )


def _side(average: str) -> NodeResult:
    """A node's averages: a line of names, then one of `user nice system iowait steal memory records`."""
    values = [*average.split("\n", 2)[1:2], ""][0].split()[:6]
    padded = [*values, *[None] * (6 - len(values))]
    return NodeResult(KnbCpu(*padded[:5]), padded[5])


def _detail(members: Mapping[str, str], pod: str, transport: str) -> Detail:
    log = members.get(f"{pod}.log", "")
    ends = {match["side"]: match for match in map(_RESULT.fullmatch, log.splitlines()) if match}
    failed = _ERROR.search(log)
    started_at = _first_reading(members.get(f"{pod}-client.metrics", ""))
    if "receiver" not in ends:
        return Detail(started_at, error=f"iperf3: {bounds.one_line(failed['message'])}" if failed else None)
    received, sent = ends["receiver"], ends.get("sender")
    columns: dict[str, object] = {}
    if sent is not None:
        columns["sent_bps"] = float(mbps) * 1e6 if (mbps := number(sent["mbps"], 1e9)) is not None else None
        columns["retransmits"] = int(sent["retr"]) if transport == "tcp" and sent["retr"] else None
    if transport == "udp" and received["total"] is not None and int(received["lost"]) >= 0:
        columns["lost_packets"], columns["total_packets"] = int(received["lost"]), int(received["total"])
        jitter_ms = number(received["jitter_ms"], 1e9)
        columns["jitter_s"] = jitter_ms / 1000 if jitter_ms is not None else None
    start, end = number(received["start"], 1e6), number(received["end"], 1e6)
    duration_s = end - start if start is not None and end is not None and end > start else None
    return Detail(started_at, duration_s, columns)


def _first_reading(metrics: str) -> datetime | None:
    """When the client's node was first read in a test, by its own clock."""
    for line in metrics.splitlines()[1:2]:
        seconds = number(line.rpartition(" ")[2], 7e9)
        return datetime.fromtimestamp(seconds, UTC) if seconds else None
    return None
