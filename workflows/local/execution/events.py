"""The events of a running workflow: one frozen record each, passed to a listener as it happens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from workflows.local.semantics.nodes import NodeKind, Phase


@dataclass(frozen=True, slots=True)
class WorkflowStarted:
    """The workflow begins."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class WorkflowWaiting:
    """The workflow waits; the message is a sentence that names the lock and its holder."""

    message: str


@dataclass(frozen=True, slots=True)
class WorkflowStopping:
    """Stop ends the running step gently and runs the exit handler; Terminate kills everything.

    `again`: what another stop does, as a sentence of this engine's; empty: nothing more.
    """

    strategy: Literal["Stop", "Terminate"]
    again: str = ""


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """A node began. `parent` is the DAG or loop around it; `items` is how many items a loop has."""

    node: str
    template: str
    kind: NodeKind
    parent: str | None
    inputs: Mapping[str, str] = field(default_factory=dict)
    items: int | None = None


@dataclass(frozen=True, slots=True)
class NodeLog:
    """One line that the running step wrote to its standard error, without the line's end."""

    node: str
    line: str


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """The running step's progress, from Argo's progress file."""

    node: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class NodeFinished:
    """A node ended. `message`: why it failed or was skipped; for a failed step, the sentence that the step left."""

    node: str
    phase: Phase
    message: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class WorkflowFinished:
    """The workflow ended, exit handler included."""

    phase: Phase
    message: str
    duration_s: float


Event = (
    WorkflowStarted
    | WorkflowWaiting
    | WorkflowStopping
    | NodeStarted
    | NodeLog
    | NodeProgress
    | NodeFinished
    | WorkflowFinished
)
Listener = Callable[[Event], None]
