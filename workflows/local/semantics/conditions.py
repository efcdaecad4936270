"""Argo's two conditions, parsed and evaluated without eval: the `depends` and the `when` of a task.

A `depends` joins results of tasks (`a.Succeeded`, or `a` for "went well") by `&&`, `||` and parentheses. A `when`
compares two words by `!=`. Argo knows more of both; what the benchmark's template does not use is refused.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, assert_never

from analysis.errors import BadInput
from workflows.local.semantics.nodes import Phase

RESULTS: Final[Mapping[str, Phase]] = {
    "Succeeded": "Succeeded",
    "Failed": "Failed",
    "Errored": "Error",
    "Omitted": "Omitted",
}
"""The results of a task that a `depends` may name, each with the phase of its node."""
WENT_WELL: Final[tuple[Phase, ...]] = ("Succeeded", "Skipped")
"""What the bare name of a task means in `depends`: any of these."""


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """A task ended in one of these phases; several only where the bare name stood."""

    task: str
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True)
class AndCondition:
    """`&&`."""

    left: "Tree"
    right: "Tree"


@dataclass(frozen=True, slots=True)
class Either:
    """`||`."""

    left: "Tree"
    right: "Tree"


Tree = TaskEnded | AndCondition | Either

_TOKEN: Final = re.compile(r"\s*(&&|\|\||\(|\)|[A-Za-z0-9_][A-Za-z0-9_-]*(?:\.\w+)?)")
SIGNS: Final = frozenset({"&&", "||", "(", ")"})
UNEQUAL: Final = "!="
_WHEN: Final = re.compile(rf"\s*([A-Za-z]\w*)\s*{UNEQUAL}\s*([A-Za-z]\w*)\s*")


class _Parser:
    """Recursive descent: `||` binds less than `&&`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list[str]()
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise self.wrong(f"{text[position:].strip()!r} can't be read")
            self.tokens.append(match[1])
            position = match.end()

    def wrong(self, why: str) -> BadInput:
        return BadInput(f"depends {self.text!r} is not a supported condition: {why}.")

    def take(self, *wanted: str) -> bool:
        """Whether the next token is one of these; it is passed then."""
        if not self.tokens or self.tokens[0] not in wanted:
            return False
        del self.tokens[0]
        return True

    def whole(self) -> Tree:
        tree = self.either()
        if self.tokens:
            raise self.wrong(f"{self.tokens[0]!r} comes where && or || or the end should")
        return tree

    def either(self) -> Tree:
        tree = self.both()
        while self.take("||"):
            tree = Either(tree, self.both())
        return tree

    def both(self) -> Tree:
        tree = self.single()
        while self.take("&&"):
            tree = AndCondition(tree, self.single())
        return tree

    def single(self) -> Tree:
        if self.take("("):
            tree = self.either()
            if not self.take(")"):
                raise self.wrong("a parenthesis is not closed")
            return tree
        if not self.tokens:
            raise self.wrong("it ends too early")
        token = self.tokens.pop(0)
        if token in SIGNS:
            raise self.wrong(f"{token!r} comes where a task should")
        task, dot, result = token.partition(".")
        if dot and result not in RESULTS:
            raise self.wrong(f"{result!r} is no supported result of a task; those are {', '.join(RESULTS)}")
        return TaskEnded(task, (RESULTS[result],) if dot else WENT_WELL)


def parse_depends(text: str) -> Tree:
    """The condition on which a task starts.

    Raises:
        BadInput: it can't be read, or it names a result or an operator that isn't supported.
    """
    return _Parser(text).whole()


def condition_of(task: Mapping[str, Any]) -> Tree | None:
    """On what a DAG's task waits; None: on nothing.

    Raises:
        BadInput: it can't be read.
    """
    return parse_depends(task["depends"]) if "depends" in task else None


def tasks_in(tree: Tree | None) -> tuple[str, ...]:
    """The tasks that a `depends` waits for, each once, in the order in which they stand."""
    match tree:
        case None:
            return ()
        case TaskEnded(task):
            return (task,)
        case AndCondition(left, right) | Either(left, right):
            return tuple(dict.fromkeys((*tasks_in(left), *tasks_in(right))))
        case _:
            assert_never(tree)


def last_tasks(tasks: Iterable[Mapping[str, Any]]) -> list[str]:
    """The tasks of a DAG for which no other waits, sorted: its phase is theirs.

    Raises:
        BadInput: a condition can't be read.
    """
    waits = {task["name"]: tasks_in(condition_of(task)) for task in tasks}
    return sorted(waits.keys() - {other for above in waits.values() for other in above})


def evaluate(tree: Tree, phases: Mapping[str, Phase]) -> bool:
    """Whether the whole holds, given the phases in which tasks ended. A task that isn't among them has no result."""
    match tree:
        case TaskEnded(task, wanted):
            return phases.get(task) in wanted
        case AndCondition(left, right):
            return evaluate(left, phases) and evaluate(right, phases)
        case Either(left, right):
            return evaluate(left, phases) or evaluate(right, phases)
        case _:
            assert_never(tree)


def when_holds(text: str) -> bool:
    """Whether a `when`, its tags already replaced, is true.

    Raises:
        BadInput: it does something else than compare two words by !=.
    """
    match = _WHEN.fullmatch(text)
    if match is None:
        raise BadInput(f"when {text!r} is not a supported condition: only WORD {UNEQUAL} WORD is.")
    return match[1] != match[2]
