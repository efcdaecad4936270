"""The nodes of a running workflow, their phases, and the workflow's outcome, in Argo's terms."""

from dataclasses import dataclass, field
from typing import Final, Literal

Phase = Literal["Pending", "Running", "Succeeded", "Failed", "Error", "Skipped", "Omitted"]
NodeKind = Literal["Pod", "DAG", "TaskGroup", "Retry", "Skipped"]

COMPLETED: Final = frozenset({"Succeeded", "Failed", "Error"})
UNSUCCESSFUL: Final = frozenset({"Failed", "Error"})

DISPLAY_NAME: Final = "workflows.argoproj.io/display-name"
"""The annotation of a template that sets its nodes' display name (Argo 3.7; before, it is the task's name)."""


@dataclass(slots=True)
class NodeStatus:
    """One node.

    Attributes:
        message: why it failed or was skipped; for a step that failed, the sentence that the step left.
        started_s: by a monotonic clock, as `finished_s`, which is None while it runs.
    """

    name: str
    display_name: str
    template: str
    kind: NodeKind
    parent: str | None = None
    phase: Phase = "Pending"
    message: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    started_s: float = 0.0
    finished_s: float | None = None

    @property
    def duration_s(self) -> float | None:
        """How long it ran, in seconds; None while it runs."""
        return None if self.finished_s is None else self.finished_s - self.started_s


@dataclass(frozen=True, slots=True)
class WorkflowOutcome:
    """How a workflow ended. `nodes` are in the order in which they started."""

    name: str
    uid: str
    phase: Phase
    message: str
    nodes: tuple[NodeStatus, ...]

    @property
    def failures(self) -> list[NodeStatus]:
        """The steps that failed, without the DAGs and loops that failed because of them."""
        return [n for n in self.nodes if n.phase in UNSUCCESSFUL and n.kind in {"Pod", "Skipped"}]

    def find(self, display_name: str) -> list[NodeStatus]:
        """The nodes with that display name; nested loops have several."""
        return [n for n in self.nodes if n.display_name == display_name]
