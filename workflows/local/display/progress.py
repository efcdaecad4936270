"""What there is to show of a running benchmark, gathered from the engine's events. Draws nothing, reads no clock.

A visit is a DAG whose inputs tell `visit` and `dataplane`; nothing else is known of what the workflow does.
"""

from dataclasses import dataclass, field

from workflows.local.execution.events import (
    Event,
    NodeFinished,
    NodeLog,
    NodeProgress,
    NodeStarted,
    WorkflowFinished,
    WorkflowStarted,
    WorkflowStopping,
    WorkflowWaiting,
)
from workflows.local.semantics.nodes import UNSUCCESSFUL, Phase


@dataclass(slots=True)
class ProgressLine:
    """A visit, or the steps outside all visits. `doing`: the step that runs; `said`: its last sentence.

    `figure`: the last sentence that told a rate. `failure`: the first failure in it.
    """

    visit: str | None = None
    dataplane: str | None = None
    round: str | None = None
    doing: str = ""
    said: str = ""
    figure: str = ""
    failure: str | None = None
    progress: tuple[int, int] | None = None
    began_s: float = 0.0
    ended_s: float | None = None
    phase: Phase = "Running"

    @property
    def title(self) -> str:
        """Which visit: `visit 3  lab-ebpf  round 1`; empty outside of visits."""
        if self.visit is None:
            return ""
        after = f"  round {self.round}" if self.round is not None else ""
        return f"visit {self.visit}  {self.dataplane}{after}"


@dataclass(slots=True)
class RunProgress:
    """The state of the run.

    `expected_s`: how long it should take in all, by the plan. `notice`: a sentence about the whole. `steps`: what each
    node that runs, or ran, a step is called.
    """

    expected_s: float | None = None
    name: str = ""
    notice: str = ""
    began_s: float | None = None
    outside: ProgressLine = field(default_factory=ProgressLine)
    visits: dict[str, ProgressLine] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)
    planned_visits: int | None = None
    _parents: dict[str, str | None] = field(default_factory=dict)
    _loops: dict[str, int] = field(default_factory=dict)

    def note(self, event: Event, now_s: float) -> None:
        """Take in what happened at `now_s`, seconds of any clock that only goes forward."""
        match event:
            case WorkflowStarted(name, _):
                self.name, self.began_s, self.notice = name, now_s, ""
            case WorkflowWaiting(message):
                self.notice = message
            case WorkflowStopping(strategy):
                self.notice = (
                    "Stopping: what was measured is kept and reported; once more to end at once."
                    if strategy == "Stop"
                    else "Ending at once: nothing is put in order."
                )
            case NodeStarted():
                self._started(event, now_s)
            case NodeLog(node, line):
                self._said(self.line_of(node), line.strip())
            case NodeProgress(node, done, total):
                self.line_of(node).progress = (done, total)
            case NodeFinished():
                self._finished(event, now_s)
            case WorkflowFinished():
                self.notice = ""

    def line_of(self, node: str) -> ProgressLine:
        """The visit in which a node runs, or the line of everything outside."""
        above: str | None = node
        while above is not None:
            if above in self.visits:
                return self.visits[above]
            above = self._parents.get(above)
        return self.outside

    def _started(self, event: NodeStarted, now_s: float) -> None:
        self._parents[event.node] = event.parent
        if event.kind == "TaskGroup":
            self._loops[event.node] = event.items or 0
        elif event.kind == "DAG" and {"visit", "dataplane"} <= event.inputs.keys():
            inputs = event.inputs
            self.visits[event.node] = ProgressLine(
                inputs["visit"], inputs["dataplane"], inputs.get("round"), began_s=now_s
            )
            self.planned_visits = self._loops.get(event.parent or "", self.planned_visits)
        elif event.kind == "Pod":
            line = self.line_of(event.node)
            step = self.steps[event.node] = event.template
            line.doing, line.said, line.progress = step, "", None

    @staticmethod
    def _said(line: ProgressLine, sentence: str) -> None:
        if sentence:
            line.said = sentence
            if "bit/s" in sentence:
                line.figure = sentence

    def _finished(self, event: NodeFinished, now_s: float) -> None:
        line = self.line_of(event.node)
        if event.phase in UNSUCCESSFUL and event.message and line.failure is None:
            line.failure = event.message
        if event.node in self.visits:
            line.phase, line.ended_s = event.phase, now_s

    @property
    def done(self) -> list[ProgressLine]:
        """The visits that are over."""
        return [line for line in self.visits.values() if line.ended_s is not None]

    def ratio(self, now_s: float) -> float:
        """How much of the run is behind us, from 0 to 1."""
        left = self.left_s(now_s)
        if self.began_s is None or left is None:
            return 0.0
        spent = now_s - self.began_s
        return spent / (spent + left) if spent + left > 0 else 0.0

    def left_s(self, now_s: float) -> float | None:
        """Seconds that are left, by the plan at first and by the visits seen more and more; None: nobody knows."""
        if self.began_s is None:
            return self.expected_s
        spent_s = now_s - self.began_s
        if not self.planned_visits:
            return None if self.expected_s is None else max(0.0, self.expected_s - spent_s)
        seen = [line.ended_s - line.began_s for line in self.visits.values() if line.ended_s is not None]
        planned_s = [] if self.expected_s is None else [self.expected_s / self.planned_visits]
        known = [*seen, *planned_s]
        if not known:
            return None
        each_s = sum(known) / len(known)
        inside_s = sum(min(each_s, now_s - line.began_s) for line in self.visits.values() if line.ended_s is None)
        return max(0.0, (self.planned_visits - len(seen)) * each_s - inside_s)
