"""Whose file it is, by its content alone, and what it has. Pure."""

from typing import Final

import msgspec

from steps.imports.content import Content
from steps.imports.readers import iperf3_files, k8s_netperf, knb, knb_archive
from steps.tools import bounds
from steps.tools.failure import Failure
from steps.tools.iperf3 import older

UNKNOWN: Final = "it is no output of iperf3 -J, knb or k8s-netperf"

_KEYS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CSV: Final = b"Profile,"
_YAML: Final = b"metadata:"
_HEAD: Final = 4096


def read(data: bytes) -> Content | Failure:
    """What a file has, or why it can't be used, as a sentence without the file's name."""
    if knb_archive.is_archive(data):
        return knb_archive.read(data)
    text = data.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        return Failure("it is empty")
    if text.startswith(b"["):
        return k8s_netperf.read_json([text])
    if text.startswith(_YAML):
        return knb.read_yaml(text)
    if _CSV in text.partition(b"\n")[0][:_HEAD]:
        return k8s_netperf.read_csv(data)
    return _read_objects(text)


def _read_objects(text: bytes) -> Content | Failure:
    """JSON objects, of which the first tells whose they are; iperf3 may print a warning before its own."""
    first = older.documents(text)[0]
    if keys := _keys(first):
        if keys >= {"metadata", "data"}:
            return knb.read_json(text)
        if keys >= {"profile", "driver"}:
            return k8s_netperf.read_json(older.documents(text))
        if not {"start", "end", "event", "error"} & keys:
            return Failure(UNKNOWN)
    elif b"{" not in text:
        line = bounds.one_line(text[:_HEAD].decode(errors="replace"), 80)
        return Failure(f"{UNKNOWN}, but begins with {line!r}")
    return iperf3_files.read(text)


def _keys(text: bytes) -> set[str]:
    """The names in a JSON object; none where it is damaged, or anything else."""
    found = bounds.decode(_KEYS, text, "it", len(text))
    return set() if isinstance(found, Failure) else set(found)
