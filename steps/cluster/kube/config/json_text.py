"""Read and set one top-level key of a JSON text, and leave every other character as it is. Pure."""

import json
from dataclasses import dataclass
from typing import Final

from steps.cluster.kube.config.errors import TextError

_SPACE: Final = " \t\r\n"


@dataclass(frozen=True, slots=True)
class _Object:
    """An object's pairs in their order, so that a key that stands there twice is not lost."""

    pairs: tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class _Member:
    """One top-level pair, and where in the text its key begins and its value begins and ends."""

    key: str
    start: int
    value: object
    value_start: int
    value_end: int


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")


def _pairs(pairs: list[tuple[str, object]]) -> _Object:
    return _Object(tuple(pairs))


# Numbers stay as they are written: two texts are equal only if their numbers are.
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=str, parse_float=str, parse_constant=_refuse)


def is_object(text: str) -> bool:
    """Whether the text is one JSON object."""
    try:
        return isinstance(_DECODER.decode(text), _Object)
    except (ValueError, RecursionError):
        return False


def get(text: str, key: str) -> str | None:
    """The text of a top-level key; None where it is absent or null. Of two, the last one counts, as in Go."""
    found = [member.value for member in _members(text) if member.key == key]
    return found[-1] if found and isinstance(found[-1], str) else None


def put(text: str, key: str, value: str | None) -> str:
    """The text with one top-level key set to a string, or without it if None.

    Raises:
        TextError: the result would differ in more than that.
    """
    members = _members(text)
    own = [index for index, member in enumerate(members) if member.key == key]
    if value is None:
        changed = text
        for index in reversed(own):
            changed = _without(changed, _members(changed), index)
    elif own:
        last = members[own[-1]]
        changed = text[: last.value_start] + json.dumps(value, ensure_ascii=False) + text[last.value_end :]
    else:
        changed = _with(text, members, f"{json.dumps(key)}", json.dumps(value, ensure_ascii=False))
    _check(text, changed, key, value)
    return changed


def _with(text: str, members: list[_Member], key: str, value: str) -> str:
    """A new first pair, laid out like the first one that is there."""
    opening = text.index("{") + 1
    if not members:
        return f"{text[:opening]}{key}: {value}{text[opening:]}"
    first = members[0]
    colon = text[first.start : first.value_start].removeprefix(json.dumps(first.key)) or ": "
    colon = colon if colon.strip() == ":" else ": "
    return f"{text[: first.start]}{key}{colon}{value},{text[opening : first.start] or ' '}{text[first.start :]}"


def _without(text: str, members: list[_Member], index: int) -> str:
    if index + 1 < len(members):
        return text[: members[index].start] + text[members[index + 1].start :]
    start = members[index - 1].value_end if index else members[index].start
    return text[:start] + text[members[index].value_end :]


def _members(text: str) -> list[_Member]:
    if not is_object(text):
        raise TextError("it is no JSON object")
    members = []
    at = _skip(text, text.index("{") + 1)
    while text[at] != "}":
        key, key_end = _DECODER.raw_decode(text, at)
        value_start = _skip(text, _skip(text, key_end) + 1)
        value, value_end = _DECODER.raw_decode(text, value_start)
        members.append(_Member(str(key), at, value, value_start, value_end))
        at = _skip(text, value_end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return members


def _skip(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at


def _check(text: str, changed: str, key: str, value: str | None) -> None:
    if get(changed, key) != value or _others(changed, key) != _others(text, key):
        raise TextError(f"{key} can't be set in it without changing anything else")


def _others(text: str, key: str) -> list[tuple[str, object]]:
    return [(member.key, member.value) for member in _members(text) if member.key != key]
