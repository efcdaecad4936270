"""One DAG while it runs: which task may start, what it knows, and how the whole ended. Decides, but runs nothing."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from workflows.local import scope
from workflows.local.expressions import Ended, Leaf, Tree, condition_of, evaluate, tasks_in
from workflows.local.loops import aggregate
from workflows.local.nodes import COMPLETED, UNSUCCESSFUL, Node, Outputs, Phase
from workflows.local.tags import Scope, Unresolved, render

Task = dict[str, Any]

NO_MORE: Final = "template has failed or errored children and failFast enabled"


@dataclass(slots=True)
class Dag:
    """The state of one DAG node.

    `every`: all nodes of the workflow, by name. `known`: the tags that every task knows. `depends`: what each task
    waits for. `nodes`: those of tasks that are over, by task. `slots`: how many may run at a time. `gives_up`: a task
    failed, and the template says that nothing more shall start.
    """

    template: Mapping[str, Any]
    node: Node
    known: Scope
    every: Mapping[str, Node]
    depends: dict[str, Tree | None] = field(init=False)
    slots: asyncio.Semaphore | None = field(init=False)
    over: dict[str, asyncio.Event] = field(init=False)
    nodes: dict[str, Node] = field(default_factory=dict)
    gives_up: bool = False

    def __post_init__(self) -> None:
        limit = self.template.get("parallelism")
        self.depends = {task["name"]: condition_of(task) for task in self.tasks}
        self.slots = asyncio.Semaphore(limit) if limit else None
        self.over = {task["name"]: asyncio.Event() for task in self.tasks}

    @property
    def tasks(self) -> list[Task]:
        """In the order in which they are written."""
        tasks: list[Task] = self.template["dag"]["tasks"]
        return tasks

    async def wait_for_dependencies(self, task: str) -> None:
        """Until every task that this one's condition names is over."""
        for other in tasks_in(self.depends[task]):
            await self.over[other].wait()

    def may_start(self, task: str) -> bool:
        """Whether its condition holds, once its dependencies are over."""
        tree = self.depends[task]
        return tree is None or evaluate(tree, self._holds)

    def _holds(self, leaf: Leaf) -> bool:
        assert isinstance(leaf, Ended)
        node = self.nodes.get(leaf.task)
        if node is None:
            return False
        phases = [self.every[child].phase for child in node.children] if node.kind == "TaskGroup" else []
        holds = {
            "Errored": node.phase == "Error",
            "Daemoned": False,
            "AnySucceeded": "Succeeded" in phases,
            "AllFailed": bool(phases) and set(phases) == {"Failed"},
        }
        return any(holds.get(result, node.phase == result) for result in leaf.results)

    def ancestors(self, task: str) -> set[str]:
        """All tasks that went before it."""
        found: set[str] = set()
        waiting = list(tasks_in(self.depends[task]))
        while waiting:
            other = waiting.pop()
            if other not in found:
                found.add(other)
                waiting += tasks_in(self.depends[other])
        return found

    def known_after(self, names: set[str]) -> tuple[dict[str, str | None], dict[str, str]]:
        """The tags that are known once these tasks are over, and why others aren't, by the start of their names."""
        known: dict[str, str | None] = dict(self.known)
        why: dict[str, str] = {"item": "only a loop has items", "tasks.": "it is of no task that went before"}
        for task in self.tasks:
            name, node = task["name"], self.nodes.get(task["name"])
            if name not in names or node is None:
                continue
            known |= scope.of_task(name, node)
            why[f"tasks.{name}."] = (
                f"task {name} ended as {node.phase} and left no such output; on Argo this would wait for ever"
            )
            if node.kind == "TaskGroup":
                known |= aggregate(name, [self.every[child] for child in node.children])
        return known, why

    def phase(self) -> Phase:
        """That of the leaves; a leaf that never ran has the phase of the branch that led to it, the worst first.

        What failed above a leaf that succeeded is forgotten, as on Argo.
        """
        waited_for = {above for tree in self.depends.values() for above in tasks_in(tree)}
        leaves = sorted(set(self.nodes) - waited_for)
        bad = [phase for leaf in leaves if (phase := self._branch(leaf)) in UNSUCCESSFUL]
        if not bad:
            return "Succeeded"
        return bad[0] if self.template["dag"].get("failFast", True) else bad[-1]

    def _branch(self, task: str) -> Phase:
        node = self.nodes[task]
        if node.phase in COMPLETED:
            return node.phase
        above = [self._branch(name) for name in tasks_in(self.depends[task])]
        return next((phase for phase in above if phase in UNSUCCESSFUL), "Succeeded")

    def outputs(self) -> Outputs:
        """What the DAG hands on of its tasks' outputs.

        Raises:
            Unresolved: a task left no such output, and there is no default.
        """
        outputs = Outputs()
        known, why = self.known_after(set(self.nodes))
        for parameter in self.template.get("outputs", {}).get("parameters", []):
            source = parameter["valueFrom"]
            try:
                outputs.parameters[parameter["name"]] = render(source["parameter"], known, why)
            except Unresolved:
                if "default" not in source:
                    raise
                outputs.parameters[parameter["name"]] = str(source["default"])
        return outputs
