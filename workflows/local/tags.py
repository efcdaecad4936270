"""Argo's tags: `{{workflow.parameters.x}}`, `{{tasks.plan.outputs.result}}`, `{{item.key}}`, found and replaced."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from analysis.errors import Problem

_TAG: Final = re.compile(r"\{\{([^{}]*)\}\}")

Scope = Mapping[str, str | None]
"""Values by tag. None: declared, but never came to be, because the task that would give it was skipped."""


class Unresolved(Problem):
    """A tag that refers to nothing."""

    def __init__(self, tag: str, why: str) -> None:
        super().__init__(f"{{{{{tag}}}}} can't be resolved: {why}.")
        self.tag = tag


def tags_in(value: object) -> Iterator[str]:
    """The tags in a text, or anywhere inside a list or an object."""
    if isinstance(value, str):
        for match in _TAG.finditer(value):
            yield match.group(1).strip()
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from tags_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from tags_in(inner)


def only_tag(text: str) -> str | None:
    """The tag, when the text is one tag and nothing else."""
    match = _TAG.fullmatch(text.strip())
    return match.group(1).strip() if match else None


def render(text: str, scope: Scope, reasons: Mapping[str, str] | None = None) -> str:
    """Replace each tag by its value. What a value holds is not looked at again.

    Args:
        text: what holds the tags.
        scope: their values.
        reasons: why a tag that isn't in the scope can't be, by the start of its name; the longest start wins.

    Raises:
        Unresolved: a tag has no value.
    """

    def value(match: re.Match[str]) -> str:
        tag = match.group(1).strip()
        if tag not in scope:
            starts = sorted((s for s in reasons or () if tag.startswith(s)), key=len)
            raise Unresolved(tag, (reasons or {})[starts[-1]] if starts else "nothing of that name is known here")
        found = scope[tag]
        if found is None:
            raise Unresolved(tag, "the task that would give it was skipped, and the output has no default")
        return found

    return _TAG.sub(value, text)


def render_all(value: Any, scope: Scope, reasons: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON
    """`render` for every text inside a list or an object."""
    if isinstance(value, str):
        return render(value, scope, reasons)
    if isinstance(value, Mapping):
        return {key: render_all(inner, scope, reasons) for key, inner in value.items()}
    if isinstance(value, list):
        return [render_all(inner, scope, reasons) for inner in value]
    return value
