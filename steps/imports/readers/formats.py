"""Whose file it is, by its content alone, and what it has. Pure."""

import codecs
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from steps.imports.content import Content
from steps.imports.readers import iperf3_files, k8s_netperf, knb, knb_archive
from steps.tools import bounds
from steps.tools.failure import Failure
from steps.tools.iperf3 import older

UNKNOWN: Final = "it is no output of iperf3 -J, knb or k8s-netperf"

_KEYS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_GZIP: Final = b"\x1f\x8b"
_CSV: Final = b"Profile,"
_YAML: Final = b"metadata:"
_HEAD: Final = 4096

_IPERF3: Final = frozenset({"start", "intervals", "end", "event", "error"})
_KNB: Final = frozenset({"metadata", "data"})
_RESULT: Final = (b'"profile"', b'"driver"')
"""The names by which the programs' objects are known."""

_FIRST_OBJECT: Final = re.compile(rb"\[?\s*\{")
_FIRST_NAME: Final = re.compile(rb'[^{]*\{\s*"(?P<name>\w{1,40})(?:(?P<end>")|$)')
_NO_TEXT: Final = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def read(data: bytes) -> Content | Failure:
    """What a file has, or why it can't be used, as a sentence without the file's name."""
    if data.startswith(_GZIP):
        return knb_archive.read(data)
    text = data.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        return Failure("it is empty")
    if text.startswith(b"["):
        return k8s_netperf.read_json([text]) if _is_k8s_netperf(text) else _unknown(text)
    if text.startswith(_YAML):
        return knb.read_yaml(text)
    if _CSV in text.partition(b"\n")[0][:_HEAD]:
        return k8s_netperf.read_csv(data)
    return _read_objects(text)


def _read_objects(text: bytes) -> Content | Failure:
    """JSON objects, of which the first tells whose they are; iperf3 may print a warning before its own."""
    parts = older.documents(text)
    if keys := _keys(parts[0]):
        if keys >= _KNB:
            return knb.read_json(text)
        if keys >= {"profile", "driver"}:
            return k8s_netperf.read_json(parts)
        return iperf3_files.read(text) if keys & _IPERF3 else Failure(UNKNOWN)
    if _begins_with(text, _IPERF3):
        return iperf3_files.read(text)
    if _begins_with(text, _KNB):
        return knb.read_json(text)
    return k8s_netperf.read_json(parts) if text.startswith(b"{") and _is_k8s_netperf(text) else _unknown(text)


def _keys(text: bytes) -> set[str]:
    """The names in a JSON object; none where it is damaged, or anything else."""
    found = bounds.decode(_KEYS, text, "it", len(text))
    return set() if isinstance(found, Failure) else set(found)


def _begins_with(text: bytes, names: Iterable[str]) -> bool:
    """Whether the first object of a damaged text begins with one of these names, or was cut short within it."""
    found = _FIRST_NAME.match(text)
    if found is None:
        return text.endswith(b"{") and text.count(b"{") == 1
    name = found["name"].decode()
    return name in names if found["end"] else any(each.startswith(name) for each in names)


def _is_k8s_netperf(text: bytes) -> bool:
    """Whether JSON, which may be damaged, has what each result of k8s-netperf has; an empty list is one without any."""
    return text[1:].strip() == b"]" or (_FIRST_OBJECT.match(text) is not None and all(key in text for key in _RESULT))


def _unknown(text: bytes) -> Failure:
    """That a file is of none of the programs, and what it is instead."""
    try:
        head = codecs.getincrementaldecoder("utf-8")().decode(text[:_HEAD])
    except UnicodeDecodeError:
        head = "\0"
    if _NO_TEXT.search(head):
        return Failure(f"{UNKNOWN}, and no text in UTF-8")
    return Failure(f"{UNKNOWN}, but begins with {bounds.one_line(head, 80)!r}")
