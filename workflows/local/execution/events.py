"""What the engine tells while a workflow runs: one frozen record an event, handed to a listener as it happens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from workflows.local.semantics.nodes import Kind, Phase


@dataclass(frozen=True, slots=True)
class WorkflowStarted:
    """The walk begins. `namespace` is always `local`."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class WorkflowWaiting:
    """Nothing runs yet; the message is a sentence that says for what, and who holds it."""

    message: str


@dataclass(frozen=True, slots=True)
class WorkflowStopping:
    """It was asked to stop (what runs is ended gently, the exit handler follows) or to terminate (all is killed)."""

    strategy: Literal["Stop", "Terminate"]


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """A node came to life. `parent` is the DAG or loop that holds it; `items`: how many a loop expands to."""

    node: str
    display_name: str
    template: str
    kind: Kind
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
    """The running step says how far it is, by Argo's progress file."""

    node: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class NodeFinished:
    """A node is over. `message`: why it failed or was skipped; for a step that failed, its own sentence."""

    node: str
    phase: Phase
    message: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class WorkflowFinished:
    """The walk is over, exit handler included."""

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


def ignore_events(_event: Event) -> None:
    """The listener of a caller who wants only the outcome."""
