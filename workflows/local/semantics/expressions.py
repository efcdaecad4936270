"""Argo's expression tags (`{{=...}}`), as far as the template uses them: a choice, made by the values of inputs.

    {{=inputs.parameters.network == 'node' ? 'A' : inputs.parameters.network == 'outside' ? 'B' : 'C'}}
    {{=inputs.parameters.visit matches '^[0-9]{2,9}$' ? inputs.parameters.visit : 'refused'}}

The result is one of the author's texts, or an input that its whole pattern matches. So an input never brings anything
into a pod's specification, or into the key of an artifact, that the template's author did not permit.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from analysis.errors import BadInput

_INPUT: Final = r"(inputs\.parameters(?:\.[A-Za-z_]\w*|\['[A-Za-z_][\w-]*'\]))"
# Argo splits at the first question mark, ends the tag at the first }}, and reads a backslash in a text as an escape.
_TEXT: Final = r"'((?:(?!\}\})[^'\\?])*)'"
_CASE: Final = re.compile(rf"\s*{_INPUT}\s*(==|matches)\s*{_TEXT}\s*\?\s*(?:{_INPUT}|{_TEXT})\s*:")
_OTHERWISE: Final = re.compile(rf"\s*{_TEXT}\s*")
_RANGE: Final = r"\d-\d|[a-z]-[a-z]|[A-Z]-[A-Z]"
_FIRST: Final = rf"(?:\w|\[(?:{_RANGE}|\w)+\])(?:\+|\{{[1-9]\d{{0,2}}(?:,\d{{0,3}})?\}})?"
_NEXT: Final = rf"(?:[\w-]|\[(?:{_RANGE}|[\w.])+-?\])(?:[*+]|\{{\d{{1,3}}(?:,\d{{0,3}})?\}})?"
_PATTERN: Final = re.compile(rf"\^{_FIRST}(?:{_NEXT})*\$", re.ASCII)
"""The patterns that Go's regexp and Python's re read alike, and that match no harmful value: characters and sets,
repeated, from beginning to end, of letters, digits, `_`, `-` and `.`, but neither `-` nor `.` nor nothing at first.
"""


@dataclass(frozen=True, slots=True)
class Case:
    """`INPUT == 'VALUE' ? RESULT` or `INPUT matches 'PATTERN' ? RESULT`; a `result` of None is the input's value."""

    tag: str
    operator: str
    operand: str
    result: str | None

    def applies(self, value: str) -> bool:
        """Whether an input of this value has this case's result."""
        if self.operator == "==":
            return value == self.operand
        return re.fullmatch(self.operand[1:-1], value, re.ASCII) is not None


@dataclass(frozen=True, slots=True)
class Expression:
    """The first case that applies decides."""

    cases: tuple[Case, ...]
    otherwise: str

    @property
    def texts(self) -> tuple[str | None, ...]:
        """Every result; None: the value of an input."""
        return (*(case.result for case in self.cases), self.otherwise)

    @property
    def tags(self) -> Iterator[str]:
        """The inputs that it depends on."""
        return iter(dict.fromkeys(case.tag for case in self.cases))

    def evaluate(self, scope: Mapping[str, str]) -> str:
        """The result by the values in a scope.

        Raises:
            KeyError: an input has no value; its tag is the argument.
        """
        for case in self.cases:
            if case.applies(scope[case.tag]):
                return scope[case.tag] if case.result is None else case.result
        return self.otherwise


def parse_expression(text: str) -> Expression:
    """Read what follows `{{=`.

    Raises:
        BadInput: it is not such a choice, or its result is an input that no pattern has checked.
    """
    rest, cases = text, []
    while match := _CASE.match(rest):
        source, operator, operand, copied, result = match.groups()
        if operator == "matches":
            _check_pattern(operand)
        if copied is not None and (operator, _tag(copied)) != ("matches", _tag(source)):
            raise BadInput(f"{copied} is a result of {text.strip()!r}, which checks it against no pattern.")
        cases.append(Case(_tag(source), operator, operand, result))
        rest = rest[match.end() :]
    last = _OTHERWISE.fullmatch(rest)
    if last is None:
        raise BadInput(
            f"{text!r} is not a supported expression: INPUT == 'VALUE' ? 'TEXT' : 'TEXT' and INPUT matches '^PATTERN$' "
            "? INPUT : 'TEXT' are."
        )
    return Expression(tuple(cases), last[1])


def _check_pattern(pattern: str) -> None:
    try:
        if _PATTERN.fullmatch(pattern) and re.compile(pattern):
            return
    except re.error:
        pass
    raise BadInput(
        f"pattern {pattern!r} is not supported: it must consist of letters, digits, '_', '-' and sets of them, "
        "begin with a letter or digit, and be anchored at both ends, such as '^[a-z0-9][a-z0-9.-]{0,62}$'."
    )


def _tag(source: str) -> str:
    """`inputs.parameters['client-node']` as the tag `inputs.parameters.client-node`."""
    return source.replace("['", ".").removesuffix("']")
