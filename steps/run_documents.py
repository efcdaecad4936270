"""run.json and snapshot.json: what a run is of, and the cluster before its first change."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from steps.catalogue.options import MOST_ARMS, Settings
from steps.clock import ClockMark
from steps.settings.limits import amount_faults
from steps.strict_model import Instant, StrictModel


class ShownArm(StrictModel):
    """An arm as reports show it. `colour`: #RRGGBB. `bpf`: whether it is eBPF, if recorded."""

    name: str
    title: str
    colour: Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]
    bpf: bool | None = None


Trigger = Literal["submitted", "nightly", "local"]
"""What started a run: a user on a cluster, the CronWorkflow, or a user on this machine."""


class PlannedRun(StrictModel):
    """run.json: what the user chose."""

    run_id: str
    workflow_uid: str
    trigger: Trigger
    started_at: Instant
    started_mark: ClockMark | None = None
    settings: Settings
    dataplanes: Annotated[tuple[ShownArm, ...], Field(max_length=MOST_ARMS, fail_fast=True)]

    @field_validator("settings")
    @classmethod
    def _within_limits(cls, settings: Settings) -> Settings:
        """A plan of any size is made of them."""
        if faults := amount_faults(settings):
            raise ValueError(faults[0])
        return settings


class SnapshotDocument(StrictModel):
    """snapshot.json: the cluster as it was before the first change."""

    taken_at: Instant
    snapshot: dict[str, object]
