"""What a workflow uses that the local engine does not support; all of it is refused by name before anything starts."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from analysis.errors import BadInput
from workflows.local.semantics.conditions import dependencies, last_tasks
from workflows.local.semantics.field_support import WORKFLOW, Fields, Supported, SupportRule, Template, may_be_absent
from workflows.local.semantics.tags import EXPRESSION, form_of, references, tags_in


def unsupported(workflow: Mapping[str, Any], env: Mapping[str, str]) -> list[str]:
    """Everything in a workflow that the engine does not support, each as a short sentence that names the field.

    `env`: the environment that steps will have; a variable that Argo takes from the cluster must be in it.
    """
    templates = workflow.get("spec", {}).get("templates", [])
    of_templates = (problem for template in templates for problem in _template(template, env))
    return [*_field(workflow, WORKFLOW, ()), *of_templates]


def refuse_unsupported(workflow: Mapping[str, Any], env: Mapping[str, str]) -> None:
    """Raise where there is anything that the engine does not support.

    Raises:
        BadInput: it lists all of it.
    """
    found = unsupported(workflow, env)
    if found:
        raise BadInput(
            "this workflow needs Argo; the local engine can't run it:\n" + "\n".join(f"- {line}" for line in found)
        )


def _field(value: Any, rule: SupportRule, path: tuple[str, ...]) -> Iterator[str]:  # noqa: ANN401 - JSON
    where = "/".join(path)
    match rule:
        case dict():
            yield from _object(value, rule, path)
        case Template(dag, steps, pod):
            yield from _field(value, dag if "dag" in value else steps if "steps" in value else pod, path)
        case [inner_rule]:
            for index, inner in enumerate(value):
                name = inner.get("name") if isinstance(inner, Mapping) else None
                yield from _field(inner, inner_rule, (*path, str(index if name is None else name)))
        case Supported(check, expression=expression):
            if (problem := check(value)) is not None:
                yield f"{where} {problem}"
                return
            for tag in dict.fromkeys(tags_in(value)):
                if problem := _tag(tag, expression=expression):
                    yield f"{where} has {{{{{tag}}}}}, {problem}"


def _object(value: object, fields: Fields, path: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{'/'.join(path)} should be an object, not {value!r}"
        return
    for name, inner in value.items():
        if name in fields:
            yield from _field(inner, fields[name], (*path, name))
        else:
            yield f"{'/'.join((*path, name))} is not supported"
    required = (name for name, rule in fields.items() if isinstance(rule, Supported) and rule.required)
    yield from (f"{'/'.join((*path, name))} is missing" for name in required if name not in value)


def _tag(tag: str, *, expression: bool) -> str | None:
    """Why a tag is not supported, as a clause; None: it is."""
    if tag.startswith(EXPRESSION) and not expression:
        return "an expression, which is not supported in this field"
    try:
        return None if all(map(form_of, references(tag))) else "which is not supported"
    except BadInput as problem:
        return f"which is not supported: {problem}"


def _template(template: Mapping[str, Any], env: Mapping[str, str]) -> Iterator[str]:
    where = f"spec/templates/{template['name']}"
    dag = template.get("dag", {})
    # By default Argo ends a DAG when one of its last tasks fails; where there is only one, that changes nothing.
    with contextlib.suppress(BadInput):  # a condition that can't be read is refused for itself
        if "failFast" not in dag and len(last_tasks(dependencies(dag.get("tasks", [])))) > 1:
            yield f"{where}/dag/failFast is not false, and ending at the first failure is not supported"
    if any(len(group) != 1 for group in template.get("steps", [])):
        yield f"{where}/steps has steps at the same time, and only one after another is supported"
    # The deadline ends the step here, so that a timeout may be ignored.
    if "timeout" in template and "activeDeadlineSeconds" not in template:
        yield f"{where}/timeout is not supported without activeDeadlineSeconds beside it"
    for variable in template.get("script", {}).get("env", []):
        if "valueFrom" in variable and may_be_absent(variable["valueFrom"]) and variable["name"] not in env:
            yield f"{where}: variable {variable['name']} comes from the cluster; give it in the environment"
