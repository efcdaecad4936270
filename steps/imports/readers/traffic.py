"""The tool, name and title of imported measurements: those of the catalogue where it has the same. Pure."""

from dataclasses import dataclass
from typing import Final

from steps.catalogue import tools
from steps.imports.content import Traffic
from steps.tools.tool import Tool, Variant

DEFAULT_TCP_BLOCK: Final = 128 * 1024
"""Bytes of a write of iperf3 over TCP, where none are requested, in all versions."""

_SMALLEST_DEFAULT_DATAGRAM: Final = 1000
"""iperf3's own choice follows the path's MTU and is never as small; so a smaller datagram was requested."""

_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class TrafficShape:
    """What distinguishes two tests of one program over one transport.

    `block_bytes`: of a message; None: the program's choice. `stream_bps`: the target rate of each stream; None:
    unlimited, unless `rate_unknown`.
    """

    streams: int = 1
    block_bytes: int | None = None
    stream_bps: float | None = None
    both_ways: bool = False
    rate_unknown: bool = False

    @property
    def suffix(self) -> str:
        """As a part of names: `-4`, `-64b`, `-100m`; empty for the plain test."""
        parts = ["both" if self.both_ways else "", str(self.streams) if self.streams > 1 else ""]
        parts += [_short_size(self.block_bytes) if self.block_bytes else ""]
        if self.stream_bps:
            figure, unit = _rate(self.stream_bps)
            parts.append(f"{figure}{unit.removesuffix('bit/s').lower()}".replace(".", "_"))
        else:
            parts.append("paced" if self.rate_unknown else "")
        return "".join(f"-{part}" for part in parts if part)

    def title(self, transport: str) -> str:
        """In plain words: `TCP, 4 streams, messages of 64 B`."""
        parts = [transport.upper()]
        if self.both_ways:
            parts.append("both directions at once")
        if self.streams > 1:
            parts.append(f"{self.streams} streams")
        if self.block_bytes:
            parts.append(f"{'datagrams' if transport == 'udp' else 'messages'} of {_size(self.block_bytes)}")
        if self.rate_unknown:
            parts.append("at an unknown rate")
        if self.stream_bps:
            parts.append(f"{' '.join(_rate(self.stream_bps))} {'each' if self.streams > 1 else 'offered'}")
        return ", ".join(parts)


PLAIN: Final = TrafficShape()


def iperf3_shape(
    transport: str, streams: int, block_bytes: int | None, stream_bps: float | None, *, both_ways: bool
) -> TrafficShape:
    """The shape of a test of iperf3; a block of its own choice is none.

    `stream_bps`: 0 is unlimited. None: not reported, as by older versions of UDP, where 1 Mbit/s is the default.
    """
    chosen = block_bytes is not None and (
        block_bytes < _SMALLEST_DEFAULT_DATAGRAM if transport == "udp" else block_bytes != DEFAULT_TCP_BLOCK
    )
    unknown = transport == "udp" and stream_bps is None
    return TrafficShape(streams, block_bytes if chosen else None, stream_bps or None, both_ways, unknown)


def iperf3_traffic(transport: str, shape: TrafficShape) -> Traffic:
    """How iperf3 measured; shapes without a rate are named as those of the catalogue, and so found there."""
    name = f"{transport}{shape.suffix}"
    if name in tools.VARIANTS and shape.stream_bps is None:
        return _of_catalogue(*tools.VARIANTS[name])
    plain = _of_catalogue(*tools.VARIANTS["udp" if transport == "udp" else "tcp"])
    tool = f"{plain.tool}{shape.suffix}".replace("-", "_")
    figures = (*plain.figures, "forward_bps", "reverse_bps") if shape.both_ways else plain.figures
    return Traffic(tool, transport, name, shape.title(transport), figures)


def other_traffic(program: str, transport: str, kind: str, shape: TrafficShape, figures: tuple[str, ...]) -> Traffic:
    """How another program measured.

    `kind`: `stream`, `rr` or `crr`: streams, requests one after another, or with a connection for each.
    """
    of_kind = {"stream": "", "rr": ", requests", "crr": ", a connection for each request"}.get(kind, f", {kind}")
    tool = f"{program}_{kind}{shape.suffix}".replace("-", "_").lower()
    name = f"{program}-{transport}-{kind}{shape.suffix}".lower()
    return Traffic(tool, transport, name, f"{shape.title(transport)}{of_kind} ({program})", figures)


def _of_catalogue(tool: Tool, variant: Variant) -> Traffic:
    return Traffic(tool.name, variant.transport, variant.name, variant.title, tuple(variant.figures))


def _short_size(size: int) -> str:
    return f"{size // _KIB}kb" if size % _KIB == 0 else f"{size}b"


def _size(size: int) -> str:
    return f"{size // _KIB} KiB" if size % _KIB == 0 else f"{size} B"


def _rate(bps: float) -> tuple[str, str]:
    """A rate as a figure and its unit."""
    for size, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        if bps >= size:
            return f"{bps / size:g}", unit
    return f"{bps:g}", "bit/s"
