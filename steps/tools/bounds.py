"""The bounds of a measuring program's output: of its numbers, and of its size. Pure.

A number beyond its bounds is no measurement: it would be stored as an absurd value, or stop the whole run's table from
being written.
"""

import re
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from analysis import formatting
from steps.tools.failure import Failure

D = TypeVar("D")

_LARGEST: Final = 2**53
"""The largest whole number that a JSON double represents exactly; far below the int64 of the tables' columns."""

Count = Annotated[float, Meta(ge=0, le=_LARGEST)]
"""A number of bytes, packets or connects."""

Whole = Annotated[int, Meta(ge=0, le=_LARGEST)]
"""A count that is written without a decimal point."""

SignedCount = Annotated[float, Meta(ge=-_LARGEST, le=_LARGEST)]
"""A count that may be negative: -1 where the other end does not count, fewer losses than none where packets doubled."""

BitRate = Annotated[float, Meta(ge=0, le=1e15)]
"""Per second; a petabit is a thousand times the fastest network card."""

Seconds = Annotated[float, Meta(ge=0, le=1e6)]
"""A duration or a time within a trial, which lasts a day at most."""

Microseconds = Annotated[float, Meta(ge=-1, le=1e12)]
Milliseconds = Annotated[float, Meta(ge=0, le=1e9)]

_OUTPUT_BYTES: Final = 4 * 1024 * 1024
_INTERVAL_BYTES: Final = 2048
"""One stream in one interval of iperf3's JSON takes about 400 bytes."""

_BOUND = re.compile(r"^(?P<fault>.*?)(?: - at `\$\.?(?P<place>.*)`)?$", re.DOTALL)
_NO_NUMBER = re.compile(
    rb'(?:"(?P<name>[^"\\]{1,100})"\s*:|[\[,])\s*(?P<value>[-+]?(?:nan|inf(?:inity)?)\b)', re.IGNORECASE
)


def one_line(text: str, most: int = 200) -> str:
    """The first line of a program's message, short enough for a sentence, without control characters."""
    lines = text.strip().splitlines()
    return "".join(character if character.isprintable() else " " for character in lines[0][:most]) if lines else ""


def output_bytes(duration_s: float, streams: int, interval_s: float) -> int:
    """The largest size of a program's output.

    `duration_s`: of the trial with its warm-up. `interval_s`: how often it reports each stream.
    """
    return _OUTPUT_BYTES + round(duration_s / interval_s + 1) * (streams + 1) * _INTERVAL_BYTES


def decode(decoder: "msgspec.json.Decoder[D]", text: bytes, program: str, printed_bytes: int) -> "D | Failure":
    """A program's JSON, or the reason why it is not readable.

    `program`: its name in the reason. `printed_bytes`: the size of the whole output, of which the text is a part.
    """
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        return Failure(_misfit(str(error), program))
    except RecursionError:
        fault = "is nested too deeply to be a report"
    except MemoryError:
        fault = "is too large for this machine's memory"
    except UnicodeDecodeError:
        fault = "is not UTF-8 text"
    except msgspec.DecodeError as error:
        fault = _damage(text, str(error), printed_bytes)
    return Failure(f"{program}'s JSON {fault}")


def _damage(text: bytes, message: str, printed_bytes: int) -> str:
    if found := _NO_NUMBER.search(text):
        name, value = ((found[group] or b"").decode(errors="replace") for group in ("name", "value"))
        return f"gives {value}{' as ' + name if name else ''}, which is no number"
    if "truncated" in message:
        return f"is cut short after {formatting.count(printed_bytes, 'byte')}"
    return f"is damaged: {message.removeprefix('JSON is malformed: ')}"


def _misfit(message: str, program: str) -> str:
    match = _BOUND.match(message)
    assert match is not None
    fault, place = match["fault"], match["place"]
    if place and (">=" in fault or "<=" in fault or "out of range" in fault):
        return f"{program}'s figure {place} is out of bounds: {fault[:1].lower()}{fault[1:].replace('`', '')}"
    return f"{program}'s JSON has an unknown form: {message}"
