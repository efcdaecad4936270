"""What in a workflow runs into known defects of Argo's Stop and Retry."""

from collections.abc import Iterator, Mapping
from typing import Any

from workflows.local.semantics.conditions import ancestors, condition_of, dependencies, last_tasks

Object = Mapping[str, Any]


def unsafe_to_stop(workflow: Object) -> list[str]:
    """Each place where Argo's Stop may not reach the exit handler, as a sentence.

    Where a loop's next item has no node yet, Argo 3.6 to 4.1 lists it as a child of the loop all the same. On shutdown
    the controller walks down from the last tasks of every DAG (getOutboundNodes in workflow/controller/operator.go) and
    panics at such a child. So a task must follow each loop, and what a loop runs must not wait for a mutex.

    Argo 3.6, 3.7.0 to 3.7.16 and 4.0.0 to 4.0.7 fail a DAG that begins after a Stop at once (assessDAGPhase in
    workflow/controller/dag.go; argoproj/argo-workflows 16488). So the exit handler must not be one. `workflow`: as
    Hera's `to_dict` gives it. One without an exit handler is safe.
    """
    spec = workflow.get("spec", {})
    templates: dict[str, Object] = {t["name"]: t for t in spec.get("templates", [])}
    if not spec.get("onExit"):
        return []
    found = []
    if "dag" in templates.get(spec["onExit"], {}):
        found.append(f"the exit handler {spec['onExit']} is a DAG; let it be steps")
    for template in templates.values():
        tasks = template.get("dag", {}).get("tasks", [])
        last = last_tasks(dependencies(tasks))
        for task in (task for task in tasks if "withParam" in task):
            where = f"template {template['name']}, task {task['name']}"
            if task["name"] in last:
                found.append(f"{where} is a loop and the last task of its DAG; let another task wait for it")
            if "synchronization" in templates.get(task.get("template", ""), {}):
                found.append(f"{where} is a loop over {task['template']}, which holds a mutex; move it further inside")
    return found


def unsafe_to_retry(workflow: Object) -> list[str]:
    """Each place where Argo's Retry hangs or leaves out work, as a sentence.

    Retry (FormulateRetryWorkflow in workflow/util/util.go, 3.6 to 4.1) deletes the failed pods and what came of them,
    and sets the other nodes on the way from the root to them back to Running: DAGs, an item of a loop that they came
    after, and tasks that may be repeated. The controller looks again only at what an unfinished task names in its
    `depends`, and at that without asking what comes before it; and it ends no DAG in which a node is Running.

    A Stop ends a DAG at once, before the results of its pods are known, and so before its last tasks have nodes. What
    follows it then is no child of it: Retry sets back what is one, a DAG, and refuses a node without a parent.
    `workflow`: as Hera's `to_dict` gives it. The exit handler is left out, which Retry begins anew.
    """
    spec = workflow.get("spec", {})
    templates: dict[str, Object] = {t["name"]: t for t in spec.get("templates", [])}
    return [
        problem
        for name, template in templates.items()
        if name != spec.get("onExit")
        for problem in _unsafe_to_retry(f"template {name}, task", template.get("dag", {}).get("tasks", []), templates)
    ]


def _unsafe_to_retry(where: str, tasks: list[Object], templates: Mapping[str, Object]) -> Iterator[str]:
    needs = dependencies(tasks)
    runs = {task["name"]: templates.get(task.get("template", ""), {}) for task in tasks}
    conditional = {task["name"] for task in tasks if "when" in task}
    own = {task["name"] for task in tasks if "withParam" in task and "dag" in runs[task["name"]]}
    loops = own | {task["name"] for task in tasks if _has_a_loop(task.get("template", ""), templates)}
    for name, before in ((name, ancestors(name, needs)) for name in needs):
        for other in sorted(before - set(needs[name])):
            if other in loops or "retryStrategy" in runs[other]:
                yield f"{where} {name} comes after {other} without waiting for it itself; name it in depends"
        for loop in sorted(loops & set(needs[name])):
            if name in conditional:
                yield f"{where} {name} may be skipped and follows the loop of {loop}; put it into a DAG of its own"
            if not any(loop in needs[other] for other in before):
                alone = set(needs[name]) <= loops
                yield from (f"{where} {name} {reason}" for reason in _unsafe_as_next(loop, runs[name], alone=alone))
    for loop in sorted(own):
        for first in (task for task in runs[loop]["dag"]["tasks"] if not condition_of(task)):
            for reason in _unsafe_as_first(templates.get(first.get("template", ""), {})):
                yield f"{where} {loop} is a loop that begins with {first['name']}, {reason}"


def _unsafe_as_first(template: Object) -> Iterator[str]:
    """Why what a loop runs can't begin with a template."""
    if "dag" in template:
        yield "a DAG; let it begin with a pod"
    if {"synchronization", "retryStrategy"} <= template.keys():
        yield "which may be repeated and has no pod while it waits for its mutex; let it not be repeated"


def _unsafe_as_next(loop: str, template: Object, *, alone: bool) -> Iterator[str]:
    """Why a template can't run first after a loop; `alone`: it waits for nothing else."""
    for field, what in (("retryStrategy", "may be repeated"), ("dag", "is a DAG")):
        if field in template:
            yield f"{what} and follows the loop of {loop}, so that Retry begins it first"
    if alone:
        yield f"follows the loop of {loop} alone, without a parent after a Stop; let it wait for an earlier task too"


def _has_a_loop(name: str, templates: Mapping[str, Object], above: frozenset[str] = frozenset()) -> bool:
    """Whether a DAG, or one that it runs, has a loop over DAGs. One that runs itself is looked at once."""
    if name in above:
        return False
    tasks = templates.get(name, {}).get("dag", {}).get("tasks", [])
    return any(
        ("withParam" in task and "dag" in templates.get(task.get("template", ""), {}))
        or _has_a_loop(task.get("template", ""), templates, above | {name})
        for task in tasks
    )
