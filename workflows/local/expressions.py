"""Argo's two little languages, parsed and evaluated without eval: `depends` and `when`.

Both are conditions joined by `&&`, `||`, `!` and parentheses. In `depends` a condition is a task's result
(`a.Succeeded`, or `a` for "went well"); in `when` it compares two values (`'x' == 'y'`, `3 != 4`).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, assert_never, cast

from analysis.errors import BadInput

Result = Literal["Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed"]
RESULTS: Final[tuple[Result, ...]] = (
    "Succeeded",
    "Failed",
    "Errored",
    "Skipped",
    "Omitted",
    "Daemoned",
    "AnySucceeded",
    "AllFailed",
)
WENT_WELL: Final[tuple[Result, ...]] = ("Succeeded", "Skipped", "Daemoned")
"""What the bare name of a task means in `depends`: any of these."""

Value = str | float | bool


@dataclass(frozen=True, slots=True)
class Ended:
    """A task ended in one of these ways; several only where the bare name stood."""

    task: str
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two values are the same, or are not."""

    left: Value
    equal: bool
    right: Value


@dataclass(frozen=True, slots=True)
class Truth:
    """`true` or `false`, standing alone."""

    value: bool


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    of: "Tree"


@dataclass(frozen=True, slots=True)
class Both:
    """`&&`."""

    left: "Tree"
    right: "Tree"


@dataclass(frozen=True, slots=True)
class Either:
    """`||`."""

    left: "Tree"
    right: "Tree"


Leaf = Ended | Comparison | Truth
Tree = Leaf | Not | Both | Either

_DEPENDS_TOKEN: Final = re.compile(r"\s*(?:(?P<sign>&&|\|\||!|\(|\))|(?P<word>[A-Za-z0-9_][A-Za-z0-9_-]*(?:\.\w+)?))")
_WHEN_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<sign>&&|\|\||==|!=|!|\(|\))
         |(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
         |(?P<word>-?[\w.]+(?![\w.-])))""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


