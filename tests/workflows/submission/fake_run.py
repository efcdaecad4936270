"""A Workflow's status as Argo keeps it, made up node by node."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

Object = dict[str, Any]
RUN = "dataplane-benchmark-x"
UID = "1f3a14bc-9bd3-4f0d-8742-29fd2de34e2c"


class Status:
    """The nodes of a run that grow; each call returns the node's id."""

    def __init__(self, phase: str = "Running", message: str = "") -> None:
        self.phase, self.message = phase, message
        self.nodes: dict[str, Object] = {}
        self.shutdown = ""
        self._second = 0

    def node(
        self,
        path: str,
        template: str,
        kind: str = "Pod",
        phase: str = "Running",
        *,
        boundary: str = "",
        message: str = "",
        inputs: Mapping[str, str] | None = None,
        outputs: Mapping[str, str] | None = None,
        children: Sequence[str] = (),
        progress: str = "0/1",
    ) -> str:
        self._second += 1
        name = f"{RUN}.{path}" if path else RUN
        found = {
            "id": f"{RUN}-{len(self.nodes) + 1}",
            "name": name,
            "displayName": path.rpartition(".")[2] or RUN,
            "templateName": template,
            "type": kind,
            "phase": phase,
            "boundaryID": boundary,
            "message": message,
            "progress": progress,
            "startedAt": f"2026-11-25T02:00:{self._second:02d}Z",
            "inputs": {"parameters": [{"name": k, "value": v} for k, v in (inputs or {}).items()]},
            "children": list(children),
        }
        if outputs:
            found["outputs"] = {"parameters": [{"name": k, "value": v} for k, v in outputs.items()]}
        self.nodes[str(found["id"])] = found
        if phase != "Running":
            self.end(str(found["id"]), phase, message)
        return str(found["id"])

    def end(self, id_: str, phase: str, message: str = "") -> None:
        self._second += 1
        finished = f"2026-11-25T02:00:{self._second:02d}Z"
        self.nodes[id_] |= {"phase": phase, "message": message, "finishedAt": finished}

    def workflow(self) -> Object:
        status = {
            "phase": self.phase,
            "message": self.message,
            "startedAt": "2026-11-25T02:00:00Z",
            "nodes": json.loads(json.dumps(self.nodes)),
        }
        if self.phase in {"Succeeded", "Failed", "Error"}:
            status["finishedAt"] = "2026-11-25T02:01:00Z"
        spec = {"shutdown": self.shutdown} if self.shutdown else {}
        return {"metadata": {"name": RUN, "namespace": "argo", "uid": UID}, "spec": spec, "status": status}


def begun() -> tuple[Status, str]:
    """A run in its first of two visits; and that visit's id."""
    run = Status()
    root = run.node("", "benchmark", "DAG")
    run.node("validate", "validate", phase="Succeeded", boundary=root)
    visits = {"visits": json.dumps([{}, {}])}
    run.node("preflight", "preflight", phase="Succeeded", boundary=root, outputs=visits)
    rounds = run.node("rounds", "rounds", "DAG", boundary=root, inputs=visits)
    # of the next rounds, of which the loop beside it has none
    run.node("rounds.look", "look", phase="Succeeded", boundary=rounds, outputs={"visits": "[]"})
    group = run.node("rounds.visit", "visit", "TaskGroup", boundary=rounds)
    visit = run.node(
        "rounds.visit(0:visit:01)",
        "visit",
        "DAG",
        boundary=rounds,
        inputs={"visit": "01", "dataplane": "ebpf", "round": "1"},
    )
    run.nodes[group]["children"].append(visit)
    return run, visit


def whole(outcome: str = "measured", phase: str = "Succeeded") -> Status:
    """A run that is over and came to a report."""
    run, visit = begun()
    run.node("rounds.visit(0:visit:01).configure", "configure", phase="Succeeded", boundary=visit)
    run.end(visit, "Succeeded")
    outputs = {"headline": "eBPF gains 30 %.", "outcome": outcome}
    run.node("report", "report", phase="Succeeded", outputs=outputs)
    bad = outcome != "measured"
    sentence = "main: Error (exit code 1): eBPF gains 30 %. Not everything was measured." if bad else ""
    run.node("verdict", "verdict", phase="Failed" if bad else "Succeeded", message=sentence)
    run.phase = phase
    return run
