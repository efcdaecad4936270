"""The CronWorkflow: the template, every night, with the profile that finds differences of 10 %."""

from typing import Final

from hera.workflows import CronWorkflow, Parameter
from hera.workflows import models as m

from steps.catalogue import profiles
from workflows.template import benchmark

NAME: Final = f"{benchmark.NAME}-nightly"

SCHEDULE: Final = "0 2 * * *"
PROFILE: Final = profiles.NIGHTLY
LATEST_START_S: Final = 4 * 3600
"""A controller that was down at the scheduled time may still begin the night's run within this time, in seconds."""

KEPT: Final = 14
"""How many successful and how many failed runs Argo keeps as Workflow objects. The store keeps all."""


def build_nightly() -> CronWorkflow:
    """The CronWorkflow object. All but the arguments comes from the template, so that both ways of running are one."""
    return CronWorkflow(
        name=NAME,
        schedules=[SCHEDULE],
        timezone="Etc/UTC",
        # Forbid sees this CronWorkflow's own runs only; the template's mutex keeps it apart from submitted ones.
        # Replace would terminate the current run, and a terminated run restores nothing.
        concurrency_policy="Forbid",
        starting_deadline_seconds=LATEST_START_S,
        successful_jobs_history_limit=KEPT,
        failed_jobs_history_limit=KEPT,
        workflow_template_ref=m.WorkflowTemplateRef(name=benchmark.NAME),
        arguments=[Parameter(name="profile", value=PROFILE), Parameter(name="trigger", value="nightly")],
        annotations={
            "workflows.argoproj.io/title": "Dataplane benchmark, every night",
            "workflows.argoproj.io/description": "Did anything change since last night?",
        },
    )
