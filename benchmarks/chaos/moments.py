"""When a run has come to a point of the matrix, by its Workflow's status alone. Pure."""

from typing import Final

from benchmarks.chaos.points import Point
from steps.cluster.kube.api.objects import Object
from steps.lease import ENDED
from workflows.submission import status

_OF_EACH_ROUND: Final = "look"
_AFTER_ALL_ROUNDS: Final = "collect"


def node_of(workflow: Object, point: Point, *, written: bool, over: frozenset[str] = frozenset()) -> Object | None:
    """The node of the point's step, once the run has come to the point; None: not yet.

    `written`: whether an object of the switch has changed since the point's step was first seen at work. `over`: the
    nodes that do not count, by their ids.
    """
    nodes = (node for node in _of_step(workflow, point) if node.get("id") not in over)
    return next((node for node in nodes if _has_come(node, point, written=written)), None)


def over(workflow: Object) -> frozenset[str]:
    """The nodes that are over, by their ids."""
    return frozenset(id_ for id_, node in status.nodes(workflow).items() if node.get("phase") in ENDED)


def is_at_work(workflow: Object, point: Point) -> bool:
    """Whether the point's step is at work."""
    return any(node.get("phase") in {"Pending", "Running"} for node in _of_step(workflow, point))


def has_passed(workflow: Object, point: Point, over: frozenset[str] = frozenset()) -> bool:
    """Whether the point's step has ended, all nodes of it. `over`: those of earlier rounds, which do not count."""
    nodes = _of_step(workflow, point)
    if point.step == _OF_EACH_ROUND:
        nodes = [node for node in nodes if node.get("id") not in over]
        if over and not nodes:
            later = (n for n in status.nodes(workflow).values() if n.get("id") not in over)
            return any(node.get("templateName") == _AFTER_ALL_ROUNDS for node in later)
    return bool(nodes) and all(node.get("phase") in ENDED for node in nodes)


def puts_back(workflow: Object) -> bool:
    """Whether the exit handler is putting the cluster back."""
    return "restore" in at_work(workflow).split(", ")


def at_work(workflow: Object) -> str:
    """The steps at work now, such as `settle, clear`; `nothing` between two steps."""
    names = [
        str(node["templateName"])
        for node in status.nodes(workflow).values()
        if node.get("type") == "Pod" and node.get("phase") in {"Pending", "Running"}
    ]
    return ", ".join(sorted(set(names))) or "nothing"


def _of_step(workflow: Object, point: Point) -> list[Object]:
    return [
        node
        for node in status.nodes(workflow).values()
        if node.get("type") == "Pod"
        and node.get("templateName") == point.step
        and (point.visit is None or _visit(node) == point.visit)
    ]


def _has_come(node: Object, point: Point, *, written: bool) -> bool:
    phase = node.get("phase") or "Pending"
    if phase == "Pending" and (node.get("synchronizationStatus") or {}).get("waiting"):
        return False  # for the visit before it, where Retry begins all at once
    if phase in ENDED:
        return True  # the moment was missed by a look; as near to it as can be
    if point.part == "created":
        return True
    if point.part == "progressed":
        return not str(node.get("progress") or "0/1").startswith("0/")
    return phase == "Running" and (point.part == "running" or (point.part == "written" and written))


def _visit(node: Object) -> int | None:
    text = status.parameters(node.get("inputs")).get("visit", "")
    return int(text) if text.isdigit() else None
