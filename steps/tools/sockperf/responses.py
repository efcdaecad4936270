"""What a trial of sockperf measured, by the columns of `trials`. Pure."""

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

from steps.tools.tool import shown_time

PERCENTILES: Final = ("response_p50_s", "response_p90_s", "response_p99_s", "response_p999_s")
FIGURES: Final = (
    *(*PERCENTILES, "response_worst_s", "transactions_per_s", "responses"),
    *("lost_messages", "duplicate_messages", "block_size_bytes"),
)
LOADED: Final = (*FIGURES, "load_bps", "load_ratio")
"""The columns of a trial, alone and beside a load."""


class Responses(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a trial. A percentile is None where too few observations lie above it to tell it from the worst.

    `load_ratio`: what arrived of the load, of what iperf3 measured without a limit just before.
    """

    duration_s: float
    response_p50_s: float | None
    response_p90_s: float | None
    response_p99_s: float | None
    response_p999_s: float | None
    response_worst_s: float | None
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
        return {name: getattr(self, name) for name in LOADED}

    @property
    def sentence(self) -> str:
        """The median and the tail, and the load."""
        load = "" if self.load_ratio is None else f" under {self.load_ratio:.0%} load"
        return f"response in {shown_time(self.response_p50_s)}, 99 % within {shown_time(self.response_p99_s)}{load}"
