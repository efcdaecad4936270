"""JSON documents as they come from a bad day: one change to a whole one, and what kind of change it was."""

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

Node = tuple[Any, Any]
"""A container and the key or index of one value in it."""

NUMBERS: Final = (
    *("-1", "-5", "-0.0", "0", "1e400", "-1e400", "NaN", "-NaN", "Infinity", "-Infinity", "nan", "inf"),
    *(
        str(2**31),
        str(2**53),
        str(2**63 - 1),
        str(2**63),
        str(2**64 - 1),
        str(10**40),
        str(-(2**63)),
        "1e308",
        "1e-320",
    ),
    *("1e15", "0.1", "99999999999"),
)
OTHERS: Final[tuple[Any, ...]] = (
    *(None, True, "", "text", "\ud800", "\x00", "1", [], {}, [[]], {"a": 1}, [None], "9" * 5000, "two\nlines\x1b[31m"),
    *("2026-01-31", "NaN", "node-a", "=" * 300),
)
_LITERAL: Final = "@literal:"


def mutated(random: Random, document: Any) -> tuple[str, bytes]:  # noqa: ANN401 - any JSON
    """A document with one change, mostly; the kind of change, and the document's text."""
    kind = random.choice(tuple(KINDS))
    copy = json.loads(json.dumps(document))
    return kind, KINDS[kind](random, copy)


def _nodes(value: Any) -> Iterator[Node]:  # noqa: ANN401 - any JSON
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _nodes(inner)


def _one(random: Random, document: Any) -> Node:  # noqa: ANN401 - any JSON
    return random.choice(list(_nodes(document)) or [({"": document}, "")])


def _text(document: Any) -> bytes:  # noqa: ANN401 - any JSON
    text = json.dumps(document)
    for number in NUMBERS:
        text = text.replace(f'"{_LITERAL}{number}"', number)
    return text.encode(errors="surrogatepass")


def _number(random: Random, document: Any) -> bytes:  # noqa: ANN401 - any JSON
    numbers = [(c, k) for c, k in _nodes(document) if isinstance(c[k], int | float) and not isinstance(c[k], bool)]
    container, key = random.choice(numbers or list(_nodes(document)))
    container[key] = _LITERAL + random.choice(NUMBERS)
    return _text(document)


def _scaled(random: Random, document: Any) -> bytes:  # noqa: ANN401 - any JSON
    numbers = [(c, k) for c, k in _nodes(document) if isinstance(c[k], int | float) and not isinstance(c[k], bool)]
    for container, key in random.sample(numbers, min(len(numbers), random.randint(1, 3))):
        factor = random.choice((-1, 0, 0.5, 2, 1e-9, 1e9, 1e300))
        container[key] = (
            container[key] * factor if isinstance(container[key], float) else int(container[key] * min(factor, 1e9))
        )
    return _text(document)


def _type(random: Random, document: Any) -> bytes:  # noqa: ANN401 - any JSON
    container, key = _one(random, document)
    container[key] = random.choice(OTHERS)
    return _text(document)


def _deleted(random: Random, document: Any) -> bytes:  # noqa: ANN401 - any JSON
    for _ in range(random.randint(1, 3)):
        container, key = _one(random, document)
        del container[key]
        if not list(_nodes(document)):
            break
    return _text(document)


def _duplicated(random: Random, document: Any) -> bytes:  # noqa: ANN401 - any JSON
    container, key = _one(random, document)
    if isinstance(container, list):
        container.insert(key, container[key])
        return _text(document)
    container["@twice"] = random.choice((container[key], _LITERAL + random.choice(NUMBERS)))
    return _text(document).replace(b'"@twice"', json.dumps(key).encode())


def _swapped(random: Random, document: Any) -> bytes:  # noqa: ANN401 - any JSON
    (one, first), (two, second) = _one(random, document), _one(random, document)
    one[first], two[second] = json.loads(json.dumps(two[second])), json.loads(json.dumps(one[first]))
    return _text(document)


def _nested(random: Random, document: Any) -> bytes:  # noqa: ANN401 - any JSON
    container, key = _one(random, document)
    depth = random.choice((50, 2_000, 200_000))
    container[key] = "@deep"
    opened, closed = random.choice((("[", "]"), ('{"a":', "}")))
    deep = opened * depth + "1" + closed * random.choice((0, depth))
    return _text(document).replace(b'"@deep"', deep.encode())


def _cut(random: Random, document: Any) -> bytes:  # noqa: ANN401 - any JSON
    text = _text(document)
    return text[: random.randrange(len(text))]


def _bytes(random: Random, document: Any) -> bytes:  # noqa: ANN401 - any JSON
    text = bytearray(_text(document))
    for _ in range(random.randint(1, 5)):
        place = random.randrange(len(text))
        text[place : place + random.randint(0, 2)] = random.randbytes(random.randint(0, 3))
    return bytes(text)


def _encoded(random: Random, document: Any) -> bytes:  # noqa: ANN401 - any JSON
    encoding = random.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7"))
    return _text(document).decode(errors="replace").encode(encoding)


def _around(random: Random, document: Any) -> bytes:  # noqa: ANN401 - any JSON
    extra = random.choice((b"", b"warning: {x}\n", b"}", b"{", b"\x00" * 1000, b"\xff\xfe", _text(document)))
    return extra + _text(document) if random.random() < 0.5 else _text(document) + extra


def _nothing(random: Random, _: Any) -> bytes:  # noqa: ANN401 - any JSON
    return random.choice((b"", b"\n", b"null", b"[]", b"{}", b"0", b'""', b"{", b"nan"))


KINDS: Final[dict[str, Callable[[Random, Any], bytes]]] = {
    "a number": _number,
    "scaled numbers": _scaled,
    "another type": _type,
    "keys deleted": _deleted,
    "a key twice": _duplicated,
    "values swapped": _swapped,
    "nested deeply": _nested,
    "cut short": _cut,
    "bytes changed": _bytes,
    "another encoding": _encoded,
    "text around it": _around,
    "hardly anything": _nothing,
}
