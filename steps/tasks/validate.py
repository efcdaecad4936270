"""First task of a run: check and complete what the user chose. Argo does not check a submission by API."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, cast, get_args

from analysis.errors import BadInput
from analysis.formatting import count
from analysis.store.storage import urls
from steps import clock, documents
from steps.catalogue.dataplanes import BY_NAME, Arm
from steps.catalogue.option_fields import nearest, shown_option
from steps.run_documents import PlannedRun, ShownArm, Trigger
from steps.settings import environment
from steps.settings.continued import stored_runs
from steps.settings.settings import choose_settings
from steps.tasks.shared.artifacts import Outputs
from steps.tasks.shared.pod import step
from steps.tasks.shared.step import RUN_FOLDER, document_artifact, log, own_identity, own_run_id

TRIGGERS: Final[tuple[str, ...]] = get_args(Trigger)


def shown_arm(arm: str) -> ShownArm:
    """An arm with title and colour of its dataplane, for charts and tables."""
    parsed = Arm.parse(arm)
    entry = BY_NAME[parsed.name]
    title = f"{entry.title}, {parsed.label}" if parsed.label else entry.title
    return ShownArm(name=arm, title=title, colour=entry.colour, bpf=entry.bpf if entry.is_switched else None)


@dataclass(frozen=True, kw_only=True)
class ValidateResult(Outputs):
    """The settings as JSON, for the following tasks."""

    settings: str


@step("measure", deadline_s=300, memory="1Gi", store=True)
def validate(
    profile: str,
    dataplanes: str,
    topologies: str,
    options: str,
    nodes: str,
    label: str,
    trigger: str,
    document: Annotated[Path, document_artifact(RUN_FOLDER + "/" + documents.RUN)],
) -> ValidateResult:
    """Complete the settings; fail with a sentence for each fault."""
    faults = [] if trigger in TRIGGERS else [f"unknown trigger {shown_option(trigger)}: {nearest(trigger, TRIGGERS)}"]
    try:
        settings = choose_settings(
            profile=profile,
            dataplanes=dataplanes,
            topologies=topologies,
            options=options,
            label=label,
            environment=environment.environment(),
            results=urls.parse_url(environment.results()).shown,
            nodes=nodes,
            find_run=stored_runs(environment.results()),
        )
    except BadInput as problem:
        raise BadInput("\n".join([*faults, str(problem)])) from None
    if faults:
        raise BadInput("\n".join(faults))
    run = PlannedRun(
        run_id=own_run_id(),
        workflow_uid=own_identity()[1],
        trigger=cast("Trigger", trigger),
        started_at=datetime.now(UTC),
        started_mark=clock.clock_mark(),
        settings=settings,
        dataplanes=tuple(shown_arm(arm) for arm in settings.dataplanes),
    )
    documents.write_document(document, run)
    log(f"{count(len(settings.dataplanes), 'dataplane')}, {count(settings.rounds, 'round')}, seed {settings.seed}")
    return ValidateResult(settings=settings.model_dump_json())
