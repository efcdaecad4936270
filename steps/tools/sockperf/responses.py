"""What a trial of sockperf measured, by the columns of `trials`. Pure."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from steps.tools.tool import shown_time


class Responses(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a trial. A percentile is None where too few observations lie above it to tell it from the worst.

    `load_ratio`: what arrived of the load, of what iperf3 measured without a limit just before.
    """

    duration_s: float
    percentiles_s: tuple[float | None, ...]
    worst_s: float | None
    transactions_per_s: float
    responses: int
    lost_messages: int
    duplicate_messages: int
    block_size_bytes: int
    load_bps: float | None = None
    load_ratio: float | None = None
    flags: tuple[str, ...] = ()
    samples: ClassVar[tuple[Mapping[str, object], ...]] = ()

    @property
    def columns(self) -> Mapping[str, object]:
        """The figures, by their columns of `trials`."""
        names = ("response_p50_s", "response_p90_s", "response_p99_s", "response_p999_s")
        return {
            **dict(zip(names, self.percentiles_s, strict=True)),
            "response_worst_s": self.worst_s,
            "transactions_per_s": self.transactions_per_s,
            "responses": self.responses,
            "lost_messages": self.lost_messages,
            "duplicate_messages": self.duplicate_messages,
            "block_size_bytes": self.block_size_bytes,
            "load_bps": self.load_bps,
            "load_ratio": self.load_ratio,
        }

    @property
    def sentence(self) -> str:
        """The median and the tail, and the load."""
        median, tail = (shown_time(self.percentiles_s[place]) for place in (0, 2))
        load = "" if self.load_ratio is None else f" under {self.load_ratio:.0%} load"
        return f"response in {median}, 99 % within {tail}{load}"
