"""Which tags are known where: of the workflow, of a template's inputs, of the tasks that went before."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from workflows.local.nodes import UNSUCCESSFUL, Node, Outputs

NAMESPACE = "local"


def of_workflow(
    name: str, uid: str, parameters: Mapping[str, str], began: datetime, spec: Mapping[str, Any]
) -> dict[str, str | None]:
    """The tags that are known everywhere. `began` is in UTC."""
    listed = [{"name": key, "value": value} for key, value in parameters.items()]
    return {
        "workflow.name": name,
        "workflow.uid": uid,
        "workflow.namespace": NAMESPACE,
        "workflow.mainEntrypoint": str(spec.get("entrypoint", "")),
        "workflow.serviceAccountName": str(spec.get("serviceAccountName", "default")),
        "workflow.priority": "0",
        "workflow.creationTimestamp": f"{began:%Y-%m-%d %H:%M:%S} +0000 UTC",
        "workflow.creationTimestamp.RFC3339": f"{began:%Y-%m-%dT%H:%M:%SZ}",
        "workflow.creationTimestamp.s": str(int(began.timestamp())),
        "workflow.status": "Running",
        "workflow.parameters": json.dumps(listed),
        **{f"workflow.parameters.{key}": value for key, value in parameters.items()},
    }


def for_exit_handler(phase: str, nodes: Iterable[Node], duration_s: float) -> dict[str, str | None]:
    """What the exit handler learns of the run. `workflow.failures` is JSON in a JSON text, as Argo gives it."""
    failures = [
        {
            "displayName": n.display_name,
            "message": n.message_on_argo,
            "templateName": n.template,
            "phase": n.phase,
            "podName": n.name,
            "finishedAt": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        for n in nodes
        if n.phase in UNSUCCESSFUL
    ]
    return {
        "workflow.status": phase,
        "workflow.failures": json.dumps(json.dumps(failures)),
        "workflow.duration": f"{duration_s:.6f}",
    }


def of_inputs(values: Mapping[str, str], listed: str) -> dict[str, str | None]:
    """A template's inputs: each, and all of them as JSON."""
    return {"inputs.parameters": listed, **{f"inputs.parameters.{key}": value for key, value in values.items()}}


def of_task(task: str, node: Node) -> dict[str, str | None]:
    """A task that is over, by its name in the DAG."""
    tags: dict[str, str | None] = {f"tasks.{task}.status": node.phase, f"tasks.{task}.name": node.name}
    outputs: Outputs = node.outputs
    if outputs.result is not None:
        tags[f"tasks.{task}.outputs.result"] = outputs.result
    if outputs.exit_code is not None:
        tags[f"tasks.{task}.exitCode"] = str(outputs.exit_code)
    return tags | {f"tasks.{task}.outputs.parameters.{key}": value for key, value in outputs.parameters.items()}


def absent_outputs(template: Mapping[str, Any]) -> Outputs:
    """What a skipped task hands on: its outputs' defaults, and None for those that have none."""
    parameters: dict[str, str | None] = {}
    for parameter in template.get("outputs", {}).get("parameters", []):
        default = parameter.get("valueFrom", {}).get("default")
        parameters[parameter["name"]] = None if default is None else str(default)
    return Outputs(parameters)
