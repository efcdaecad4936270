"""Documents of iperf3 before 3.12, and streamed ones, in the form of the present ones. Pure.

Before 3.11 a UDP test has one sum alone: the sender's bytes and the receiver's counts of datagrams; and the sums of the
two directions of a bidirectional test have the same name, so that one of them is lost, and they are made again from the
streams. Before 3.7 neither sums nor streams say which end counted.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from steps.tools import bounds
from steps.tools.failure import Failure
from steps.tools.iperf3.document import End, IperfDocument, IperfFigures, ReportedInterval, Start, Stream

RECKONED: Final = "received-reckoned"
"""The flag of a UDP test whose received bytes are reckoned from datagrams, since iperf3 does not report them."""

_BETWEEN_DOCUMENTS: Final = re.compile(rb"(?<=\})[ \t\r]*\n\s*(?=\{)")
_MOST_DOCUMENTS: Final = 100_000


class _Event(msgspec.Struct):
    """A line of `iperf3 --json-stream`."""

    event: str
    data: msgspec.Raw = msgspec.Raw(b"null")


_EVENT: Final = msgspec.json.Decoder(_Event)
_DATA: Final[Mapping[str, msgspec.json.Decoder[Any]]] = {
    "start": msgspec.json.Decoder(Start),
    "interval": msgspec.json.Decoder(ReportedInterval),
    "end": msgspec.json.Decoder(End),
    "error": msgspec.json.Decoder(str),
}
"""The events that are read; all but `interval` are a field of `IperfDocument`."""


def documents(text: bytes) -> list[bytes]:
    """The JSON objects of a file that stand one after another, each from the beginning of a line."""
    return _BETWEEN_DOCUMENTS.split(text, _MOST_DOCUMENTS)


def read_stream(lines: Sequence[bytes]) -> IperfDocument | Failure:
    """The document of the events of a streamed test, a line each."""
    document = IperfDocument()
    for line in lines:
        event = bounds.decode(_EVENT, line, "iperf3", len(line))
        if isinstance(event, Failure):
            return event
        if event.event not in _DATA:
            continue
        data = bytes(event.data)
        part = bounds.decode(_DATA[event.event], data, "iperf3", len(data))
        if isinstance(part, Failure):
            return part
        if isinstance(part, ReportedInterval):
            document.intervals.append(part)
        else:
            setattr(document, event.event, part)
    return document


def completed(document: IperfDocument) -> IperfDocument:
    """A document with what older versions leave out, as far as it follows from what they report."""
    start = document.start.test_start
    if start is None:
        return document
    if start.target_bitrate is None and document.start.target_bitrate is not None:
        start = msgspec.structs.replace(start, target_bitrate=document.start.target_bitrate)
    end = document.end
    if is_reckoned(document):
        end = msgspec.structs.replace(end, sum_sent=_sent(end), sum_received=_received(end, start.blksize or 0))
    intervals = [_with_side(interval, is_sender=not start.reverse) for interval in document.intervals]
    if _lacks_a_direction(document):
        end, intervals = _with_directions(end), []
    return msgspec.structs.replace(
        document, start=msgspec.structs.replace(document.start, test_start=start), intervals=intervals, end=end
    )


def is_reckoned(document: IperfDocument) -> bool:
    """Whether a UDP test has no sum of what was received, but the counts from which it follows."""
    start, end = document.start.test_start, document.end
    total = end.sum
    return (
        start is not None
        and (start.protocol or "").lower() == "udp"
        and bool(start.blksize)
        and end.sum_received is None
        and total is not None
        and bool(total.seconds)
        and total.packets is not None
        and total.lost_packets is not None
    )


def is_sent(stream: Stream) -> bool:
    """Whether this end sends a stream; so it is unless the stream says otherwise."""
    figures = stream.sender or stream.udp
    return figures is None or figures.sender is not False


def _lacks_a_direction(document: IperfDocument) -> bool:
    """Whether a test of TCP in both directions has the sums of one of them alone."""
    start, end = document.start.test_start, document.end
    return (
        start is not None
        and end.sum_received_bidir_reverse is None
        and all(stream.sender is not None and stream.receiver is not None for stream in end.streams)
        and len({is_sent(stream) for stream in end.streams}) > 1
    )


def _with_directions(end: End) -> End:
    """The end with the sums of both directions, made from the streams."""
    ways = [[stream for stream in end.streams if is_sent(stream) == here] for here in (True, False)]
    (sent, received), (sent_back, received_back) = (
        (_sum([s.sender for s in way]), _sum([s.receiver for s in way])) for way in ways
    )
    return msgspec.structs.replace(
        end,
        sum_sent=sent,
        sum_received=received,
        sum_sent_bidir_reverse=sent_back,
        sum_received_bidir_reverse=received_back,
    )


def _sum(parts: Sequence[IperfFigures | None]) -> IperfFigures | None:
    """The sum of streams; None where one of them is not complete."""
    known = [part for part in parts if part is not None and part.bytes is not None and part.bits_per_second is not None]
    if len(known) < len(parts) or not known:
        return None
    resent = [part.retransmits for part in known if part.retransmits is not None]
    return IperfFigures(
        # before 3.11 a receiver's seconds are the sender's; its end is its own
        seconds=max(part.end or part.seconds or 0.0 for part in known),
        bytes=sum(part.bytes or 0.0 for part in known),
        bits_per_second=sum(part.bits_per_second or 0.0 for part in known),
        retransmits=sum(resent) if len(resent) == len(known) else None,
    )


def _sent(end: End) -> IperfFigures:
    """The sender's sum, without the seconds, which are the receiver's from 3.2 on."""
    assert end.sum is not None
    return IperfFigures(bytes=end.sum.bytes, bits_per_second=end.sum.bits_per_second)


def _received(end: End, block_bytes: int) -> IperfFigures:
    """The datagrams that arrived, as bytes over the receiver's seconds."""
    total = end.sum
    assert total is not None
    assert total.seconds
    arrived = max(0.0, (total.packets or 0.0) - max(0.0, total.lost_packets or 0.0)) * block_bytes
    return msgspec.structs.replace(total, bytes=arrived, bits_per_second=arrived * 8 / total.seconds)


def _with_side(interval: ReportedInterval, *, is_sender: bool) -> ReportedInterval:
    """An interval that says which end counted: a client's sends forward, and receives in reverse."""
    if interval.sum is None or interval.sum.sender is not None:
        return interval
    return msgspec.structs.replace(
        interval,
        sum=msgspec.structs.replace(interval.sum, sender=is_sender),
        streams=[
            stream if stream.sender is not None else msgspec.structs.replace(stream, sender=is_sender)
            for stream in interval.streams
        ],
    )
