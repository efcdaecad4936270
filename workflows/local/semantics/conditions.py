"""Argo's two conditions, parsed and evaluated without eval: the `depends` and the `when` of a task.

A `depends` joins results of tasks (`a.Succeeded`, or `a` for success) by `&&`, `||` and parentheses. A `when` compares
two words by `==` or `!=`. Argo supports more of both; what the benchmark's template does not use is refused.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, assert_never

from analysis.errors import BadInput
from workflows.local.semantics.nodes import Phase

RESULTS: Final[Mapping[str, Phase]] = {
    "Succeeded": "Succeeded",
    "Failed": "Failed",
    "Errored": "Error",
    "Omitted": "Omitted",
}
"""The results of a task that a `depends` may name, each with the phase of its node."""
SUCCESSFUL: Final[tuple[Phase, ...]] = ("Succeeded", "Skipped")
"""What the bare name of a task means in `depends`: any of these phases."""


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """A task ended in one of these phases; several only for a bare name."""

    task: str
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True)
class Joined:
    """Two conditions: by `&&` both are to be true, by `||` one."""

    operator: Literal["&&", "||"]
    left: "Tree"
    right: "Tree"


Tree = TaskEnded | Joined

_TOKEN: Final = re.compile(r"\s*(&&|\|\||\(|\)|[A-Za-z0-9_][A-Za-z0-9_-]*(?:\.\w+)?)")
SIGNS: Final = frozenset({"&&", "||", "(", ")"})
_WHEN: Final = re.compile(r"\s*([A-Za-z]\w*)\s*(==|!=)\s*([A-Za-z]\w*)\s*")


class _Parser:
    """Recursive descent: `||` binds less than `&&`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list[str]()
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise self.error(f"{text[position:].strip()!r} can't be read")
            self.tokens.append(match[1])
            position = match.end()

    def error(self, why: str) -> BadInput:
        return BadInput(f"depends {self.text!r} is not a supported condition: {why}.")

    def take(self, *wanted: str) -> bool:
        """Consume the next token if it is one of these; returns whether it was."""
        if not self.tokens or self.tokens[0] not in wanted:
            return False
        del self.tokens[0]
        return True

    def parse(self) -> Tree:
        tree = self.parse_or()
        if self.tokens:
            raise self.error(f"{self.tokens[0]!r} is where && or || or the end should be")
        return tree

    def parse_or(self) -> Tree:
        tree = self.parse_and()
        while self.take("||"):
            tree = Joined("||", tree, self.parse_and())
        return tree

    def parse_and(self) -> Tree:
        tree = self.parse_operand()
        while self.take("&&"):
            tree = Joined("&&", tree, self.parse_operand())
        return tree

    def parse_operand(self) -> Tree:
        if self.take("("):
            tree = self.parse_or()
            if not self.take(")"):
                raise self.error("a parenthesis is not closed")
            return tree
        if not self.tokens:
            raise self.error("it ends too early")
        token = self.tokens.pop(0)
        if token in SIGNS:
            raise self.error(f"{token!r} is where a task should be")
        task, dot, result = token.partition(".")
        if dot and result not in RESULTS:
            raise self.error(f"{result!r} is no supported result of a task; those are {', '.join(RESULTS)}")
        return TaskEnded(task, (RESULTS[result],) if dot else SUCCESSFUL)


def parse_depends(text: str) -> Tree:
    """The condition on which a task starts.

    Raises:
        BadInput: it can't be read, or it names a result or an operator that isn't supported.
    """
    return _Parser(text).parse()


def condition_of(task: Mapping[str, Any]) -> Tree | None:
    """The condition on which a DAG's task starts; None: it waits for no other task.

    Raises:
        BadInput: it can't be read.
    """
    return parse_depends(task["depends"]) if "depends" in task else None


def tasks_in(tree: Tree | None) -> tuple[str, ...]:
    """The tasks that a `depends` waits for, each once, in the order of the text."""
    match tree:
        case None:
            return ()
        case TaskEnded(task):
            return (task,)
        case Joined(_, left, right):
            return tuple(dict.fromkeys((*tasks_in(left), *tasks_in(right))))
        case _:
            assert_never(tree)


def dependencies(tasks: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """The tasks of a DAG, each with those that its condition names.

    Raises:
        BadInput: a condition can't be read.
    """
    return {task["name"]: tasks_in(condition_of(task)) for task in tasks}


def last_tasks(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """The tasks that no other task waits for, sorted, given `dependencies`: they decide the DAG's phase."""
    return sorted(needs.keys() - {other for before in needs.values() for other in before})


def ancestors(task: str, needs: Mapping[str, Iterable[str]]) -> set[str]:
    """All tasks that run before a task, given `dependencies`; the task itself where it waits for itself."""
    found: set[str] = set()
    waiting = [task]
    while waiting:
        added = set(needs.get(waiting.pop(), ())) - found
        found |= added
        waiting += added
    return found


def evaluate(tree: Tree, phases: Mapping[str, Phase]) -> bool:
    """Whether a condition is true, given the phases in which tasks ended; a task without a phase has no result."""
    match tree:
        case TaskEnded(task, wanted):
            return phases.get(task) in wanted
        case Joined(operator, left, right):
            hold = all if operator == "&&" else any
            return hold(evaluate(side, phases) for side in (left, right))
        case _:
            assert_never(tree)


def when_holds(text: str) -> bool:
    """Whether a `when`, its tags already replaced, is true.

    Raises:
        BadInput: it is not a comparison of two words by == or !=.
    """
    match = _WHEN.fullmatch(text)
    if match is None:
        raise BadInput(f"when {text!r} is not a supported condition: only WORD == WORD and WORD != WORD are.")
    return (match[1] == match[3]) == (match[2] == "==")
