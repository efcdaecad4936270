"""Where an input of whoever submits a workflow would become part of a pod's specification or of an artifact's key.

A submitter may start any template with any inputs. As plain text, an input in a `podSpecPatch` gives the pod whatever
the submitter wants, and one in a key reaches other runs' artifacts. Two forms are safe: an expression that chooses
among fixed texts, and one that inserts an input only where the whole of it matches a harmless pattern.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from analysis.errors import BadInput
from workflows.local.semantics.tags import EXPRESSION, references, tags_in

Object = Mapping[str, Any]

_OF_ARGO: Final = frozenset({"workflow.name", "workflow.uid", "workflow.status"})
"""Tags whose values are Argo's, whatever was submitted."""

_PASSED_ON: Final = ("dag", "steps", "metrics", "annotations", "metadata")
"""Fields of a template that are no part of a pod's specification and no key: arguments of templates, and titles."""


def unsafe_inputs(workflow: Object) -> list[str]:
    """Each place where an input is inserted unchecked, as a sentence; none: every one is checked.

    `workflow`: as Hera's `to_dict` gives it. Environment variables and a script's source may have inputs, which the
    script must check: a value there changes nothing but itself.
    """
    spec = workflow.get("spec", {})
    found = []
    for template in spec.get("templates", []):
        fields = {key: value for key, value in template.items() if key not in _PASSED_ON}
        found += [f"template {template['name']}, {problem}" for problem in _problems(fields)]
    everywhere = {
        key: value for key, value in spec.items() if key not in {"templates", "arguments", "workflowMetadata"}
    }
    return found + [f"the workflow's {problem}" for problem in _problems(everywhere)]


def _problems(fields: Object) -> Iterator[str]:
    for path, text in _texts(fields):
        if re.fullmatch(r"script\.(source|env\.\d+\.value)", path):
            continue
        for tag in tags_in(text):
            if why := _unsafe(tag):
                yield f"field {path}: {{{{{tag}}}}} {why}"


def _texts(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text, and every key with a tag, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            below = f"{path}.{key}" if path else str(key)
            yield below, str(key)
            yield from _texts(inner, below)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{path}.{index}")


def _unsafe(tag: str) -> str:
    """Why a tag is unsafe, as the end of a sentence; empty: it is safe."""
    if not tag.startswith(EXPRESSION):
        return "" if tag in _OF_ARGO else "inserts what was submitted as it is; insert it by checked_tag"
    try:
        references(tag)
    except BadInput as problem:
        return f"neither chooses among fixed texts nor checks the input that it inserts; use checked_tag: {problem}"
    return ""
