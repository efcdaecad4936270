"""Argo's tags: `{{workflow.parameters.x}}`, `{{tasks.plan.outputs.parameters.y}}`, `{{item.key}}`, found and replaced.

The forms that are supported are those that the benchmark's template uses; a workflow with another one is refused.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from analysis.errors import Problem
from workflows.local.semantics.expressions import parse_expression
from workflows.local.semantics.nodes import NodeStatus

_TAG: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)

EXPRESSION: Final = "="
"""With what a tag begins that is an expression."""

FORMS: Final = (
    "workflow.name",
    "workflow.uid",
    "workflow.status",
    "workflow.parameters.*",
    "inputs.parameters",
    "inputs.parameters.*",
    "item.*",
    "steps.*.status",
    "tasks.*.status",
    "tasks.*.outputs.parameters.*",
)
"""A star stands for a name."""

Scope = Mapping[str, str]
"""Values by tag."""


def workflow_tags(name: str, uid: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """The tags that are known everywhere."""
    given = {f"workflow.parameters.{key}": value for key, value in parameters.items()}
    return {"workflow.name": name, "workflow.uid": uid, **given}


def input_tags(values: Mapping[str, str]) -> dict[str, str]:
    """A template's inputs: each, and all of them as JSON."""
    listed = json.dumps([{"name": key, "value": value} for key, value in values.items()])
    return {"inputs.parameters": listed, **{f"inputs.parameters.{key}": value for key, value in values.items()}}


def task_tags(task: str, node: NodeStatus) -> dict[str, str]:
    """The tags of a task that has ended, by its name in the DAG."""
    outputs = {f"tasks.{task}.outputs.parameters.{key}": value for key, value in node.outputs.items()}
    return {f"tasks.{task}.status": node.phase, **outputs}


class Unresolved(Problem):
    """A tag that refers to nothing."""

    def __init__(self, tag: str, why: str) -> None:
        super().__init__(f"{{{{{tag}}}}} can't be resolved: {why}.")


def form_of(tag: str) -> str | None:
    """The supported form that a tag has; None: it has none of them."""
    patterns = {form: re.escape(form).replace(r"\*", r"[\w-]+") for form in FORMS}
    return next((form for form, pattern in patterns.items() if re.fullmatch(pattern, tag)), None)


def tags_in(value: object) -> Iterator[str]:
    """The tags in a text, or anywhere inside a list or an object."""
    if isinstance(value, str):
        for match in _TAG.finditer(value):
            yield match[1].strip()
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from tags_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from tags_in(inner)


def references(tag: str) -> tuple[str, ...]:
    """The tags whose values a tag needs: itself, or the inputs of an expression.

    Raises:
        BadInput: it is an expression that is not supported.
    """
    return tuple(parse_expression(tag[1:]).tags) if tag.startswith(EXPRESSION) else (tag,)


def render(text: str, scope: Scope, reasons: Mapping[str, str] | None = None) -> str:
    """Replace each tag by its value, and each expression by its result. Tags inside a value are not replaced.

    `reasons`: why a tag that isn't in the scope can't be, by the start of its name; the longest start wins.

    Raises:
        Unresolved: a tag has no value.
        BadInput: an expression is not supported.
    """

    def value(match: re.Match[str]) -> str:
        tag = match[1].strip()
        try:
            return parse_expression(tag[1:]).evaluate(scope) if tag.startswith(EXPRESSION) else scope[tag]
        except KeyError as error:
            missing = str(error.args[0])
        starts = sorted((start for start in reasons or () if missing.startswith(start)), key=len)
        raise Unresolved(missing, (reasons or {})[starts[-1]] if starts else "nothing of that name is known here")

    return _TAG.sub(value, text)


def render_words(text: str) -> str:
    """The text with a word in place of each tag: its form, before the values are known."""
    return _TAG.sub("word", text)


def render_all(value: Any, scope: Scope) -> Any:  # noqa: ANN401 - JSON
    """`render` for every text inside a list or an object."""
    if isinstance(value, str):
        return render(value, scope)
    if isinstance(value, Mapping):
        return {key: render_all(inner, scope) for key, inner in value.items()}
    if isinstance(value, list):
        return [render_all(inner, scope) for inner in value]
    return value
