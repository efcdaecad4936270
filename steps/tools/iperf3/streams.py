"""Whether every stream of an iperf3 test delivered. Pure.

The sum hides a stream that delivered nothing, since the others take its share of the path.
"""

from typing import Final

from steps.tools.iperf3.document import IperfDocument, IperfFigures
from steps.tools.tool import Task

UNEVEN: Final = "uneven-streams"
"""The flag of a test in which one stream delivered far less than the others."""

_UNEVEN_SHARE: Final = 0.1
_WHOLE_STREAM: Final = 0.9


def fault(document: IperfDocument, task: Task) -> str | None:
    """Which streams are missing or delivered nothing, as a sentence; None where each delivered."""
    if len(document.end.streams) != task.streams:
        return f"iperf3 reports {len(document.end.streams)} of {task.streams} streams"
    delivered = _delivered(document, task)
    if silent := [str(number) for number, amount in enumerate(delivered, 1) if amount is None]:
        return f"iperf3 does not report what stream {', '.join(silent)} of {task.streams} delivered"
    if dead := [str(number) for number, amount in enumerate(delivered, 1) if amount is not None and amount <= 0]:
        return f"stream {', '.join(dead)} of {task.streams} delivered nothing"
    if task.transport == "udp" and task.direction == "forward" and task.streams > 1 and _one_missing(document):
        return f"as many datagrams as a whole stream of {task.streams} sends never reached the receiver"
    return None


def flags(document: IperfDocument, task: Task) -> tuple[str, ...]:
    """`uneven-streams` where a stream delivered under a tenth of the mean of the others."""
    delivered = [amount or 0.0 for amount in _delivered(document, task)]
    for amount in delivered if len(delivered) > 1 else ():
        others = (sum(delivered) - amount) / (len(delivered) - 1)
        if amount < _UNEVEN_SHARE * others:
            return (UNEVEN,)
    return ()


def counted(document: IperfDocument) -> bool:
    """Whether the UDP receiver's bytes agree with its packets less its losses.

    They don't where 3.12 counts losses of the omitted seconds too, nor where a newer client misreads 3.12's server.
    """
    received, start = document.end.sum_received, document.start.test_start
    block_bytes = start.blksize if start is not None else None
    if received is None or received.lost_packets is None or not received.packets or not block_bytes:
        return False
    arrived = (received.bytes or 0.0) / block_bytes
    return abs(arrived - (received.packets - received.lost_packets)) <= max(2.0, 0.01 * received.packets)


def _delivered(document: IperfDocument, task: Task) -> list[float | None]:
    """What each stream delivered, bytes or datagrams; None: not reported."""
    streams = document.end.streams
    if task.transport == "tcp":
        return [stream.receiver.bytes if stream.receiver is not None else None for stream in streams]
    if task.direction == "reverse" and (here := _received_here(document)):
        return [here.get(s.udp.socket) if s.udp is not None else None for s in streams]
    # The lost are without those that the receiver missed at the end, or of a stream that never reached it.
    known = counted(document)
    return [_arrived(stream.udp, known=known) if stream.udp is not None else None for stream in streams]


def _arrived(stream: IperfFigures, *, known: bool) -> float | None:
    """Datagrams of a stream that arrived; all of them where iperf3's losses are not reliable."""
    if stream.packets is None:
        return None
    return stream.packets - max(0.0, stream.lost_packets or 0.0) if known else stream.packets


def _received_here(document: IperfDocument) -> dict[int | None, float]:
    """Bytes of each stream by its socket where this end received, after the warm-up, by its own intervals."""
    found: dict[int | None, float] = {}
    for interval in document.intervals:
        for stream in interval.streams:
            if stream.sender is not False or stream.omitted:
                continue
            if stream.bytes is not None and stream.socket is not None:
                found[stream.socket] = found.get(stream.socket, 0.0) + stream.bytes
    return found


def _one_missing(document: IperfDocument) -> bool:
    """Whether the sums lack as many datagrams as one of the streams sent that the receiver knows no loss of.

    Forward, a client knows of each UDP stream what it sent and what the receiver missed. A stream that never arrived
    has no losses, since the receiver did not know of it; only the sums show that it is missing.
    """
    sent, received = document.end.sum_sent or document.end.sum, document.end.sum_received
    if sent is None or received is None or sent.packets is None or received.packets is None:
        return False
    lossless = [
        s.udp.packets for s in document.end.streams if s.udp is not None and s.udp.packets and not s.udp.lost_packets
    ]
    return bool(lossless) and sent.packets - received.packets >= _WHOLE_STREAM * min(lossless)
