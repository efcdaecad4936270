"""One of several fixed texts, chosen by an input: the only expression tag (`{{=...}}`) that the engine evaluates.

    {{=inputs.parameters.network == 'node' ? 'A' : inputs.parameters.network == 'outside' ? 'B' : 'C'}}

An input's value is compared and never becomes a part of the text, so whatever it holds, the text is one of those that
the template's author wrote. That is what makes it fit for a pod's specification.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from analysis.errors import BadInput
from workflows.local.semantics.tags import Scope, Unresolved

_TAG: Final = re.compile(r"\{\{=(.*)\}\}", re.DOTALL)
_QUOTED: Final = r"'([^'\\]*)'"
_CASE: Final = re.compile(rf"\s*(inputs\.parameters\.[A-Za-z_]\w*)\s*==\s*{_QUOTED}\s*\?\s*{_QUOTED}\s*:")
_ELSE: Final = re.compile(rf"\s*{_QUOTED}\s*")


@dataclass(frozen=True, slots=True)
class Choice:
    """Each case is a tag, the value that it must have, and the text that is chosen then; the first to hold counts."""

    cases: tuple[tuple[str, str, str], ...]
    otherwise: str

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything that can come of it."""
        return (*(text for _, _, text in self.cases), self.otherwise)

    @property
    def tags(self) -> Iterator[str]:
        """What it depends on."""
        return iter(dict.fromkeys(tag for tag, _, _ in self.cases))

    def made(self, scope: Scope) -> str:
        """The text, by the values in a scope.

        Raises:
            Unresolved: a tag has no value.
        """
        for tag, wanted, text in self.cases:
            if tag not in scope:
                raise Unresolved(tag, "nothing of that name is known here")
            if scope[tag] == wanted:
                return text
        return self.otherwise


def is_choice(text: object) -> bool:
    """Whether a text is an expression tag and nothing else."""
    return isinstance(text, str) and _TAG.fullmatch(text.strip()) is not None


def parse_choice(text: str) -> Choice:
    """Read the tag.

    Raises:
        BadInput: it is something else than a choice between fixed texts.
    """
    found = _TAG.fullmatch(text.strip())
    rest = found[1] if found is not None else ""
    cases = []
    while match := _CASE.match(rest):
        cases.append((match[1], match[2], match[3]))
        rest = rest[match.end() :]
    last = _ELSE.fullmatch(rest)
    if found is None or last is None:
        raise BadInput(f"{text!r} is no choice between fixed texts, INPUT == 'VALUE' ? 'TEXT' : 'TEXT'.")
    return Choice(tuple(cases), last[1])
