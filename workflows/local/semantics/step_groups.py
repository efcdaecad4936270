"""Argo's `steps`, templates that run other templates one after another, as the DAGs that run the same."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

Object = Mapping[str, Any]

_STATUS: Final = re.compile(r"\{\{\s*steps\.")
_ENDED: Final = "({0} || {0}.Failed || {0}.Errored)"
"""Depends on a step's end, whatever its result; one that was skipped counts as its success."""


def as_dags(workflow: Object) -> dict[str, Any]:
    """The workflow with a DAG in place of each template of steps; each of its groups must have one step.

    After a step that fails none follows, unless it has `continueOn`; then the next one decides the result. `workflow`:
    as Hera's `to_dict` gives it.
    """
    spec = workflow.get("spec", {})
    return {**workflow, "spec": {**spec, "templates": [_as_dag(each) for each in spec.get("templates", [])]}}


def _as_dag(template: Object) -> dict[str, Any]:
    others = {key: value for key, value in template.items() if key != "steps"}
    return (
        {**others, "dag": {"tasks": list(_tasks(template["steps"])), "failFast": False}}
        if "steps" in template
        else others
    )


def _tasks(groups: list[list[Object]]) -> Iterator[dict[str, Any]]:
    before: Object | None = None
    for (step,) in groups:
        task = {key: _renamed(value) for key, value in step.items() if key != "continueOn"}
        if before is not None:
            task["depends"] = _ENDED.format(before["name"]) if "continueOn" in before else before["name"]
        yield task
        before = step


def _renamed(value: Any) -> Any:  # noqa: ANN401 - JSON
    """A step's results are a task's, in the tags."""
    if isinstance(value, str):
        return _STATUS.sub("{{tasks.", value)
    if isinstance(value, Mapping):
        return {key: _renamed(inner) for key, inner in value.items()}
    return [_renamed(inner) for inner in value] if isinstance(value, list) else value
