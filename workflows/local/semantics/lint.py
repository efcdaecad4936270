"""Does a workflow contradict itself? What neither Hera nor a schema sees: references between its parts.

problems = lint(template.to_dict())
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from analysis.errors import BadInput
from workflows.local.semantics import choice
from workflows.local.semantics.conditions import condition_of, tasks_in
from workflows.local.semantics.tags import tags_in

LIMIT: Final = 200
"""How many templates a workflow, and how many tasks a DAG, may have before Argo slows down to a crawl."""

WORKFLOW_TAGS: Final = frozenset({"workflow.name", "workflow.uid"})
EXIT_TAGS: Final = frozenset({"workflow.status"})
LEAF_ONLY: Final = ("activeDeadlineSeconds", "podSpecPatch", "nodeSelector", "serviceAccountName", "tolerations")
"""Fields that Argo heeds on what becomes a pod, and passes over on a DAG."""
_NOT_RENDERED: Final = frozenset({"metrics", "metadata", "dag", "retryStrategy"})

Object = Mapping[str, Any]


def lint(workflow: Object) -> list[str]:
    """Each contradiction as a sentence; none: it is sound.

    Args:
        workflow: a WorkflowTemplate or Workflow, as Hera's `to_dict` gives it.
    """
    return list(_Lint(workflow.get("spec", {})).problems())


def unsafe_to_stop(workflow: Object) -> list[str]:
    """Each shape in which Argo's Stop may never reach the exit handler, as a sentence; none: it always does.

    Where a loop's next item has no node yet, Argo 3.6 to 4.1 lists it as a child of the loop all the same. On shutdown
    the controller walks down from the last tasks of every DAG (getOutboundNodes in workflow/controller/operator.go) and
    panics at such a child. So a task must follow each loop, and what a loop runs must not wait for a mutex.

    Args:
        workflow: a WorkflowTemplate or Workflow, as Hera's `to_dict` gives it. One without an exit handler is safe.
    """
    spec = workflow.get("spec", {})
    templates: dict[str, Object] = {t["name"]: t for t in spec.get("templates", [])}
    if not spec.get("onExit"):
        return []
    found = []
    for template in templates.values():
        tasks = template.get("dag", {}).get("tasks", [])
        followed = {other for task in tasks for other in tasks_in(condition_of(task))}
        for task in (task for task in tasks if "withParam" in task):
            where = f"template {template['name']}, task {task['name']}"
            if task["name"] not in followed:
                found.append(f"{where} is a loop and the last task of its DAG; let another task wait for it")
            if "synchronization" in templates.get(task.get("template", ""), {}):
                found.append(f"{where} is a loop over {task['template']}, which holds a mutex; move it further inside")
    return found


def unsafe_to_retry(workflow: Object) -> list[str]:
    """Each shape in which Argo's Retry stands for ever or passes something over, as a sentence; none: it does neither.

    Retry (FormulateRetryWorkflow in workflow/util/util.go, 3.6 to 4.1) deletes the failed pods and what came of them,
    and sets the other nodes on the way from the root to them back to Running: DAGs, an item of a loop that they came
    after, and tasks that may be repeated. The controller looks again only at what an unfinished task names in its
    `depends`, and at that without asking what comes before it; and it ends no DAG in which a node is Running.

    Args:
        workflow: a WorkflowTemplate or Workflow, as Hera's `to_dict` gives it. The exit handler is left out, which
            Retry begins anew.
    """
    spec = workflow.get("spec", {})
    templates: dict[str, Object] = {t["name"]: t for t in spec.get("templates", [])}
    return [
        problem
        for name, template in templates.items()
        if name != spec.get("onExit")
        for problem in _unsafe_to_retry(f"template {name}, task", template.get("dag", {}).get("tasks", []), templates)
    ]


def _unsafe_to_retry(where: str, tasks: Iterable[Object], templates: Mapping[str, Object]) -> Iterator[str]:
    needs = {task["name"]: tasks_in(condition_of(task)) for task in tasks}
    runs = {task["name"]: templates.get(task.get("template", ""), {}) for task in tasks}
    loops = {task["name"] for task in tasks if "withParam" in task and "dag" in runs[task["name"]]}
    for name, before in ((name, _before(name, needs)) for name in needs):
        for other in sorted(before - set(needs[name])):
            if other in loops or "retryStrategy" in runs[other]:
                yield f"{where} {name} comes after {other} without waiting for it itself; name it in depends"
        for loop in sorted(loops & set(needs[name])):
            is_next = not any(loop in needs[other] for other in before)
            if is_next and "retryStrategy" in runs[name]:
                yield f"{where} {name} may be repeated and follows the loop {loop}, so that Retry begins it first"
    for loop in sorted(loops):
        for first in runs[loop]["dag"]["tasks"]:
            if not condition_of(first) and "dag" in templates.get(first.get("template", ""), {}):
                yield f"{where} {loop} is a loop that begins with {first['name']}, a DAG; let it begin with a pod"


def _before(task: str, needs: Mapping[str, Iterable[str]]) -> set[str]:
    """Every task that comes before a task of its DAG."""
    found: set[str] = set()
    waiting = [task]
    while waiting:
        added = set(needs.get(waiting.pop(), ())) - found
        found |= added
        waiting += added
    return found


def _parameters(place: Object) -> dict[str, Object]:
    return {p["name"]: p for p in place.get("parameters", [])}


def _near(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


class _Lint:
    def __init__(self, spec: Object) -> None:
        self.spec = spec
        self.templates: dict[str, Object] = {t["name"]: t for t in spec.get("templates", [])}
        self.everywhere = WORKFLOW_TAGS | {f"workflow.parameters.{p}" for p in _parameters(spec.get("arguments", {}))}
        self.at_exit = self._reachable(spec.get("onExit"))

    def _reachable(self, template: str | None) -> set[str]:
        found: set[str] = set()
        waiting = [template] if template else []
        while waiting:
            name = waiting.pop()
            if name in found or name not in self.templates:
                continue
            found.add(name)
            waiting += [t["template"] for t in self.templates[name].get("dag", {}).get("tasks", []) if "template" in t]
        return found

    def problems(self) -> Iterator[str]:
        names = [t["name"] for t in self.spec.get("templates", [])]
        yield from (f"template {n} is defined twice" for n in sorted({n for n in names if names.count(n) > 1}))
        if len(names) > LIMIT:
            yield f"there are {len(names)} templates; Argo takes {LIMIT}"
        for field in ("entrypoint", "onExit"):
            name = self.spec.get(field)
            if name is None and field == "entrypoint":
                yield "there is no entrypoint"
            elif name is not None and name not in self.templates:
                yield f"{field} is {name}, which no template is called{_near(name, self.templates)}"
        yield from self._outermost()
        for template in self.templates.values():
            yield from self._template(template)

    def _outermost(self) -> Iterator[str]:
        for field in ("entrypoint", "onExit"):
            template = self.templates.get(self.spec.get(field, ""), {})
            for name in _parameters(template.get("inputs", {})):
                yield f"{field} {template['name']} needs input {name}, which nothing supplies"

    def _template(self, template: Object) -> Iterator[str]:
        where = f"template {template['name']}"
        known = set(self.everywhere)
        known |= {f"inputs.parameters.{name}" for name in _parameters(template.get("inputs", {}))}
        known.add("inputs.parameters")
        if template["name"] in self.at_exit:
            known |= EXIT_TAGS
        if "dag" in template:
            yield from (
                f"{where} is a DAG, and Argo heeds {field} only on what becomes a pod"
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
        """A patch that a tag is pasted into is whatever who starts the template wants, a root's pod included."""
        try:
            texts = choice.parse_choice(patch).texts if choice.is_choice(patch) else (patch,)
        except BadInput as problem:
            yield f"{where}: podSpecPatch {problem}"
            return
        for text in texts:
            if any(tags_in(text)):
                yield f"{where}: podSpecPatch takes a tag in as text; choose between fixed patches by an expression"
        if choice.is_choice(patch):
            yield from (
                f"{where}: {tag} in podSpecPatch refers to nothing that is known there"
                for tag in choice.parse_choice(patch).tags
                if tag not in known
            )

    def _tags(self, where: str, value: object, known: Iterable[str]) -> Iterator[str]:
        for tag in dict.fromkeys(tags_in(value)):
            if tag.startswith("="):
                continue
            if tag not in known:
                yield f"{where}: {{{{{tag}}}}} refers to nothing that is known there{_near(tag, known)}"

    def _dag(self, where: str, template: Object, known: set[str]) -> Iterator[str]:
        tasks: dict[str, Object] = {t["name"]: t for t in template["dag"].get("tasks", [])}
        names = [t["name"] for t in template["dag"].get("tasks", [])]
        if len(names) > LIMIT:
            yield f"{where} has {len(names)} tasks; Argo takes {LIMIT}"
        yield from (f"{where}: task {n} is defined twice" for n in sorted({n for n in names if names.count(n) > 1}))
        waits: dict[str, tuple[str, ...]] = {}
        for name, task in tasks.items():
            waits[name] = ()
            try:
                waits[name] = tasks_in(condition_of(task))
            except BadInput as problem:
                yield f"{where}, task {name}: {problem}"
            for other in waits[name]:
                if other not in tasks:
                    yield f"{where}: task {name} waits for {other}, which no task is called{_near(other, tasks)}"
        above = {name: _ancestors(name, waits) for name in tasks}
        for name, task in tasks.items():
            if name in above[name]:
                yield f"{where}: task {name} waits for itself"
            yield from self._task(f"{where}, task {name}", task, tasks, above[name], known)

    def _task(
        self, where: str, task: Object, tasks: Mapping[str, Object], above: set[str], known: set[str]
    ) -> Iterator[str]:
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
        known = known | {tag for name in above if name in tasks for tag in self._given_by(tasks[name])}
        yield from self._tags(where, task.get("withParam", ""), known)
        inside: dict[str, object] = {key: task[key] for key in ("arguments", "when") if key in task}
        if "withParam" in task:
            known |= {tag for tag in tags_in(inside) if tag.startswith("item.")}
        yield from self._tags(where, inside, known)

    def _given_by(self, task: Object) -> Iterator[str]:
        name, target = task["name"], self.templates.get(task.get("template", ""), {})
        yield f"tasks.{name}.status"
        if "withParam" not in task:
            yield from (f"tasks.{name}.outputs.parameters.{p}" for p in _parameters(target.get("outputs", {})))


def _ancestors(name: str, waits: Mapping[str, tuple[str, ...]]) -> set[str]:
    found: set[str] = set()
    waiting = list(waits[name])
    while waiting:
        other = waiting.pop()
        if other not in found:
            found.add(other)
            waiting += waits.get(other, ())
    return found
