"""A Workflow's status as events of the local engine, so that one display shows both."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Final, cast, get_args

from steps.cluster.kube.api.objects import Object
from steps.lease import ENDED
from workflows.local.execution import events
from workflows.local.execution.events import Event
from workflows.local.semantics.nodes import NodeKind, Phase
from workflows.submission import status

_KINDS: Final = get_args(NodeKind)
_ENDED: Final = ENDED | {"Skipped", "Omitted"}


class Translator:
    """Turns each new status of one run into the events since the last one."""

    def __init__(self) -> None:
        self._started: set[str] = set()
        self._finished: set[str] = set()
        self._logged: dict[str, str] = {}
        self._running = False
        self._waiting = ""
        self._shutdown = ""

    def events(self, workflow: Object) -> Iterator[Event]:
        """The new events, in order."""
        metadata = workflow["metadata"]
        if status.phase(workflow) == "Pending" and not self._running:
            waiting = status.waits_for(workflow)
            if waiting and waiting != self._waiting:
                yield events.WorkflowWaiting(waiting)
            self._waiting = waiting
            return
        if not self._running:
            self._running = True
            yield events.WorkflowStarted(metadata["name"], metadata.get("uid", ""))
        shutdown: str = workflow.get("spec", {}).get("shutdown") or ""
        if shutdown != self._shutdown:
            self._shutdown = shutdown
            yield events.WorkflowStopping("Terminate" if shutdown == "Terminate" else "Stop")
        nodes = status.nodes(workflow)
        groups = {child: id_ for id_, node in nodes.items() if node.get("type") in {"TaskGroup", "Retry"}
                  for child in node.get("children") or []}  # fmt: skip
        for id_, node in sorted(nodes.items(), key=lambda entry: (entry[1].get("startedAt") or "~", entry[1]["name"])):
            yield from self._node(id_, node, groups.get(id_) or node.get("boundaryID"), nodes)
        if status.has_ended(workflow):
            found = workflow["status"]
            yield events.WorkflowFinished(
                cast("Phase", found["phase"]),
                status.failure_sentence(found.get("message") or ""),
                status.duration_s(found),
            )

    def _node(self, id_: str, node: Object, parent: str | None, nodes: dict[str, Object]) -> Iterator[Event]:
        if id_ in self._finished:
            return
        kind = cast("NodeKind", node["type"] if node.get("type") in _KINDS else "Skipped")
        template = node.get("templateName") or ""
        if id_ not in self._started:
            self._started.add(id_)
            items = _items(node, nodes) if kind == "TaskGroup" else None
            yield events.NodeStarted(id_, template, kind, parent, status.parameters(node.get("inputs")), items)
        phase = node.get("phase") or "Pending"
        message = str(node.get("message") or "")
        if phase not in _ENDED:
            yield from self._progress(id_, node, kind, message)
            return
        self._finished.add(id_)
        # A DAG or loop fails because of its children, which have the message.
        own = status.failure_sentence(message) if kind in {"Pod", "Skipped"} or not node.get("children") else ""
        yield events.NodeFinished(id_, cast("Phase", phase), own, status.duration_s(node))

    def _progress(self, id_: str, node: Object, kind: NodeKind, message: str) -> Iterator[Event]:
        if kind != "Pod":
            return
        if message and self._logged.get(f"{id_} message") != message:  # such as why its pod can't be placed
            self._logged[f"{id_} message"] = message
            yield events.NodeLog(id_, message)
        done, slash, total = str(node.get("progress") or "").partition("/")
        if slash and done.isdigit() and total.isdigit() and int(total) > 1 and self._logged.get(id_) != done:
            self._logged[id_] = done
            yield events.NodeProgress(id_, int(done), int(total))


def _items(group: Object, nodes: Mapping[str, Object]) -> int:
    """How many items a loop has: Argo creates them one by one.

    The list is an input of the DAG with the loop, or else an output of a task before it.
    """
    name, boundary = f"{group.get('templateName')}s", group.get("boundaryID")
    outputs = (status.parameters(node.get("outputs")) for node in nodes.values() if node.get("boundaryID") == boundary)
    for values in (status.parameters(nodes.get(str(boundary), {}).get("inputs")), *outputs):
        with contextlib.suppress(ValueError, TypeError):
            return len(json.loads(values.get(name, "")))
    return len(group.get("children") or [])
