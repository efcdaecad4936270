"""Files of iperf3 3.1 to 3.22: one or more JSON documents, or the events of a streamed test. Pure."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import msgspec

from steps.imports.content import UNKNOWN_TRAFFIC, Content, ImportedTrial
from steps.imports.readers.traffic import iperf3_shape, iperf3_traffic
from steps.tools import bounds
from steps.tools.failure import Failure
from steps.tools.iperf3 import iperf3, older, shapes
from steps.tools.iperf3.document import IperfDocument, TestStart, parse
from steps.tools.tool import Result, Task

_EVENT: Final = b'"event"'
_LONGEST_S: Final = 86_400
_MOST_STREAMS: Final = 4096


def read(text: bytes) -> Content | Failure:
    """The measurements of a file; Failure where it has none that can be distinguished.

    A document with an error or without figures is a failed trial; where the test failed before it began, as one that
    could not connect, the document does not say what it was.
    """
    parts = older.documents(text)
    streamed = _EVENT in parts[0][:100]
    found = [older.read_stream(parts)] if streamed else [parse(part) for part in parts]
    trials: list[ImportedTrial] = []
    faults: list[str] = []
    provenance: dict[str, str] = {}
    for number, document in enumerate(found, 1):
        trial = document if isinstance(document, Failure) else _trial(document)
        if isinstance(trial, Failure):
            faults.append(trial.reason if len(found) == 1 else f"document {number}: {trial.reason}")
        else:
            trials.append(trial)
        if isinstance(document, IperfDocument):
            provenance |= _provenance(document)
    return Content("iperf3", tuple(trials), provenance, faults=tuple(faults)) if trials else Failure(faults[0])


def _trial(reported: IperfDocument) -> ImportedTrial | Failure:
    document = _in_bytes(older.completed(reported))
    start = document.start.test_start
    trial = ImportedTrial(
        traffic=UNKNOWN_TRAFFIC,
        direction=None,
        started_at=_started_at(document),
        test=bounds.one_line(document.start.cookie or "", 64),
    )
    if start is None and document.error is not None:
        return replace(trial, error=iperf3.error_text(document.error))
    task = _task(start)
    if isinstance(task, Failure):
        error = bounds.one_line(document.error or "")
        return Failure(f"iperf3: {error}") if error else task
    assert start is not None
    both_ways = document.end.sum_received_bidir_reverse is not None or bool(start.bidir)
    shape = iperf3_shape(task.transport, task.streams, start.blksize, start.target_bitrate, both_ways=both_ways)
    trial = replace(
        trial,
        traffic=iperf3_traffic(task.transport, shape),
        direction=task.direction,
        streams=task.streams,
        offered_bps=task.offered_bps,
    )
    result = _result(document, task, both_ways=both_ways)
    if isinstance(result, Failure):
        return replace(trial, error=result.reason)
    reckoned = (older.RECKONED,) if older.is_reckoned(reported) else ()
    return replace(
        trial,
        duration_s=result.duration_s,
        columns=result.columns,
        samples=tuple({"source": "iperf3", **sample} for sample in result.samples),
        flags=(*result.flags, *reckoned),
    )


def _result(document: IperfDocument, task: Task, *, both_ways: bool) -> Result | Failure:
    if document.error is not None:
        return Failure(iperf3.error_text(document.error))
    start = document.start.test_start
    argv = ["-n", str(start.bytes)] if start is not None and start.bytes else []
    return shapes.read_both(document, task, argv) if both_ways else iperf3.read_one_way(document, task, argv)


def _in_bytes(document: IperfDocument) -> IperfDocument:
    """A test of a number of blocks as one of so many bytes."""
    start = document.start.test_start
    if start is None or not start.blocks or not start.blksize:
        return document
    start = msgspec.structs.replace(start, bytes=start.blocks * start.blksize, blocks=0)
    return msgspec.structs.replace(document, start=msgspec.structs.replace(document.start, test_start=start))


def _task(start: TestStart | None) -> Task | Failure:
    """The task of a test, by its own description; or why it is of no kind that is read."""
    if start is None or start.protocol is None or not start.num_streams or start.duration is None:
        return Failure("iperf3's JSON does not describe its test")
    if start.protocol.lower() not in {"tcp", "udp"}:
        return Failure(f"it is a test over {bounds.one_line(start.protocol, 20)}, and those over TCP and UDP are read")
    if start.num_streams > _MOST_STREAMS or start.duration > _LONGEST_S or (start.omit or 0) > _LONGEST_S:
        return Failure(f"it is a test of more than {_MOST_STREAMS} streams or {_LONGEST_S} s")
    return Task(
        transport="udp" if start.protocol.lower() == "udp" else "tcp",
        direction="reverse" if start.reverse else "forward",
        streams=start.num_streams,
        duration_s=start.duration,
        omit_s=start.omit or 0,
        offered_bps=float(start.target_bitrate * start.num_streams) if start.target_bitrate else None,
        block_size_bytes=start.blksize,
    )


def _started_at(document: IperfDocument) -> datetime | None:
    seconds = document.start.timestamp.timesecs if document.start.timestamp is not None else None
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _provenance(document: IperfDocument) -> dict[str, str]:
    version = bounds.one_line(document.start.version or "", 40).removeprefix("iperf ")
    system = bounds.one_line(document.start.system_info or "")
    return {name: text for name, text in (("iperf3", version), ("system", system)) if text}
