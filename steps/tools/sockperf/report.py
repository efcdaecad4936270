"""The figures in the text that sockperf prints for people, since it has no other form; 3.7 to 3.10. Pure.

Its percentiles are observations: the one at the rounded rank, and the largest is among them.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from steps.tools.bounds import Seconds, Whole, one_line
from steps.tools.failure import Failure

PERCENTILES: Final = ("50.000", "90.000", "99.000", "99.900")

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_NUMBER: Final = r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)"
_WHOLE: Final = r"\s*([0-9]{1,16})"
_LINES: Final[Mapping[str, re.Pattern[str]]] = {
    "transport": re.compile(r"^\[ 0\] IP = \S+\s+PORT =\s*[0-9]+ # (TCP|UDP)\s*$", re.MULTILINE),
    "total_s": re.compile(rf"\[Total Run\] RunTime={_NUMBER} sec;", re.MULTILINE),
    "valid_s": re.compile(rf"\[Valid Duration\] RunTime={_NUMBER} sec;", re.MULTILINE),
    "received": re.compile(rf"\[Valid Duration\] .*; ReceivedMessages={_WHOLE}$", re.MULTILINE),
    "dropped": re.compile(rf"# dropped messages ={_WHOLE};", re.MULTILINE),
    "duplicated": re.compile(rf"# duplicated messages ={_WHOLE};", re.MULTILINE),
    "out_of_order": re.compile(rf"# out-of-order messages ={_WHOLE}$", re.MULTILINE),
    "mean_us": re.compile(rf"Summary: Round trip is{_NUMBER} usec$", re.MULTILINE),
    "observations": re.compile(rf"Total{_WHOLE} observations;", re.MULTILINE),
    "worst_us": re.compile(rf"---> <MAX> observation ={_NUMBER}$", re.MULTILINE),
    "best_us": re.compile(rf"---> <MIN> observation ={_NUMBER}$", re.MULTILINE),
    **{p: re.compile(rf"---> percentile {re.escape(p)} ={_NUMBER}$", re.MULTILINE) for p in PERCENTILES},
}
_WORDS: Final = {
    "received": "the messages received",
    "total_s": "the whole duration",
    "valid_s": "the measured duration",
    "mean_us": "the mean round trip",
    "worst_us": "the largest observation",
    "best_us": "the smallest observation",
    "transport": "the protocol",
} | {p: f"percentile {p}" for p in PERCENTILES}
_ERROR: Final = re.compile(r"ERROR: (.*)")
_NONE: Final = ("No messages were received", "No valid observations", "Test end before test start")


class SockperfFigures(msgspec.Struct, frozen=True):
    """The figures of a ping-pong test by sockperf. Times of round trips are in microseconds."""

    transport: str
    total_s: Seconds
    valid_s: Seconds
    received: Whole
    dropped: Whole
    duplicated: Whole
    out_of_order: Whole
    observations: Whole
    mean_us: float
    percentiles_us: tuple[float, ...]
    best_us: float
    worst_us: float


def read(text: str, end: str) -> SockperfFigures | Failure:
    """The figures in a client's output, each of which it has once.

    `text`: its standard output and error. `end`: how it ended, for the reason.
    """
    plain = _COLOUR.sub("", text)
    if error := _ERROR.search(plain):
        return Failure(f"sockperf: {one_line(error[1])}")
    if none := next((words for words in _NONE if words in plain), None):
        return Failure(f"sockperf got no reply that counts ({none})")
    found: dict[str, str] = {}
    for name, pattern in _LINES.items():
        matches = pattern.findall(plain)
        if len(matches) != 1:
            times = "twice" if matches else "nowhere"
            return Failure(f"sockperf's output has {_WORDS.get(name, name)} {times}, {end}")
        found[name] = matches[0]
    return _checked(found)


def _checked(found: Mapping[str, str]) -> SockperfFigures | Failure:
    own = {"transport": found["transport"].lower(), "percentiles_us": [found[each] for each in PERCENTILES]}
    try:
        figures = msgspec.convert({**found, **own}, SockperfFigures, strict=False)
    except msgspec.ValidationError as error:
        return Failure(f"sockperf's figures are out of bounds: {one_line(str(error))}")
    ordered = [figures.best_us, *figures.percentiles_us, figures.worst_us]
    if (
        ordered != sorted(ordered)
        or ordered[0] <= 0
        or not ordered[0] <= figures.mean_us <= ordered[-1]
        or figures.received != figures.observations
        or not figures.received
        or not 0 < figures.valid_s <= figures.total_s
        # one after another, unless a reply came twice, so that their sum exceeds the duration by its last digit at most
        or (figures.mean_us * figures.observations > (figures.valid_s + 0.001) * 1e6 and not figures.duplicated)
    ):
        return Failure("sockperf's figures contradict each other")
    return figures
