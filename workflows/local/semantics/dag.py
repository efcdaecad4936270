"""The state of one running DAG: which task may start, which tags it knows, and how the DAG ended. Runs nothing."""

import asyncio
from collections.abc import Mapping
from typing import Any

from workflows.local.semantics.conditions import ancestors, condition_of, evaluate, last_tasks, tasks_in
from workflows.local.semantics.nodes import COMPLETED, UNSUCCESSFUL, NodeStatus, Phase
from workflows.local.semantics.tags import Scope, task_tags

DagTask = dict[str, Any]


class DagState:
    """The state of one DAG node.

    Attributes:
        known: the tags that every task knows.
        depends: the condition of each task.
        needs: the tasks that each condition names.
        slots: how many tasks may run at a time; None: any number.
        ended: set once the task has ended.
        nodes: of the tasks that have ended.
    """

    def __init__(self, template: Mapping[str, Any], node: NodeStatus, known: Scope) -> None:
        self.node = node
        self.known = known
        self.tasks: list[DagTask] = template["dag"]["tasks"]
        self.depends = {task["name"]: condition_of(task) for task in self.tasks}
        self.needs = {name: tasks_in(tree) for name, tree in self.depends.items()}
        self.slots = asyncio.Semaphore(int(template["parallelism"])) if template.get("parallelism") else None
        self.ended = {name: asyncio.Event() for name in self.depends}
        self.nodes: dict[str, NodeStatus] = {}

    async def wait_for_dependencies(self, task: str) -> None:
        """Wait until every task that this one's condition names has ended."""
        for other in self.needs[task]:
            await self.ended[other].wait()

    def may_start(self, task: str) -> bool:
        """Whether its condition is true, once its dependencies have ended."""
        tree = self.depends[task]
        return tree is None or evaluate(tree, {name: node.phase for name, node in self.nodes.items()})

    def known_before(self, task: str) -> tuple[dict[str, str], dict[str, str]]:
        """The tags that a task knows, and why others are unknown, by the start of their names."""
        known = dict(self.known)
        why = {"item.": "only a loop has items, and this is no key of its items", "tasks.": "no such task ran before"}
        for name in sorted(ancestors(task, self.needs) & self.nodes.keys()):
            node = self.nodes[name]
            known |= task_tags(name, node)
            why[f"tasks.{name}."] = (
                f"task {name} ended as {node.phase} and left no such output; on Argo this would wait for ever"
            )
        return known, why

    def phase(self) -> Phase:
        """The phase of the last tasks; one that never ran counts as the unsuccessful task before it, if there is one.

        As on Argo, a failure before a last task that succeeded does not count.
        """
        bad = [phase for leaf in last_tasks(self.needs) if (phase := self._branch(leaf)) in UNSUCCESSFUL]
        return bad[-1] if bad else "Succeeded"

    def _branch(self, task: str) -> Phase:
        node = self.nodes[task]
        if node.phase in COMPLETED:
            return node.phase
        before = [self._branch(name) for name in self.needs[task]]
        return next((phase for phase in before if phase in UNSUCCESSFUL), "Succeeded")
