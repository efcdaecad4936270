"""Change the scale of the cluster between the trials of a visit, and measure what takes changes of the cluster.

It takes turns with the measuring steps, so that nothing is measured while the scale changes.
"""

from pathlib import Path
from typing import Annotated

from analysis.errors import Problem
from steps import documents
from steps.catalogue.options import Settings
from steps.cluster import connect_cluster
from steps.cluster.port import Cluster
from steps.domain import Visit
from steps.measurement.changes import time_trial
from steps.measurement.turns.turn_taker import TurnTaker
from steps.proof import scale as proof
from steps.settings import turn_order
from steps.tasks.shared.pod import step
from steps.tasks.shared.step import VISIT_FOLDER, document_artifact, log, planned_visit, progress
from steps.tasks.shared.turns import turns_of


@step("switch", deadline_s=86_400, memory="512Mi")
def scale(
    settings: str,
    visit: str,
    document: Annotated[Path, document_artifact(f"{VISIT_FOLDER}/{turn_order.SCALE}")],
) -> None:
    """Write the changes, and a document for each trial of its own; neither a change nor a trial that fails ends it."""
    chosen, planned = planned_visit(settings, visit)
    cluster = connect_cluster(chosen.environment)
    document.mkdir(parents=True, exist_ok=True)
    source = cluster.turns(planned)
    if source is None:
        raise Problem("the server of the visit's turns is gone, without which the scale would change beside a trial.")
    turns = turns_of(source, turn_order.SCALE, planned, chosen)
    with turns.programs.stoppable():
        _follow(cluster, planned, chosen, document, turns)


def _follow(
    cluster: Cluster,
    visit: Visit,
    settings: Settings,
    directory: Path,
    turns: TurnTaker,
) -> None:
    """Each change and each own trial in its turn."""
    kept = documents.Scales(visit=visit.visit)
    due = turn_order.changed_positions(visit)
    for done, trial in enumerate(visit.trials):
        progress(done, len(visit.trials))
        if trial.position in due:
            begun = proof.begin(trial.scale, trial.position)
            lease_s = turn_order.scale_lease_s(settings.environment)
            if turns.take(turn_order.scale_number(trial.position), lease_s) is None:
                change = begun.model_copy(update={"error": "its turn passed, since the change before it took too long"})
            else:
                change = proof.change_scale(
                    begun,
                    lambda wanted: cluster.set_scale(visit, settings, wanted),
                    lambda wanted: cluster.count_scale(visit, settings, wanted),
                    lease_s,
                    log,
                )
            kept = kept.model_copy(update={"changes": (*kept.changes, change)})
            documents.write_document(directory / documents.CHANGES, kept)
        if trial.program.by_scale:
            place = cluster.place_of_changes(trial)
            time_trial(
                place, trial, settings, directory, lambda own: cluster.time_changes(visit, settings, own), log, turns
            )
    progress(len(visit.trials), len(visit.trials))
    turns.leave()
