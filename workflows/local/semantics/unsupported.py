"""What of a workflow the embedded engine can do; everything else is refused by name before anything begins."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from analysis.errors import BadInput
from workflows.local.semantics.conditions import last_tasks
from workflows.local.semantics.field_support import (
    WORKFLOW,
    ListItems,
    ObjectFields,
    Rule,
    Supported,
    Template,
    may_be_absent,
)
from workflows.local.semantics.tags import form_of, tags_in


def _called(entry: object, index: int) -> str:
    name = entry.get("name") if isinstance(entry, Mapping) else None
    return str(name if name is not None else index)


def _judge(value: Any, rule: Rule, path: tuple[str, ...]) -> Iterator[str]:  # noqa: ANN401 - JSON
    match rule:
        case ObjectFields(rules, required):
            yield from _judge_fields(value, rules, required, path)
        case Template(dag, step):
            yield from _judge(value, dag if "dag" in value else step, path)
        case ListItems(inner_rule):
            for index, inner in enumerate(value):
                yield from _judge(inner, inner_rule, (*path, _called(inner, index)))
        case Supported(check, expression):
            why = check(value)
            if why is not None:
                yield f"{'/'.join(path)} {why}"
            elif not expression:
                yield from _judge_tags(value, "/".join(path))


def _judge_fields(
    value: object, rules: Mapping[str, Rule], required: tuple[str, ...], path: tuple[str, ...]
) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{'/'.join(path)} should be an object, not {value!r}"
        return
    for name, inner in value.items():
        if name in rules:
            yield from _judge(inner, rules[name], (*path, name))
        else:
            yield f"{'/'.join((*path, name))} is not supported"
    yield from (f"{'/'.join((*path, name))} is missing" for name in required if name not in value)


def _judge_tags(value: object, where: str) -> Iterator[str]:
    if "{{=" in str(value):
        yield f"{where} holds an expression tag ({{{{=...}}}}), which is not supported"
        return
    yield from (
        f"{where} holds {{{{{tag}}}}}, which is not supported"
        for tag in dict.fromkeys(tags_in(value))
        if form_of(tag) is None
    )


def _environment(workflow: Mapping[str, Any], env: Mapping[str, str]) -> Iterator[str]:
    for template in workflow.get("spec", {}).get("templates", []):
        for variable in template.get("script", {}).get("env", []):
            if "valueFrom" in variable and may_be_absent(variable["valueFrom"]) and variable["name"] not in env:
                yield (
                    f"templates/{template['name']}: variable {variable['name']} comes from the cluster; "
                    "give it in the environment"
                )


def _timeouts(workflow: Mapping[str, Any]) -> Iterator[str]:
    """A template's timeout may go without effect only where its deadline ends the step."""
    for template in workflow.get("spec", {}).get("templates", []):
        if "timeout" in template and "activeDeadlineSeconds" not in template:
            yield f"spec/templates/{template['name']}/timeout is not supported without activeDeadlineSeconds beside it"


def _fail_fast(workflow: Mapping[str, Any]) -> Iterator[str]:
    """By default Argo ends a DAG when one of its last tasks fails; where there is only one, that changes nothing."""
    for template in workflow.get("spec", {}).get("templates", []):
        dag = template.get("dag", {})
        with contextlib.suppress(BadInput):  # a condition that can't be read is refused for itself
            if "failFast" not in dag and len(last_tasks(dag.get("tasks", []))) > 1:
                where = f"spec/templates/{template['name']}/dag/failFast"
                yield f"{where} is not false, and ending at the first failure is not supported"


def unsupported(workflow: Mapping[str, Any], env: Mapping[str, str]) -> list[str]:
    """Everything in a workflow that the engine can't do, each as a short sentence that names the field.

    Args:
        workflow: what Hera's `to_dict` gives.
        env: the environment that steps will have; a variable that Argo takes from the cluster must be in it.
    """
    return [
        *_judge(workflow, WORKFLOW, ()),
        *_fail_fast(workflow),
        *_timeouts(workflow),
        *_environment(workflow, env),
    ]


def refuse_unsupported(workflow: Mapping[str, Any], env: Mapping[str, str]) -> None:
    """Raise where there is anything that the engine can't do.

    Raises:
        BadInput: it lists all of it.
    """
    found = unsupported(workflow, env)
    if found:
        raise BadInput(
            "this workflow needs Argo; the embedded engine can't run it:\n" + "\n".join(f"- {line}" for line in found)
        )
