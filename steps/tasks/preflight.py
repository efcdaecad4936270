"""Whether the run is possible here, and without what: all reasons at once, before anything is changed."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from analysis.errors import Unsupported
from steps import documents
from steps.catalogue.options import Settings
from steps.cluster import connect_cluster
from steps.domain import LEFT_BEHIND, PERMISSIONS, Change, Finding, Visit
from steps.settings.remaining import remainder
from steps.settings.schedule import level_rounds, level_title
from steps.settings.settings import load_settings
from steps.tasks.shared.artifacts import Outputs
from steps.tasks.shared.pod import SWITCH_DEADLINE_S, step
from steps.tasks.shared.step import RUN_FOLDER, document_artifact, log, node_title


@dataclass(frozen=True, kw_only=True)
class PreflightResult(Outputs):
    """The settings without what is left out; and the first level of rounds, its visits being items of a loop."""

    settings: str
    visits: list[dict[str, str]]
    level: str
    title: str


@step("switch", deadline_s=SWITCH_DEADLINE_S)  # with the time to put back what a dead run left
def preflight(
    settings: str, document: Annotated[Path, document_artifact(RUN_FOLDER + "/" + documents.PREFLIGHT)]
) -> PreflightResult:
    """Leave out what the cluster does not support; refuse a run without anything to measure.

    What a dead run left is put back first, and proven, so that its successor measures.
    """
    chosen = load_settings(settings)
    cluster = connect_cluster(chosen.environment)
    findings = cluster.preflight(chosen)
    if _is_left_behind(findings) and not any(finding.subject == PERMISSIONS for finding in findings):
        changes = cluster.restore()
        findings = cluster.preflight(chosen)
        findings = findings if _is_left_behind(findings) else [_restored(changes), *findings]
    rest = remainder(chosen, findings)
    reasons = [f.sentence for f in findings if f in rest.refusing or f.subject == LEFT_BEHIND]
    for finding in findings:
        if finding.sentence not in reasons:  # those become the step's error message
            log(finding.sentence)
    documents.write_document(
        document,
        documents.Preflight(findings=tuple(findings), provenance=cluster.provenance(chosen), visits=rest.visits),
    )
    if reasons:
        raise Unsupported("\n".join(reasons))
    first = level_rounds(rest.settings, 1)
    return PreflightResult(
        settings=rest.settings.model_dump_json(),
        **level_outputs(rest.settings, 1, (visit for visit in rest.visits if visit.round in first)),
    )


def _is_left_behind(findings: list[Finding]) -> bool:
    return any(finding.subject == LEFT_BEHIND for finding in findings)


def _restored(changes: list[Change]) -> Finding:
    done = ", ".join(change.what for change in changes) or "another did, or the objects were as before"
    reason = f"What a dead run had left was put back before this run: {done}."
    return Finding(severity="warn", subject="cluster", reason=reason)


def level_outputs(settings: Settings, level: int, visits: Iterable[Visit]) -> dict[str, Any]:
    """What is handed on to a level of rounds that measures these visits."""
    title = level_title(settings, level)
    return {"visits": [item(visit) for visit in visits], "level": f"{level:02d}", "title": title}


def item(visit: Visit) -> dict[str, str]:
    """A visit as an item of the workflow's loop; its number has a leading zero, as in the visit's folder."""
    return {
        "visit": f"{visit.visit:02d}",
        "dataplane": visit.dataplane,
        "round": str(visit.round),
        "title": node_title(f"visit-{visit.visit}", visit.dataplane, f"round-{visit.round}"),
    }
