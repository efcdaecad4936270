"""The progress of a running benchmark, from the events of the engine. Draws nothing and reads no clock.

A visit is a DAG with the inputs `visit` and `dataplane`; every other step is shown on one line for all of them.
"""

from dataclasses import dataclass, field

from workflows.local.execution import events
from workflows.local.semantics.nodes import UNSUCCESSFUL, Phase


@dataclass(slots=True)
class ProgressLine:
    """A visit, or the steps outside all visits.

    Attributes:
        step: the one that started or said something last; several of the same template may run at once.
        parts: the progress of each step, (done, total), by its template and node.
        rate: the last sentence with a rate.
    """

    visit: str | None = None
    dataplane: str | None = None
    round: str | None = None
    step: str = ""
    message: str = ""
    rate: str = ""
    failure: str | None = None
    parts: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    began_s: float = 0.0
    ended_s: float | None = None
    phase: Phase = "Running"

    @property
    def progress(self) -> tuple[int, int] | None:
        """What is done of how much by all steps of this template; None: none tells."""
        own = [part for (template, _), part in self.parts.items() if template == self.step]
        return (sum(done for done, _ in own), sum(total for _, total in own)) if own else None

    @property
    def title(self) -> str:
        """Which visit: `visit 3  lab-ebpf  round 1`; empty outside of visits."""
        if self.visit is None:
            return ""
        after = f"  round {self.round}" if self.round is not None else ""
        return f"visit {self.visit}  {self.dataplane}{after}"


@dataclass(slots=True)
class RunProgress:
    """The progress of the run.

    Attributes:
        expected_s: how long the whole run takes by the plan.
        expected_visits: how many visits it has by the plan, until there are more or no other follows.
        notice: a sentence about the whole run.
        steps: the template of each step that has started, by node.
    """

    expected_s: float | None = None
    notice: str = ""
    began_s: float | None = None
    outside: ProgressLine = field(default_factory=ProgressLine)
    visits: dict[str, ProgressLine] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)
    expected_visits: int = 0
    _parents: dict[str, str | None] = field(default_factory=dict)
    _loops: dict[str, int] = field(default_factory=dict)
    _rounds: set[str] = field(default_factory=set)

    def note(self, event: events.Event, now_s: float) -> None:
        """Add an event that happened at `now_s`, by any monotonic clock."""
        match event:
            case events.WorkflowStarted():
                self.began_s, self.notice = now_s, ""
            case events.WorkflowWaiting(message):
                self.notice = message
            case events.WorkflowStopping("Stop", again):
                self.notice = f"Stopping: what was measured is kept and reported. {again}".rstrip()
            case events.WorkflowStopping():
                self.notice = "Ending at once: the exit handler does not run."
            case events.NodeStarted():
                self._started(event, now_s)
            case events.NodeLog(node, text) if message := text.strip():
                line = self.line_of(node)
                line.step, line.message = self.steps.get(node, line.step), message
                line.rate = message if "bit/s" in message else line.rate
            case events.NodeProgress(node, done, total):
                self.line_of(node).parts[self.steps.get(node, ""), node] = (done, total)
            case events.NodeFinished():
                self._finished(event, now_s)
            case events.WorkflowFinished():
                self.notice = ""

    def line_of(self, node: str) -> ProgressLine:
        """The visit in which a node runs, or the line of everything outside."""
        above: str | None = node
        while above is not None:
            if above in self.visits:
                return self.visits[above]
            above = self._parents.get(above)
        return self.outside

    def _started(self, event: events.NodeStarted, now_s: float) -> None:
        self._parents[event.node] = event.parent
        if event.kind == "TaskGroup":
            self._loops[event.node] = event.items or 0
        elif event.kind == "DAG" and {"visit", "dataplane"} <= event.inputs.keys():
            inputs = event.inputs
            self.visits[event.node] = ProgressLine(
                inputs["visit"], inputs["dataplane"], inputs.get("round"), began_s=now_s
            )
            self._counted(event.parent or "")
        elif event.kind == "Pod":
            line = self.line_of(event.node)
            self.steps[event.node] = event.template
            line.step, line.message = event.template, ""

    def _counted(self, loop: str) -> None:
        """Count the visits of a loop, when its first begins."""
        self.expected_visits = max(self.expected_visits, len(self.visits) - 1 + self._loops.pop(loop, 1))
        if (rounds := self._parents.get(loop)) is not None:
            self._rounds.add(rounds)

    def _finished(self, event: events.NodeFinished, now_s: float) -> None:
        line = self.line_of(event.node)
        if event.phase in UNSUCCESSFUL and event.message and line.failure is None:
            line.failure = event.message
        if event.node in self.visits:
            line.phase, line.ended_s = event.phase, now_s
        elif event.node in self._rounds:
            self.expected_visits = len(self.visits)

    @property
    def done(self) -> list[ProgressLine]:
        """The visits that have ended."""
        return [line for line in self.visits.values() if line.ended_s is not None]

    def spent_s(self, now_s: float) -> float:
        """Seconds since the run began; 0 before."""
        return 0.0 if self.began_s is None else now_s - self.began_s

    def ratio(self, now_s: float) -> float:
        """How much of the run is done, from 0 to 1."""
        left_s, spent_s = self.left_s(now_s), self.spent_s(now_s)
        return 0.0 if left_s is None or spent_s + left_s <= 0 else spent_s / (spent_s + left_s)

    def left_s(self, now_s: float) -> float | None:
        """Seconds that are left: by the plan and by the visits that have ended; None: unknown."""
        if self.began_s is None:
            return self.expected_s
        if not self.expected_visits:
            return None if self.expected_s is None else max(0.0, self.expected_s - self.spent_s(now_s))
        ended_s = [line.ended_s - line.began_s for line in self.visits.values() if line.ended_s is not None]
        known_s = [*ended_s, *([] if self.expected_s is None else [self.expected_s / self.expected_visits])]
        if not known_s:
            return None
        each_s = sum(known_s) / len(known_s)
        inside_s = sum(min(each_s, now_s - line.began_s) for line in self.visits.values() if line.ended_s is None)
        return max(0.0, (self.expected_visits - len(ended_s)) * each_s - inside_s)
