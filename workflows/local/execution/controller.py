"""The walk through a workflow's templates: what Argo's controller does, as one coroutine a node."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from analysis.errors import Problem
from workflows.local.execution import mutex
from workflows.local.execution.events import NodeFinished, NodeStarted, WorkflowWaiting
from workflows.local.execution.pod import Pod, PodSettings
from workflows.local.semantics.conditions import when_holds
from workflows.local.semantics.dag import DagState, DagTask
from workflows.local.semantics.loops import expand_loop, parse_items
from workflows.local.semantics.nodes import DISPLAY_NAME, UNSUCCESSFUL, NodeKind, NodeStatus, Phase
from workflows.local.semantics.tags import Scope, input_tags, render, render_all

TemplateObject = dict[str, Any]

MOST_DEPTH: Final = 100
"""Of templates that run each other, as in Argo's controller."""

_RENDERED: Final = ("name", "script", "outputs", "affinity", "activeDeadlineSeconds")
"""The fields of a step's template whose tags are replaced; affinity, so that an unknown tag in it is an error."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A template that is to run, with the values of its inputs, as a node of this name."""

    template: str
    values: Mapping[str, str]
    name: str
    display: str
    parent: str | None


class Controller:
    """Runs templates. `nodes` has every node that has started, in order."""

    def __init__(self, spec: Mapping[str, Any], pods: PodSettings, known: Scope, locks: Path | None) -> None:
        self.nodes: dict[str, NodeStatus] = {}
        self._templates: dict[str, TemplateObject] = {t["name"]: t for t in spec["templates"]}
        self._pods = pods
        self._known = dict(known)
        self._locks = locks
        self._in_exit_handler = False

    def enter_exit_handler(self, known: Scope) -> None:
        """What is run from now on runs after a Stop, too, and knows these tags."""
        self._in_exit_handler = True
        self._known |= known

    async def run(self, template: str, name: str) -> NodeStatus:
        """Run the entrypoint or the exit handler: a template without inputs."""
        return await self._template(_Call(template, {}, name, name, parent=None))

    def _start(self, call: _Call, kind: NodeKind, *, items: int | None = None) -> NodeStatus:
        node = NodeStatus(
            call.name, call.display, call.template, kind, call.parent, "Running", inputs=dict(call.values)
        )
        node.started_s = time.monotonic()
        self.nodes[call.name] = node
        self._pods.emit(NodeStarted(call.name, call.template, kind, call.parent, dict(node.inputs), items))
        return node

    def _end(self, node: NodeStatus, phase: Phase, message: str = "") -> NodeStatus:
        node.phase, node.message = phase, message
        node.finished_s = time.monotonic()
        self._pods.emit(NodeFinished(node.name, phase, message, node.duration_s or 0.0))
        return node

    def _never_ran(self, dag: DagState, task: DagTask, display: str, phase: Phase, message: str) -> NodeStatus:
        call = _Call(task["template"], {}, f"{dag.node.name}.{display}", display, dag.node.name)
        return self._end(self._start(call, "Skipped"), phase, message)

    async def _template(self, call: _Call) -> NodeStatus:
        if sum(node.kind == "DAG" for node in self._above(call.parent)) >= MOST_DEPTH:
            return self._end(self._start(call, "Skipped"), "Error", "Maximum recursion depth exceeded.")
        template = self._templates[call.template]
        known = {**self._known, **input_tags(call.values)}
        if title := template.get("annotations", {}).get(DISPLAY_NAME):
            call = replace(call, display=render(title, known))
        async with self._locked(template, call.name) as held:
            if held and "retryStrategy" in template:
                return await self._retry(template, call, known)
            node = self._start(call, "DAG" if "dag" in template else "Pod")
            if not held:
                return self._end(node, "Failed", self._refusal() or "")
            return await (self._dag if "dag" in template else self._pod)(template, node, known)

    def _above(self, parent: str | None) -> Iterator[NodeStatus]:
        """A node and those that it runs in."""
        while parent is not None:
            yield self.nodes[parent]
            parent = self.nodes[parent].parent

    def _locked(self, template: TemplateObject, name: str) -> contextlib.AbstractAsyncContextManager[bool]:
        """Hold the step's mutexes."""
        return mutex.hold(
            [m["name"] for m in template.get("synchronization", {}).get("mutexes", [])],
            f"node {name}",
            lambda message: self._pods.emit(WorkflowWaiting(message)),
            lambda: self._refusal() is not None,
            self._locks,
        )

    def _refusal(self) -> str | None:
        return self._pods.shutdown.refusal(in_exit_handler=self._in_exit_handler)

    async def _retry(self, template: TemplateObject, call: _Call, known: Scope) -> NodeStatus:
        outer = self._start(call, "Retry")
        limit = int(template["retryStrategy"]["limit"])
        for attempt in itertools.count():
            inner = f"({attempt})"
            node = self._start(
                replace(call, name=call.name + inner, display=call.display + inner, parent=call.name), "Pod"
            )
            await self._pod(template, node, known)
            outer.outputs = node.outputs
            if node.phase not in UNSUCCESSFUL:
                return self._end(outer, "Succeeded")
            strategy = self._pods.shutdown.strategy
            if strategy is not None and not (self._in_exit_handler and strategy == "Stop"):
                return self._end(outer, node.phase, f"Stopped with strategy '{strategy}'")
            if node.phase != "Error":
                return self._end(outer, node.phase, node.message)
            if attempt >= limit:
                return self._end(outer, node.phase, "No more retries left")
        raise AssertionError

    async def _pod(self, template: TemplateObject, node: NodeStatus, known: Scope) -> NodeStatus:
        try:
            ready = render_all({key: template[key] for key in _RENDERED if key in template}, known)
            ready["inputs"] = {"artifacts": render_all(template.get("inputs", {}).get("artifacts", []), known)}
            json.loads(render(template.get("podSpecPatch", "{}"), known))
        except Problem as problem:
            return self._end(node, "Error", str(problem))
        except json.JSONDecodeError as error:
            return self._end(node, "Error", f"podSpecPatch of template {template['name']} is no JSON: {error}.")
        await Pod(ready, node, self._pods, in_exit_handler=self._in_exit_handler).run()
        return self._end(node, node.phase, node.message)

    async def _dag(self, template: TemplateObject, node: NodeStatus, known: Scope) -> NodeStatus:
        dag = DagState(template, node, known)
        async with asyncio.TaskGroup() as running:
            for task in dag.tasks:
                running.create_task(self._task(dag, task))
        return self._end(node, "Failed" if self._refusal() is not None else dag.phase())

    async def _task(self, dag: DagState, task: DagTask) -> None:
        name = task["name"]
        await dag.wait_for_dependencies(name)
        if dag.may_start(name):
            dag.nodes[name] = await self._started_task(dag, task)
        else:
            dag.nodes[name] = self._never_ran(dag, task, name, "Omitted", "omitted: depends condition not met")
        dag.ended[name].set()

    async def _started_task(self, dag: DagState, task: DagTask) -> NodeStatus:
        """A task, or its loop."""
        name = task["name"]
        known, why = dag.known_before(name)
        try:
            if "withParam" not in task:
                return await self._one(dag, task, name, known, why)
            items = expand_loop(parse_items(render(task["withParam"], known, why)))
        except Problem as problem:
            return self._never_ran(dag, task, name, "Error", str(problem))
        if not items:
            return self._never_ran(dag, task, name, "Skipped", "Skipped, empty params")
        call = _Call(task["template"], {}, f"{dag.node.name}.{name}", name, dag.node.name)
        group = self._start(call, "TaskGroup", items=len(items))
        children = await asyncio.gather(
            *(self._one(dag, task, name + i.suffix, {**known, **i.values}, why, group) for i in items)
        )
        # Argo's loop over the children keeps the last bad phase, in the items' order.
        return self._end(group, next((n.phase for n in reversed(children) if n.phase in UNSUCCESSFUL), "Succeeded"))

    async def _one(
        self,
        dag: DagState,
        task: DagTask,
        display: str,
        known: Scope,
        why: Mapping[str, str],
        group: NodeStatus | None = None,
    ) -> NodeStatus:
        """A task without a loop, or one item of its loop."""
        async with dag.slots or contextlib.nullcontext():
            try:
                if "when" in task and not when_holds(when := render(task["when"], known, why)):
                    return self._never_ran(dag, task, display, "Skipped", f"when '{when}' evaluated false")
                given = task.get("arguments", {}).get("parameters", [])
                values = {parameter["name"]: render(parameter["value"], known, why) for parameter in given}
            except Problem as problem:
                return self._never_ran(dag, task, display, "Error", str(problem))
            parent = (group or dag.node).name
            return await self._template(_Call(task["template"], values, f"{dag.node.name}.{display}", display, parent))
