"""The walk through a workflow's templates: what Argo's controller does, as one coroutine a node."""

import asyncio
import contextlib
import itertools
import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from analysis.errors import Problem
from workflows.local import choice, mutex, scope
from workflows.local.dag import NO_MORE, Dag, Task
from workflows.local.events import Event, NodeFinished, NodeStarted, WorkflowWaiting
from workflows.local.expressions import when_holds
from workflows.local.loops import Item, expand, parse_items
from workflows.local.nodes import DISPLAY_NAME, UNSUCCESSFUL, Kind, Node, Phase
from workflows.local.pod import Pod, Surroundings, parameters_as_json
from workflows.local.tags import Scope, Unresolved, only_tag, render, render_all

Template = dict[str, Any]
Arguments = Mapping[str, str | None]
"""Values by input. None: the task that would give it was skipped, so the input's own default takes over."""

_RENDERED: Final = ("name", "script", "outputs", "nodeSelector", "affinity", "activeDeadlineSeconds")
"""The fields of a step's template whose tags concern this machine; nodeSelector and affinity, because a bad tag in them
is a fault."""


class Walk:
    """Runs templates. Every node that comes to life is in `nodes`, in order."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        around: Surroundings,
        known: Scope,
        log_key: Callable[[Node], str | None],
        locks: Path | None,
    ) -> None:
        self.nodes: dict[str, Node] = {}
        self._templates = {t["name"]: with_defaults(t, spec.get("templateDefaults", {})) for t in spec["templates"]}
        self._around = around
        self._known = dict(known)
        self._log_key = log_key
        self._locks = locks
        self._pods = asyncio.Semaphore(spec["parallelism"]) if spec.get("parallelism") else None
        self._in_exit_handler = False

    def enter_exit_handler(self, known: Scope) -> None:
        """What runs from now on runs after a Stop, too."""
        self._in_exit_handler = True
        self._known |= known

    async def run(self, template: str, arguments: Arguments, name: str, display: str) -> Node:
        """Run a template that nothing encloses: the entrypoint, or the exit handler."""
        return await self._template(template, arguments, name, display, parent=None)

    def _begin(
        self, name: str, display: str, template: str, kind: Kind, parent: str | None, *, items: int | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> Node:  # fmt: skip
        node = Node(name, display, template, kind, parent, "Running", inputs=dict(inputs or {}))
        node.started_s = time.monotonic()
        self.nodes[name] = node
        self._tell(NodeStarted(name, display, template, kind, parent, dict(node.inputs), items))
        return node

    def _end(self, node: Node, phase: Phase, message: str = "") -> Node:
        node.phase, node.message = phase, message
        node.finished_s = time.monotonic()
        self._tell(NodeFinished(node.name, phase, message, node.duration_s or 0.0))
        return node

    def _tell(self, event: Event) -> None:
        self._around.tell(event)

    def _never_ran(self, dag: Dag, task: Task, display: str, phase: Phase, message: str) -> Node:
        node = self._begin(f"{dag.node.name}.{display}", display, task["template"], "Skipped", dag.node.name)
        if phase in {"Skipped", "Omitted"}:
            node.outputs = scope.absent_outputs(self._templates[task["template"]])
        return self._end(node, phase, message)

    async def _template(
        self, template_name: str, arguments: Arguments, name: str, display: str, parent: str | None
    ) -> Node:
        template = self._templates[template_name]
        kind: Kind = "DAG" if "dag" in template else "Pod"
        try:
            values = self._inputs(template, arguments)
        except Problem as problem:
            node = self._begin(name, display, template_name, "Skipped", parent)
            return self._end(node, "Error", str(problem))
        declared = template.get("inputs", {}).get("parameters", [])
        known = {**self._known, **scope.of_inputs(values, parameters_as_json(declared, values)), "node.name": name}
        if title := template.get("annotations", {}).get(DISPLAY_NAME):
            display = render(title, known)
        async with self._locked(template, name) as held:
            if held and kind == "Pod" and "retryStrategy" in template:
                return await self._retry(template, values, known, name, display, parent)
            node = self._begin(name, display, template_name, kind, parent, inputs=values)
            if not held:
                return self._end(node, "Failed", self._refusal() or "")
            return await (self._dag if kind == "DAG" else self._pod)(template, node, known)

    def _locked(self, template: Template, name: str) -> contextlib.AbstractAsyncContextManager[bool]:
        """Its mutexes are held while a template runs, DAG or step."""
        names = [m["name"] for m in template.get("synchronization", {}).get("mutexes", [])]
        return mutex.held(
            names,
            f"node {name}",
            lambda told: self._tell(WorkflowWaiting(told)),
            lambda: self._refusal() is not None,
            self._locks,
        )

    def _refusal(self) -> str | None:
        return self._around.shutdown.refusal(in_exit_handler=self._in_exit_handler)

    def _inputs(self, template: Template, arguments: Arguments) -> dict[str, str]:
        values = {}
        for parameter in template.get("inputs", {}).get("parameters", []):
            name = parameter["name"]
            value = arguments.get(name)
            if value is None:
                own = parameter.get("value", parameter.get("default"))
                value = None if own is None else render(as_argument(own), self._known)
            if value is None:
                why = (
                    "the output that it refers to never came to be, because its task was skipped"
                    if name in arguments
                    else "it was not supplied"
                )
                raise Problem(f"input {name} of template {template['name']} has no value: {why}, and has no default.")
            values[name] = value
        return values

    async def _retry(
        self, template: Template, values: dict[str, str], known: Scope, name: str, display: str, parent: str | None
    ) -> Node:
        strategy = template["retryStrategy"]
        outer = self._begin(name, display, template["name"], "Retry", parent, inputs=values)
        retried = {"Always": UNSUCCESSFUL, "OnFailure": {"Failed"}, "OnError": {"Error"}}
        policy = retried[strategy.get("retryPolicy", "OnFailure")]
        limit = int(render(str(strategy["limit"]), known)) if "limit" in strategy else None
        for attempt in itertools.count():
            inner = f"({attempt})"
            node = self._begin(name + inner, display + inner, template["name"], "Pod", name, inputs=values)
            outer.children.append(node.name)
            await self._pod(template, node, {**known, "retries": str(attempt), "node.name": node.name})
            outer.outputs, outer.log = node.outputs, node.log
            if node.phase not in UNSUCCESSFUL:
                return self._end(outer, "Succeeded")
            strategy_asked = self._around.shutdown.strategy
            if strategy_asked is not None and not (self._in_exit_handler and strategy_asked == "Stop"):
                return self._end(outer, node.phase, f"Stopped with strategy '{strategy_asked}'")
            if node.phase not in policy:
                return self._end(outer, node.phase, node.message)
            if limit is not None and attempt >= limit:
                return self._end(outer, node.phase, "No more retries left")
        raise AssertionError

    async def _pod(self, template: Template, node: Node, known: Scope) -> Node:
        async with self._pods or contextlib.nullcontext():
            try:
                rendered = {key: template[key] for key in _RENDERED if key in template}
                ready = render_all(rendered, {**known, "pod.name": node.name})
                ready["inputs"] = {
                    "artifacts": render_all(template.get("inputs", {}).get("artifacts", []), known),
                }
                if patch := template.get("podSpecPatch"):
                    json.loads(choice.parse(patch).made(known) if choice.is_choice(patch) else render(patch, known))
            except Problem as problem:
                return self._end(node, "Error", str(problem))
            except json.JSONDecodeError as error:
                return self._end(node, "Error", f"podSpecPatch of template {template['name']} is no JSON: {error}.")
            pod = Pod(ready, node, self._around, in_exit_handler=self._in_exit_handler)
            await pod.run(self._log_key(node))
        return self._end(node, node.phase, node.message)

    async def _dag(self, template: Template, node: Node, known: Scope) -> Node:
        dag = Dag(template, node, known, self.nodes)
        async with asyncio.TaskGroup() as running:
            for task in dag.tasks:
                running.create_task(self._task(dag, task))
        if dag.gives_up:
            return self._end(node, "Failed", NO_MORE)
        if self._refusal() is not None:
            return self._end(node, "Failed")
        phase = dag.phase()
        if phase == "Succeeded":
            try:
                node.outputs = dag.outputs()
            except Unresolved as problem:
                return self._end(node, "Error", str(problem))
        return self._end(node, phase)

    async def _task(self, dag: Dag, task: Task) -> None:
        name = task["name"]
        await dag.wait_for_dependencies(name)
        if not dag.gives_up:
            if dag.may_start(name):
                await self._expanded(dag, task)
            else:
                dag.nodes[name] = self._never_ran(dag, task, name, "Omitted", "omitted: depends condition not met")
        dag.over[name].set()

    async def _expanded(self, dag: Dag, task: Task) -> None:
        name = task["name"]
        known, why = dag.known_after(dag.ancestors(name))
        try:
            if not self._loops(task):
                dag.nodes[name] = await self._one(dag, task, name, known, why)
                return
            passes = self._passes(task, known, why)
        except Problem as problem:
            dag.nodes[name] = self._never_ran(dag, task, name, "Error", str(problem))
            return
        if not passes:
            dag.nodes[name] = self._never_ran(dag, task, name, "Skipped", "Skipped, empty params")
            return
        group = self._begin(
            f"{dag.node.name}.{name}", name, task["template"], "TaskGroup", dag.node.name, items=len(passes)
        )
        dag.nodes[name] = group
        children = await asyncio.gather(
            *(self._one(dag, task, name + p.suffix, {**known, **p.values}, why, group) for p in passes)
        )
        # Argo's loop over the children keeps the last bad phase, in the items' order.
        phase: Phase = next((n.phase for n in reversed(children) if n.phase in UNSUCCESSFUL), "Succeeded")
        self._end(group, phase)

    @staticmethod
    def _loops(task: Task) -> bool:
        return "withItems" in task or "withParam" in task

    @staticmethod
    def _passes(task: Task, known: Scope, why: Mapping[str, str]) -> list[Item]:
        if "withParam" in task:
            return expand(parse_items(render(task["withParam"], known, why)))
        return expand(render_all(task["withItems"], known, why))

    async def _one(
        self, dag: Dag, task: Task, display: str, known: Scope, why: Mapping[str, str], group: Node | None = None
    ) -> Node:
        """A task, or one pass of its loop."""
        name = f"{dag.node.name}.{display}"
        parent = (group or dag.node).name
        async with dag.slots or contextlib.nullcontext():
            if dag.gives_up:
                return Node(name, display, task["template"], "Skipped", parent, "Omitted", NO_MORE)
            if group is not None:
                group.children.append(name)
            try:
                if task.get("when"):
                    when = render(task["when"], known, why)
                    if not when_holds(when):
                        return self._never_ran(dag, task, display, "Skipped", f"when '{when}' evaluated false")
                arguments = self._arguments(task, known, why)
            except Problem as problem:
                node = self._never_ran(dag, task, display, "Error", str(problem))
            else:
                node = await self._template(task["template"], arguments, name, display, parent)
        if node.phase in UNSUCCESSFUL and dag.template.get("failFast") is True:
            dag.gives_up = True
        return node

    @staticmethod
    def _arguments(task: Task, known: Scope, why: Mapping[str, str]) -> dict[str, str | None]:
        given: dict[str, str | None] = {}
        for argument in task.get("arguments", {}).get("parameters", []):
            text = as_argument(argument["value"])
            tag = only_tag(text)
            absent = tag is not None and tag in known and known[tag] is None
            given[argument["name"]] = None if absent else render(text, known, why)
        return given


def as_argument(value: object) -> str:
    """A parameter's value as text, however the YAML has it."""
    return value if isinstance(value, str) else json.dumps(value)


def with_defaults(template: Template, defaults: Template) -> Template:
    """The template with the workflow's `templateDefaults` where it says nothing itself; DAGs have no use for them."""
    return template if "dag" in template else {**defaults, **template}


def safe_name(text: str) -> str:
    """A node's name as a file's."""
    return re.sub(r"[^A-Za-z0-9.()-]+", "_", text)[:120]
