"""Whether every stream of an iperf3 test delivered. Pure.

The sum of a test hides a stream that delivered nothing: the others take its share of the path.
"""

from typing import Final

from steps.tools.iperf3_document import Document, Figures
from steps.tools.iperf3_plan import Asked

UNEVEN: Final = "uneven-streams"
"""The flag of a test in which one stream delivered far less than the others."""

_UNEVEN_SHARE: Final = 0.1
_WHOLE_STREAM: Final = 0.9


def fault(document: Document, asked: Asked) -> str | None:
    """Which streams are missing or delivered nothing, as a sentence; None where each delivered."""
    if len(document.end.streams) != asked.streams:
        return f"iperf3 reports {len(document.end.streams)} of {asked.streams} streams"
    delivered = _delivered(document, asked)
    if silent := [str(number) for number, amount in enumerate(delivered, 1) if amount is None]:
        return f"iperf3 says nothing of what stream {', '.join(silent)} of {asked.streams} delivered"
    if dead := [str(number) for number, amount in enumerate(delivered, 1) if amount is not None and amount <= 0]:
        return f"stream {', '.join(dead)} of {asked.streams} delivered nothing"
    if asked.protocol == "udp" and not asked.reverse and asked.streams > 1 and _one_unseen(document):
        return f"as many datagrams as a whole stream of {asked.streams} sends were never seen by the receiver"
    return None


def flags(document: Document, asked: Asked) -> tuple[str, ...]:
    """`uneven-streams` where a stream delivered under a tenth of the mean of the others."""
    delivered = [amount or 0.0 for amount in _delivered(document, asked)]
    for amount in delivered if len(delivered) > 1 else ():
        others = (sum(delivered) - amount) / (len(delivered) - 1)
        if amount < _UNEVEN_SHARE * others:
            return (UNEVEN,)
    return ()


def counted(document: Document) -> bool:
    """Whether the UDP receiver's bytes agree with its packets less its losses.

    They don't where 3.12 counts losses of the omitted seconds too, nor where a newer client misreads 3.12's server.
    """
    received, start = document.end.sum_received, document.start.test_start
    block_bytes = start.blksize if start is not None else None
    if received is None or received.lost_packets is None or not received.packets or not block_bytes:
        return False
    arrived = (received.bytes or 0.0) / block_bytes
    return abs(arrived - (received.packets - received.lost_packets)) <= max(2.0, 0.01 * received.packets)


def _delivered(document: Document, asked: Asked) -> list[float | None]:
    """What each stream delivered, bytes or datagrams; None where that is not said."""
    streams = document.end.streams
    if asked.protocol == "tcp":
        return [stream.receiver.bytes if stream.receiver is not None else None for stream in streams]
    if asked.reverse and (here := _received_here(document)):
        return [here.get(s.udp.socket) if s.udp is not None else None for s in streams]
    # Datagrams that the receiver missed at the end, or of a stream that it never saw, are not among the lost.
    known = counted(document)
    return [_arrived(stream.udp, known=known) if stream.udp is not None else None for stream in streams]


def _arrived(stream: Figures, *, known: bool) -> float | None:
    """Datagrams of a stream that arrived; all of them where the losses that iperf3 names can't be believed."""
    if stream.packets is None:
        return None
    return stream.packets - max(0.0, stream.lost_packets or 0.0) if known else stream.packets


def _received_here(document: Document) -> dict[int | None, float]:
    """Bytes of each stream by its socket where this end received: its intervals are the receiver's own count."""
    found: dict[int | None, float] = {}
    for interval in document.intervals:
        for stream in interval.streams:
            if stream.sender is False and stream.bytes is not None and stream.socket is not None:
                found[stream.socket] = found.get(stream.socket, 0.0) + stream.bytes
    return found


def _one_unseen(document: Document) -> bool:
    """Whether the sums lack as many datagrams as one of the streams sent that the receiver knows no loss of.

    Forward, a client knows of each UDP stream what it sent and what the receiver missed. Of a stream that never
    arrived the receiver missed nothing, since it did not know of it; the sums alone show that it is not there.
    """
    sent, received = document.end.sum_sent or document.end.sum, document.end.sum_received
    if sent is None or received is None or sent.packets is None or received.packets is None:
        return False
    lossless = [
        s.udp.packets for s in document.end.streams if s.udp is not None and s.udp.packets and not s.udp.lost_packets
    ]
    return bool(lossless) and sent.packets - received.packets >= _WHOLE_STREAM * min(lossless)
