"""The walk through a workflow's templates: what Argo's controller does, as one coroutine a node."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from analysis.errors import Problem
from workflows.local.execution import mutex
from workflows.local.execution.events import Event, NodeFinished, NodeStarted, WorkflowWaiting
from workflows.local.execution.pod import Pod, PodSettings
from workflows.local.semantics import choice, scope
from workflows.local.semantics.conditions import when_holds
from workflows.local.semantics.dag import DagState, Task
from workflows.local.semantics.loops import expand_loop, parse_items
from workflows.local.semantics.nodes import DISPLAY_NAME, UNSUCCESSFUL, Kind, NodeStatus, Phase
from workflows.local.semantics.tags import Scope, render, render_all

Template = dict[str, Any]

_RENDERED: Final = ("name", "script", "outputs", "affinity", "activeDeadlineSeconds")
"""The fields of a step's template whose tags concern this machine; affinity, because a bad tag in it is a fault."""


class Controller:
    """Runs templates. Every node that comes to life is in `nodes`, in order."""

    def __init__(self, spec: Mapping[str, Any], around: PodSettings, known: Scope, locks: Path | None) -> None:
        self.nodes: dict[str, NodeStatus] = {}
        self._templates: dict[str, Template] = {t["name"]: t for t in spec["templates"]}
        self._around = around
        self._known = dict(known)
        self._locks = locks
        self._in_exit_handler = False

    def enter_exit_handler(self, known: Scope) -> None:
        """What runs from now on runs after a Stop, too."""
        self._in_exit_handler = True
        self._known |= known

    async def run(self, template: str, name: str) -> NodeStatus:
        """Run a template that nothing encloses, and that has no inputs: the entrypoint, or the exit handler."""
        return await self._template(template, {}, name, name, parent=None)

    def _begin(
        self, name: str, display: str, template: str, kind: Kind, parent: str | None, *, items: int | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> NodeStatus:  # fmt: skip
        node = NodeStatus(name, display, template, kind, parent, "Running", inputs=dict(inputs or {}))
        node.started_s = time.monotonic()
        self.nodes[name] = node
        self._tell(NodeStarted(name, display, template, kind, parent, dict(node.inputs), items))
        return node

    def _end(self, node: NodeStatus, phase: Phase, message: str = "") -> NodeStatus:
        node.phase, node.message = phase, message
        node.finished_s = time.monotonic()
        self._tell(NodeFinished(node.name, phase, message, node.duration_s or 0.0))
        return node

    def _tell(self, event: Event) -> None:
        self._around.tell(event)

    def _never_ran(self, dag: DagState, task: Task, display: str, phase: Phase, message: str) -> NodeStatus:
        node = self._begin(f"{dag.node.name}.{display}", display, task["template"], "Skipped", dag.node.name)
        return self._end(node, phase, message)

    async def _template(
        self, template_name: str, values: Mapping[str, str], name: str, display: str, parent: str | None
    ) -> NodeStatus:
        template = self._templates[template_name]
        kind: Kind = "DAG" if "dag" in template else "Pod"
        known = {**self._known, **scope.input_tags(values)}
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

    async def _retry(
        self, template: Template, values: Mapping[str, str], known: Scope, name: str, display: str, parent: str | None
    ) -> NodeStatus:
        outer = self._begin(name, display, template["name"], "Retry", parent, inputs=values)
        limit = int(template["retryStrategy"]["limit"])
        for attempt in itertools.count():
            inner = f"({attempt})"
            node = self._begin(name + inner, display + inner, template["name"], "Pod", name, inputs=values)
            await self._pod(template, node, known)
            outer.outputs = node.outputs
            if node.phase not in UNSUCCESSFUL:
                return self._end(outer, "Succeeded")
            strategy_asked = self._around.shutdown.strategy
            if strategy_asked is not None and not (self._in_exit_handler and strategy_asked == "Stop"):
                return self._end(outer, node.phase, f"Stopped with strategy '{strategy_asked}'")
            if node.phase != "Error":
                return self._end(outer, node.phase, node.message)
            if attempt >= limit:
                return self._end(outer, node.phase, "No more retries left")
        raise AssertionError

    async def _pod(self, template: Template, node: NodeStatus, known: Scope) -> NodeStatus:
        try:
            ready = render_all({key: template[key] for key in _RENDERED if key in template}, known)
            ready["inputs"] = {"artifacts": render_all(template.get("inputs", {}).get("artifacts", []), known)}
            if patch := template.get("podSpecPatch"):
                json.loads(choice.parse_choice(patch).made(known))
        except Problem as problem:
            return self._end(node, "Error", str(problem))
        except json.JSONDecodeError as error:
            return self._end(node, "Error", f"podSpecPatch of template {template['name']} is no JSON: {error}.")
        await Pod(ready, node, self._around, in_exit_handler=self._in_exit_handler).run()
        return self._end(node, node.phase, node.message)

    async def _dag(self, template: Template, node: NodeStatus, known: Scope) -> NodeStatus:
        dag = DagState(template, node, known)
        async with asyncio.TaskGroup() as running:
            for task in dag.tasks:
                running.create_task(self._task(dag, task))
        return self._end(node, "Failed" if self._refusal() is not None else dag.phase())

    async def _task(self, dag: DagState, task: Task) -> None:
        name = task["name"]
        await dag.wait_for_dependencies(name)
        if dag.may_start(name):
            await self._expanded(dag, task)
        else:
            dag.nodes[name] = self._never_ran(dag, task, name, "Omitted", "omitted: depends condition not met")
        dag.over[name].set()

    async def _expanded(self, dag: DagState, task: Task) -> None:
        name = task["name"]
        known, why = dag.known_before(name)
        try:
            if "withParam" not in task:
                dag.nodes[name] = await self._one(dag, task, name, known, why)
                return
            passes = expand_loop(parse_items(render(task["withParam"], known, why)))
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

    async def _one(
        self,
        dag: DagState,
        task: Task,
        display: str,
        known: Scope,
        why: Mapping[str, str],
        group: NodeStatus | None = None,
    ) -> NodeStatus:
        """A task, or one pass of its loop."""
        name = f"{dag.node.name}.{display}"
        parent = (group or dag.node).name
        async with dag.slots or contextlib.nullcontext():
            try:
                if task.get("when"):
                    when = render(task["when"], known, why)
                    if not when_holds(when):
                        return self._never_ran(dag, task, display, "Skipped", f"when '{when}' evaluated false")
                given = task.get("arguments", {}).get("parameters", [])
                values = {parameter["name"]: render(parameter["value"], known, why) for parameter in given}
            except Problem as problem:
                return self._never_ran(dag, task, display, "Error", str(problem))
            return await self._template(task["template"], values, name, display, parent)
