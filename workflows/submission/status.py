"""The status of a Workflow object: its nodes, their outputs, and the run's result. Pure."""

import base64
import gzip
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from steps.cluster.kube.api.objects import Object
from steps.lease import ENDED

VALIDATING: Final = "validate"
REFUSING: Final = (VALIDATING, "preflight")
"""A run that fails in one of these measured nothing."""

REPORTING: Final = "report"
_BAD: Final = frozenset({"Failed", "Error"})
_PREFIX: Final = re.compile(r"^(?:main: )?\w+ \(exit code \d+\)(?:: )?")
"""Written by Argo before the sentence of a step that failed."""


@dataclass(frozen=True, slots=True)
class ReportedResult:
    """The outputs of the step report. `node`: its id, to which the report's artifact belongs."""

    headline: str
    outcome: str
    node: str


def nodes(workflow: Object) -> dict[str, Object]:
    """The nodes by id; empty if Argo stores them in its database, because they are too many."""
    status = workflow.get("status") or {}
    packed = status.get("compressedNodes")
    if packed:
        unpacked: dict[str, Object] = json.loads(gzip.decompress(base64.b64decode(packed)))
        return unpacked
    found: dict[str, Object] = status.get("nodes") or {}
    return found


def pod_name(workflow_name: str, node: Object) -> str:
    """The name of the pod of a step, by Argo's naming."""
    return f"{workflow_name}-{node['templateName']}-{node['id'].rpartition('-')[2]}"


def phase(workflow: Object) -> str:
    """The phase of the run; Pending until the controller sets one."""
    return str((workflow.get("status") or {}).get("phase") or "Pending")


def has_ended(workflow: Object) -> bool:
    """Whether the run has ended, exit handler included."""
    return phase(workflow) in ENDED


def has_succeeded(workflow: Object) -> bool:
    """Whether the run has ended without a failure, after which Argo retries nothing."""
    return phase(workflow) == "Succeeded"


def waits_for(workflow: Object) -> str:
    """Why a Pending run does not start, as a sentence; empty: unknown."""
    status = workflow.get("status") or {}
    message = str(status.get("message") or "")
    waiting = ((status.get("synchronization") or {}).get("mutex") or {}).get("waiting") or []
    holders = [each["holder"] for each in waiting if each.get("holder")]
    if holders or "lock" in message:
        who = f" ({', '.join(holders)})" if holders else ""
        return f"Waiting until another run{who} has ended: only one may switch the cluster at a time."
    return f"Waiting: {message.rstrip('.')}." if message else ""


def failure_sentence(message: str) -> str:
    """A node's message without Argo's prefix; the whole message if there is nothing else."""
    return _PREFIX.sub("", message).strip() or message


def reported_result(workflow: Object) -> ReportedResult | None:
    """The outputs of the step report; None: it did not succeed."""
    for node in _latest_first(workflow, (REPORTING,)):
        given = parameters(node.get("outputs"))
        if node.get("phase") == "Succeeded" and given.get("headline"):
            return ReportedResult(given["headline"], given.get("outcome", ""), str(node["id"]))
    return None


def validated_settings(workflow: Object) -> str | None:
    """The settings of the run as JSON, an output of its first step; None: it has not succeeded yet."""
    for node in _latest_first(workflow, (VALIDATING,)):
        found = parameters(node.get("outputs")).get("settings")
        if node.get("phase") == "Succeeded" and found:
            return found
    return None


def refusal(workflow: Object) -> str | None:
    """The message of a failed first step, after which nothing is measured; None: none failed."""
    for node in _latest_first(workflow, REFUSING):
        if node.get("phase") in _BAD:
            return (
                failure_sentence(str(node.get("message") or "")) or f"{node['displayName']} failed without a message."
            )
    return None


def failures(workflow: Object) -> list[str]:
    """The sentence of each step that failed, in order."""
    found = sorted(nodes(workflow).values(), key=lambda node: (node.get("startedAt") or "", node["name"]))
    return [
        f"{node['displayName']}: {failure_sentence(str(node.get('message') or 'failed without a message'))}"
        for node in found
        if node.get("type") == "Pod" and node.get("phase") in _BAD
    ]


def duration_s(workflow_or_node: Object) -> float:
    """The duration of a workflow or node, by the controller's clock; 0 until it ends."""
    began, ended = (workflow_or_node.get(key) for key in ("startedAt", "finishedAt"))
    if not began or not ended:
        return 0.0
    return max(0.0, (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds())


def parameters(side: Object | None) -> dict[str, str]:
    """The parameters of a node's inputs, or of its outputs, by name."""
    return {p["name"]: str(p.get("value") or "") for p in (side or {}).get("parameters") or []}


def _latest_first(workflow: Object, templates: tuple[str, ...]) -> list[Object]:
    found = [node for node in nodes(workflow).values() if node.get("templateName") in templates]
    return sorted(found, key=lambda node: (node.get("startedAt") or "", node["name"]), reverse=True)
