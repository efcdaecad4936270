"""A Workflow's status as Argo keeps it: its nodes, what they hand on, and what came of the run. Pure."""

import base64
import gzip
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

Object = dict[str, Any]

REFUSING: Final = ("validate", "preflight")
"""A run that ends in one of these measured nothing: the input was bad, or the cluster can't."""

REPORTING: Final = "report"
_BAD: Final = frozenset({"Failed", "Error"})
_ENDED: Final = frozenset({"Succeeded", "Failed", "Error"})
_AROUND: Final = re.compile(r"^(?:main: )?\w+ \(exit code \d+\)(?:: )?")
"""What Argo writes before the sentence of a step that failed."""


@dataclass(frozen=True, slots=True)
class ReportedResult:
    """What the run's report says. `node`: the one that holds the report as its artifact."""

    headline: str
    outcome: str
    node: str


def nodes(workflow: Object) -> dict[str, Object]:
    """The nodes by their ids; empty where Argo keeps them in its database, because they are too many."""
    status = workflow.get("status") or {}
    packed = status.get("compressedNodes")
    if packed:
        unpacked: dict[str, Object] = json.loads(gzip.decompress(base64.b64decode(packed)))
        return unpacked
    found: dict[str, Object] = status.get("nodes") or {}
    return found


def phase(workflow: Object) -> str:
    """Of the run; Pending where the controller has not seen it yet."""
    return str((workflow.get("status") or {}).get("phase") or "Pending")


def has_ended(workflow: Object) -> bool:
    """Whether it is over, exit handler included."""
    return phase(workflow) in _ENDED


def waits_for(workflow: Object) -> str:
    """Why a run that is Pending does not begin, as a sentence; empty: nothing says."""
    status = workflow.get("status") or {}
    message = str(status.get("message") or "")
    waiting = ((status.get("synchronization") or {}).get("mutex") or {}).get("waiting") or []
    holders = [each["holder"] for each in waiting if each.get("holder")]
    if holders or "lock" in message:
        who = f" ({', '.join(holders)})" if holders else ""
        return f"Waiting until another run{who} has ended: only one may switch the cluster at a time."
    return f"Waiting: {message.rstrip('.')}." if message else ""


def failure_sentence(message: str) -> str:
    """A node's message without the words that Argo puts before a step's own; with them, where there is no more."""
    return _AROUND.sub("", message).strip() or message


def reported_result(workflow: Object) -> ReportedResult | None:
    """What the run's report says; None: it came to no report."""
    for node in _latest_first(workflow, (REPORTING,)):
        given = {p["name"]: p.get("value") for p in (node.get("outputs") or {}).get("parameters") or []}
        if node.get("phase") == "Succeeded" and given.get("headline"):
            return ReportedResult(str(given["headline"]), str(given.get("outcome") or ""), str(node["id"]))
    return None


def refusal(workflow: Object) -> str | None:
    """Why nothing was measured, if one of the first steps said so."""
    for node in _latest_first(workflow, REFUSING):
        if node.get("phase") in _BAD:
            return failure_sentence(str(node.get("message") or "")) or f"{node['displayName']} failed and said nothing."
    return None


def failures(workflow: Object) -> list[str]:
    """The sentence of each step that failed, in their order."""
    found = sorted(nodes(workflow).values(), key=lambda node: (node.get("startedAt") or "", node["name"]))
    return [
        f"{node['displayName']}: {failure_sentence(str(node.get('message') or 'failed and said nothing'))}"
        for node in found
        if node.get("type") == "Pod" and node.get("phase") in _BAD
    ]


def duration_s(workflow_or_node: Object) -> float:
    """How long something took, by the controller's clock; 0 while it isn't over."""
    began, ended = (parse_time(workflow_or_node.get(key)) for key in ("startedAt", "finishedAt"))
    return max(0.0, (ended - began).total_seconds()) if began and ended else 0.0


def parse_time(text: str | None) -> datetime | None:
    """A time of the API's; None where there is none."""
    return datetime.fromisoformat(text) if text else None


def _latest_first(workflow: Object, templates: tuple[str, ...]) -> list[Object]:
    found = [node for node in nodes(workflow).values() if node.get("templateName") in templates]
    return sorted(found, key=lambda node: (node.get("startedAt") or "", node["name"]), reverse=True)
