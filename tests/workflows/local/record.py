"""Keep of a run on a real Argo what tells how its nodes follow each other, and nothing else.

    kubectl get workflow NAME -o json | python -m tests.workflows.local.record \\
      > tests/workflows/local/recorded/argo-nodes.json

Steps are kept as the DAG that runs the same, without the groups that Argo makes of them.

The run must be over and green, short, with two visits, and of the committed template: such as `make submit
PROFILE=smoke DATAPLANES=iptables,ebpf ROUNDS=1 SEED=7`.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from workflows.submission import status

Object = dict[str, Any]
RUN = "run"
"""What the workflow is called in a recording."""


def recording(workflow: Object) -> Object:
    """The workflow's parameters, and its nodes in the order in which they began."""
    name, uid = workflow["metadata"]["name"], workflow["metadata"]["uid"]
    nodes = status.nodes(workflow)
    parameters = (workflow["status"].get("storedWorkflowTemplateSpec") or workflow["spec"])["arguments"]["parameters"]
    given = {p["name"]: p.get("value", "") for p in parameters} | {
        p["name"]: p.get("value", "") for p in workflow["spec"].get("arguments", {}).get("parameters", [])
    }
    ordered = sorted(nodes.values(), key=lambda node: (node.get("startedAt") or "~", len(node["name"]), node["name"]))
    kept = {
        "argo": workflow["metadata"].get("labels", {}).get("workflows.argoproj.io/version", ""),
        "phase": workflow["status"]["phase"],
        "parameters": given,
        "nodes": [_node(node, nodes) for node in ordered if node["type"] != "StepGroup"],
    }
    text = json.dumps(kept, indent=1, ensure_ascii=False)
    found: Object = json.loads(text.replace(uid, "UID").replace(name, RUN))
    return found


def _node(node: Object, nodes: Mapping[str, Object]) -> Object:
    return {
        "name": _name(node),
        "displayName": node["displayName"],
        "templateName": node.get("templateName", ""),
        "type": "DAG" if node["type"] == "Steps" else node["type"],
        "phase": node["phase"],
        "inputs": _values(node.get("inputs")),
        "outputs": _values(node.get("outputs")),
        "children": sorted(_name(nodes[child]) for child in _children(node, nodes)),
    }


def _name(node: Object) -> str:
    """`run.onExit[0].restore` without its group."""
    return re.sub(r"\[\d+\]", "", node["name"])


def _children(node: Object, nodes: Mapping[str, Object]) -> Iterable[str]:
    """Those of a group in its place."""
    for child in node.get("children") or []:
        if child in nodes and nodes[child]["type"] == "StepGroup":
            yield from _children(nodes[child], nodes)
        elif child in nodes:
            yield child


def _values(found: Object | None) -> dict[str, str]:
    return {p["name"]: str(p.get("value", "")) for p in (found or {}).get("parameters") or []}


def outputs_of(recorded: Object, template: str, inputs: Mapping[str, str]) -> dict[str, str]:
    """What the recorded node of that template and those inputs handed on."""
    same = [n for n in recorded["nodes"] if n["templateName"] == template and n["type"] == "Pod"]
    exact = [n for n in same if all(inputs.get(k) == v for k, v in n["inputs"].items())]
    node: Object = next(iter([*exact, *same]), {"outputs": {}})
    return dict(node["outputs"])


def main(lines: Iterable[str]) -> int:
    """Returns the exit code."""
    kept = recording(json.loads("".join(lines)))
    if kept["phase"] != "Succeeded":
        sys.stderr.write(f"the run is {kept['phase']}: record one that Succeeded\n")
        return 1
    sys.stdout.write(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin))