class _Parser:
    """Recursive descent: `||` binds least, then `&&`, then `!`."""

    def __init__(self, field: str, text: str, token: re.Pattern[str]) -> None:
        self.field = field
        self.text = text
        self.tokens = list(self._split(token))
        self.at = 0

    def _split(self, token: re.Pattern[str]) -> Iterator[_Token]:
        position = 0
        while self.text[position:].strip():
            match = token.match(self.text, position)
            if match is None:
                raise self.wrong(f"{self.text[position:].strip()!r} can't be read; put values in quotes")
            kind = cast("str", match.lastgroup)
            yield _Token(kind, match.group(kind))
            position = match.end()

    def wrong(self, why: str) -> BadInput:
        return BadInput(f"{self.field} {self.text!r} is not a condition: {why}.")

    def peek(self, *texts: str) -> bool:
        token = self.tokens[self.at] if self.at < len(self.tokens) else None
        return token is not None and token.kind == "sign" and token.text in texts

    def take(self) -> _Token:
        if self.at == len(self.tokens):
            raise self.wrong("it ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def whole(self, leaf: Callable[["_Parser"], Tree]) -> Tree:
        tree = self.either(leaf)
        if self.at < len(self.tokens):
            raise self.wrong(f"{self.tokens[self.at].text!r} comes where && or || or the end should")
        return tree

    def either(self, leaf: Callable[["_Parser"], Tree]) -> Tree:
        tree = self.both(leaf)
        while self.peek("||"):
            self.take()
            tree = Either(tree, self.both(leaf))
        return tree

    def both(self, leaf: Callable[["_Parser"], Tree]) -> Tree:
        tree = self.negated(leaf)
        while self.peek("&&"):
            self.take()
            tree = Both(tree, self.negated(leaf))
        return tree

    def negated(self, leaf: Callable[["_Parser"], Tree]) -> Tree:
        if self.peek("!"):
            self.take()
            return Not(self.negated(leaf))
        if self.peek("("):
            self.take()
            tree = self.either(leaf)
            if not self.peek(")"):
                raise self.wrong("a parenthesis is not closed")
            self.take()
            return tree
        return leaf(self)


def _task_result(parser: _Parser) -> Tree:
    token = parser.take()
    if token.kind == "sign":
        raise parser.wrong(f"{token.text!r} comes where a task should")
    task, dot, result = token.text.partition(".")
    if not dot:
        return Ended(task, WENT_WELL)
    if result not in RESULTS:
        raise parser.wrong(f"{result!r} is no result of a task; there are {', '.join(RESULTS)}")
    return Ended(task, (result,))


def _value(parser: _Parser) -> Value:
    token = parser.take()
    if token.kind == "sign":
        raise parser.wrong(f"{token.text!r} comes where a value should")
    if token.kind == "quoted":
        return re.sub(r"\\(.)", r"\1", token.text[1:-1])
    if token.text in {"true", "false"}:
        return token.text == "true"
    try:
        return float(token.text)
    except ValueError:
        return token.text


def _comparison(parser: _Parser) -> Tree:
    left = _value(parser)
    if parser.peek("==", "!="):
        equal = parser.take().text == "=="
        return Comparison(left, equal, _value(parser))
    if not isinstance(left, bool):
        raise parser.wrong(f"{left!r} stands alone and is neither true nor false; compare it by == or !=")
    return Truth(left)


def parse_depends(text: str) -> Tree:
    """The condition on which a task starts.

    Raises:
        BadInput: it can't be read, or names a result that no task has.
    """
    return _Parser("depends", text, _DEPENDS_TOKEN).whole(_task_result)


def depends_on_all(tasks: list[str]) -> Tree | None:
    """What the older field `dependencies` means: all of them went well. None: it waits for nothing."""
    tree: Tree | None = None
    for task in tasks:
        leaf = Ended(task, WENT_WELL)
        tree = leaf if tree is None else Both(tree, leaf)
    return tree


def condition_of(task: Mapping[str, Any]) -> Tree | None:
    """On what a DAG's task waits: its `depends`, or its `dependencies`; None: on nothing.

    Raises:
        BadInput: it has both, or it can't be read.
    """
    if task.get("depends") and task.get("dependencies"):
        raise BadInput("it has both depends and dependencies, and Argo takes one of them.")
    return parse_depends(task["depends"]) if task.get("depends") else depends_on_all(task.get("dependencies", []))


def leaves(tree: Tree) -> Iterator[Leaf]:
    """The conditions in it, from left to right."""
    match tree:
        case Not(of):
            yield from leaves(of)
        case Both(left, right) | Either(left, right):
            yield from leaves(left)
            yield from leaves(right)
        case Ended() | Comparison() | Truth():
            yield tree
        case _:
            assert_never(tree)


def tasks_in(tree: Tree | None) -> tuple[str, ...]:
    """The tasks that a `depends` waits for, each once, in the order in which they stand."""
    if tree is None:
        return ()
    return tuple(dict.fromkeys(leaf.task for leaf in leaves(tree) if isinstance(leaf, Ended)))


def evaluate(tree: Tree, holds: Callable[[Leaf], bool]) -> bool:
    """Whether the whole holds, given which of its conditions do."""
    match tree:
        case Not(of):
            return not evaluate(of, holds)
        case Both(left, right):
            return evaluate(left, holds) and evaluate(right, holds)
        case Either(left, right):
            return evaluate(left, holds) or evaluate(right, holds)
        case Ended() | Comparison() | Truth():
            return holds(tree)
        case _:
            assert_never(tree)


def _compare(leaf: Leaf) -> bool:
    match leaf:
        case Comparison(left, equal, right):
            return (type(left) is type(right) and left == right) is equal
        case Truth(value):
            return value
        case Ended():
            raise AssertionError(leaf)
        case _:
            assert_never(leaf)


def when_holds(text: str) -> bool:
    """Whether a `when`, its tags already replaced, is true. Values of two types are never the same, as on Argo.

    Raises:
        BadInput: it can't be read, or does more than compare by == and !=.
    """
    return evaluate(_Parser("when", text, _WHEN_TOKEN).whole(_comparison), _compare)
