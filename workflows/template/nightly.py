"""The CronWorkflow: the template, every night, with the profile that sees differences of a few per cent."""

from typing import Final

from hera.workflows import CronWorkflow, Parameter
from hera.workflows import models as m

from workflows.template import benchmark

NAME: Final = f"{benchmark.NAME}-nightly"

SCHEDULE: Final = "0 2 * * *"
PROFILE: Final = "standard"
LATEST_START_S: Final = 4 * 3600
"""If the controller was down at the time, the night's run may still begin so much later, and no later."""

KEPT: Final = 14
"""Runs that the list of workflows remembers, of those that went well and of those that did not. The store keeps all."""


def build_nightly() -> CronWorkflow:
    """As Argo gets it. Everything but the arguments is the template's, so that both ways of running stay one."""
    return CronWorkflow(
        name=NAME,
        schedules=[SCHEDULE],
        timezone="Etc/UTC",
        # Forbid sees this CronWorkflow's own runs only; the template's mutex keeps it apart from submitted ones.
        # Replace would terminate the run that is at work, and a terminated run restores nothing.
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
