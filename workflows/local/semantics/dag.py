"""One DAG while it runs: which task may start, what it knows, and how the whole ended. Decides, but runs nothing."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workflows.local.semantics import scope
from workflows.local.semantics.conditions import Tree, condition_of, evaluate, last_tasks, tasks_in
from workflows.local.semantics.nodes import COMPLETED, UNSUCCESSFUL, NodeStatus, Phase
from workflows.local.semantics.tags import Scope

Task = dict[str, Any]


@dataclass(slots=True)
class DagState:
    """The state of one DAG node.

    `known`: the tags that every task knows. `depends`: what each task waits for. `nodes`: those of tasks that are over,
    by task. `slots`: how many may run at a time.
    """

    template: Mapping[str, Any]
    node: NodeStatus
    known: Scope
    depends: dict[str, Tree | None] = field(init=False)
    slots: asyncio.Semaphore | None = field(init=False)
    over: dict[str, asyncio.Event] = field(init=False)
    nodes: dict[str, NodeStatus] = field(default_factory=dict)

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
        return tree is None or evaluate(tree, {name: node.phase for name, node in self.nodes.items()})

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

    def known_before(self, task: str) -> tuple[dict[str, str], dict[str, str]]:
        """The tags that a task knows, and why it knows no others, by the start of their names."""
        known = dict(self.known)
        why = {"item.": "only a loop has items, and this is no key of its items", "tasks.": "no such task went before"}
        for name in sorted(self.ancestors(task) & self.nodes.keys()):
            node = self.nodes[name]
            known |= scope.task_tags(name, node)
            why[f"tasks.{name}."] = (
                f"task {name} ended as {node.phase} and left no such output; on Argo this would wait for ever"
            )
        return known, why

    def phase(self) -> Phase:
        """That of the leaves; a leaf that never ran has the phase of the branch that led to it, the worst first.

        What failed above a leaf that succeeded is forgotten, as on Argo.
        """
        bad = [phase for leaf in last_tasks(self.tasks) if (phase := self._branch(leaf)) in UNSUCCESSFUL]
        return bad[-1] if bad else "Succeeded"

    def _branch(self, task: str) -> Phase:
        node = self.nodes[task]
        if node.phase in COMPLETED:
            return node.phase
        above = [self._branch(name) for name in tasks_in(self.depends[task])]
        return next((phase for phase in above if phase in UNSUCCESSFUL), "Succeeded")
