"""Whether the run can go on here, and without what: all reasons at once, before anything is changed."""

from pathlib import Path
from typing import Annotated

from hera.workflows import Parameter
from hera.workflows.io import Output

from analysis.errors import Unfit
from steps import raw
from steps.cluster import connect
from steps.model import Visit
from steps.plan import make, without
from steps.settings import load
from steps.tasks.common import RUN_FOLDER, document, ends_in_a_sentence, node_title, say
from steps.tasks.pod import step


class Going(Output):
    """What goes on: the settings without what is left out, and the visits as items for the loop over them."""

    settings: Annotated[str, Parameter(name="settings")]
    visits: Annotated[list[dict[str, str]], Parameter(name="visits")]


@step("switch", deadline_s=900)
@ends_in_a_sentence
def preflight(settings: str, document: Annotated[Path, document(RUN_FOLDER + "/" + raw.PREFLIGHT)]) -> Going:
    """Ask the cluster; leave out what it can't do; refuse what leaves nothing to measure."""
    asked = load(settings)
    cluster = connect(asked.environment)
    findings = cluster.preflight(asked)
    for finding in findings:
        say(finding.sentence)
    going = without(asked, {finding.subject for finding in findings if finding.severity == "skip"})
    visits = make(going)
    raw.write(
        document,
        raw.Preflight(findings=tuple(findings), provenance=cluster.provenance(asked), visits=visits),
    )
    if reasons := [f.sentence for f in findings if f.severity == "stop" or not visits]:
        raise Unfit("\n".join(reasons))
    return Going(settings=going.model_dump_json(), visits=[item(visit) for visit in visits])


def item(visit: Visit) -> dict[str, str]:
    """A visit as an item of the workflow's loop; the number with a leading zero, as in the visit's folder."""
    return {
        "visit": f"{visit.visit:02d}",
        "dataplane": visit.dataplane,
        "round": str(visit.round),
        "title": node_title(f"visit-{visit.visit}", visit.dataplane, f"round-{visit.round}"),
    }
