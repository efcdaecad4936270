"""Which tags are known where: of the workflow, of a template's inputs, of the tasks that ran before."""

import json
from collections.abc import Mapping

from workflows.local.semantics.nodes import NodeStatus


def workflow_tags(name: str, uid: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """The tags that are known everywhere."""
    given = {f"workflow.parameters.{key}": value for key, value in parameters.items()}
    return {"workflow.name": name, "workflow.uid": uid, **given}


def input_tags(values: Mapping[str, str]) -> dict[str, str]:
    """A template's inputs: each, and all of them as JSON."""
    listed = json.dumps([{"name": key, "value": value} for key, value in values.items()])
    return {"inputs.parameters": listed, **{f"inputs.parameters.{key}": value for key, value in values.items()}}


def task_tags(task: str, node: NodeStatus) -> dict[str, str]:
    """The tags of a task that has ended, by its name in the DAG."""
    outputs = {f"tasks.{task}.outputs.parameters.{key}": value for key, value in node.outputs.items()}
    return {f"tasks.{task}.status": node.phase, **outputs}
