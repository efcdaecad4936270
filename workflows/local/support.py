"""What of a workflow the embedded engine can do; everything else is refused by name before anything begins."""

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.errors import BadInput
from workflows.local.rules import WORKFLOW, Done, Each, Fields, Rule, Template, may_be_absent
from workflows.local.tags import form_of, tags_in


def _called(entry: object, index: int) -> str:
    name = entry.get("name") if isinstance(entry, Mapping) else None
    return str(name if name is not None else index)


def _judge(value: Any, rule: Rule, path: tuple[str, ...]) -> Iterator[str]:  # noqa: ANN401 - JSON
    match rule:
        case Fields(rules, required):
            yield from _judge_fields(value, rules, required, path)
        case Template(dag, step):
            yield from _judge(value, dag if "dag" in value else step, path)
        case Each(inner_rule):
            for index, inner in enumerate(value):
                yield from _judge(inner, inner_rule, (*path, _called(inner, index)))
        case Done(check, expression):
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
    """Unless told otherwise Argo ends a DAG at its first failure; a DAG of one task is over then anyway."""
    for template in workflow.get("spec", {}).get("templates", []):
        dag = template.get("dag", {})
        if len(dag.get("tasks", [])) > 1 and "failFast" not in dag:
            yield f"spec/templates/{template['name']}/dag/failFast is not false, and ending at once is not supported"


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
