"""Contradictions inside a workflow, which neither Hera nor a schema finds: references between its parts.

problems = lint(template.to_dict())
"""

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from analysis.errors import BadInput
from workflows.local.semantics.conditions import ancestors, condition_of, tasks_in
from workflows.local.semantics.expressions import parse_expression
from workflows.local.semantics.step_groups import as_dags
from workflows.local.semantics.tags import EXPRESSION, references, tags_in

LIMIT: Final = 200
"""How many templates a workflow, and how many tasks a DAG, may have before Argo becomes very slow."""

WORKFLOW_TAGS: Final = frozenset({"workflow.name", "workflow.uid"})
EXIT_TAGS: Final = frozenset({"workflow.status"})
LEAF_ONLY: Final = ("activeDeadlineSeconds", "podSpecPatch", "nodeSelector", "serviceAccountName", "tolerations")
"""Fields that Argo applies to what becomes a pod, and ignores on a DAG."""
_NOT_RENDERED: Final = frozenset({"metrics", "metadata", "dag", "retryStrategy", "podSpecPatch"})

Object = Mapping[str, Any]


def lint(workflow: Object) -> list[str]:
    """Each contradiction as a sentence; none: the workflow is consistent.

    `workflow`: as Hera's `to_dict` gives it.
    """
    return list(_Lint(as_dags(workflow)["spec"]).problems())


def _parameters(place: Object) -> dict[str, Object]:
    return {p["name"]: p for p in place.get("parameters", [])}


def _tasks(template: Object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = template.get("dag", {}).get("tasks", [])
    return found


def _near(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


class _Lint:
    def __init__(self, spec: Object) -> None:
        self.spec = spec
        self.templates: dict[str, Object] = {t["name"]: t for t in spec.get("templates", [])}
        self.everywhere = WORKFLOW_TAGS | {f"workflow.parameters.{p}" for p in _parameters(spec.get("arguments", {}))}
        exit_handler = spec.get("onExit")
        calls = {n: [t.get("template", "") for t in _tasks(one)] for n, one in self.templates.items()}
        self.at_exit = {exit_handler} | ancestors(exit_handler, calls) if exit_handler else set()

    def problems(self) -> Iterator[str]:
        if len(self.templates) > LIMIT:
            yield f"there are {len(self.templates)} templates; Argo takes {LIMIT}"
        if "entrypoint" not in self.spec:
            yield "there is no entrypoint"
        for field in ("entrypoint", "onExit"):
            name = self.spec.get(field)
            if name is not None and name not in self.templates:
                yield f"{field} is {name}, but there is no such template{_near(name, self.templates)}"
            for missing in _parameters(self.templates.get(str(name), {}).get("inputs", {})):
                yield f"{field} {name} needs input {missing}, which nothing supplies"
        always = {n: [t.get("template", "") for t in _tasks(o) if "when" not in t] for n, o in self.templates.items()}
        yield from (
            f"template {name} runs itself without a `when`, so that it never ends"
            for name in self.templates
            if name in ancestors(name, always)
        )
        for template in self.templates.values():
            yield from self._template(template)

    def _template(self, template: Object) -> Iterator[str]:
        where = f"template {template['name']}"
        known = set(self.everywhere)
        known |= {f"inputs.parameters.{name}" for name in _parameters(template.get("inputs", {}))}
        known.add("inputs.parameters")
        if template["name"] in self.at_exit:
            known |= EXIT_TAGS
        if "dag" in template:
            yield from (
                f"{where} is a DAG, and Argo applies {field} only to what becomes a pod"
                for field in LEAF_ONLY
                if field in template
            )
            yield from self._dag(where, template, known)
            return
        inside = {key: value for key, value in template.items() if key not in _NOT_RENDERED and key != "inputs"}
        yield from self._tags(where, inside, known)
        yield from self._tags(where, template.get("inputs", {}).get("artifacts", []), known)
        if "podSpecPatch" in template:
            yield from self._patch(where, str(template["podSpecPatch"]), known)

    def _patch(self, where: str, patch: str, known: set[str]) -> Iterator[str]:
        """With the text of an input in the patch, anyone who submits the template could get a privileged pod."""
        yield from self._tags(f"{where}, podSpecPatch", patch, known)
        for tag in dict.fromkeys(tags_in(patch)):
            if not tag.startswith(EXPRESSION):
                yield f"{where}: podSpecPatch has {{{{{tag}}}}} as text; choose between fixed patches by an expression"
            else:
                with contextlib.suppress(BadInput):  # reported with the tags
                    if None in parse_expression(tag[1:]).texts:
                        yield f"{where}: podSpecPatch takes an input's value; choose between fixed patches only"

    def _tags(self, where: str, value: object, known: Iterable[str]) -> Iterator[str]:
        for tag in dict.fromkeys(tags_in(value)):
            try:
                for name in references(tag):
                    if name not in known:
                        yield f"{where}: {{{{{name}}}}} refers to nothing that is known there{_near(name, known)}"
            except BadInput as problem:
                yield f"{where}: {problem}"

    def _dag(self, where: str, template: Object, known: set[str]) -> Iterator[str]:
        tasks: dict[str, Object] = {task["name"]: task for task in _tasks(template)}
        if len(tasks) > LIMIT:
            yield f"{where} has {len(tasks)} tasks; Argo takes {LIMIT}"
        waits: dict[str, tuple[str, ...]] = {}
        for name, task in tasks.items():
            waits[name] = ()
            try:
                waits[name] = tasks_in(condition_of(task))
            except BadInput as problem:
                yield f"{where}, task {name}: {problem}"
            for other in waits[name]:
                if other not in tasks:
                    yield f"{where}: task {name} waits for {other}, but there is no such task{_near(other, tasks)}"
        for name, task in tasks.items():
            before = ancestors(name, waits)
            if name in before:
                yield f"{where}: task {name} waits for itself"
            outputs = {tag for other in before if other in tasks for tag in self._outputs(tasks[other])}
            yield from self._task(f"{where}, task {name}", task, known | outputs)

    def _task(self, where: str, task: Object, known: set[str]) -> Iterator[str]:
        target = self.templates.get(task.get("template", ""))
        if target is None:
            name = str(task.get("template"))
            yield f"{where}: its template {name} does not exist{_near(name, self.templates)}"
            return
        arguments = _parameters(task.get("arguments", {}))
        inputs = _parameters(target.get("inputs", {}))
        for name in arguments:
            if name not in inputs:
                yield f"{where}: template {target['name']} has no input {name}{_near(name, inputs)}"
        for name in inputs:
            if name not in arguments:
                yield f"{where}: template {target['name']} needs input {name}, which is not supplied"
        yield from self._tags(where, task.get("withParam", ""), known)
        inside: dict[str, object] = {key: task[key] for key in ("arguments", "when") if key in task}
        if "withParam" in task:
            known = known | {tag for tag in tags_in(inside) if tag.startswith("item.")}
        yield from self._tags(where, inside, known)

    def _outputs(self, task: Object) -> Iterator[str]:
        name, target = task["name"], self.templates.get(task.get("template", ""), {})
        yield f"tasks.{name}.status"
        if "withParam" not in task:
            yield from (f"tasks.{name}.outputs.parameters.{p}" for p in _parameters(target.get("outputs", {})))
