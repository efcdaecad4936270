"""Show a running benchmark: a line for each visit that changes in place; without a terminal, plain lines."""

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from analysis import formatting
from analysis.console.terminal import Terminal, Text
from steps.tasks.shared.step import run_id
from workflows.local.display.progress import ProgressLine, RunProgress
from workflows.local.execution import events
from workflows.local.semantics.nodes import UNSUCCESSFUL

_REFRESHES_PER_S: Final = 2
"""Few, because drawing takes CPU time from what is being measured."""

_MINUTE_S: Final = 60

LOOK: Final = "look"
"""The step whose last sentence stays: what a round has decided."""


def clock(seconds: float) -> str:
    """`0:05`, `3:10`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), _MINUTE_S)
    hours, minutes = divmod(minutes, _MINUTE_S)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class TerminalDisplay:
    """A listener of the engine, and a context manager around the run that restores the terminal."""

    def __init__(self, console: Terminal, expected_s: float | None = None, expected_visits: int = 0) -> None:
        self._console = console
        self._progress = RunProgress(expected_s, expected_visits=expected_visits)
        self._live = (
            Live(console=console, refresh_per_second=_REFRESHES_PER_S, get_renderable=self._drawn, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: events.Event) -> None:
        """Add an event; what is final is shown at once, the rest with the next refresh."""
        now_s = time.monotonic()
        self._progress.note(event, now_s)
        if self._live is None:
            if text := self._plain(event, now_s):
                self._console.print(f"[{clock(self._progress.spent_s(now_s))}] {text}", soft_wrap=True)
        elif isinstance(event, events.NodeFinished):
            self._finished(event)

    def _finished(self, event: events.NodeFinished) -> None:
        line = self._progress.visits.get(event.node)
        if line is not None:
            self._console.print(self._ended_visit(line))
        elif self._progress.steps.get(event.node) == LOOK and event.phase not in UNSUCCESSFUL:
            self._console.print(Text(self._progress.outside.message, style="cyan"))
        elif event.phase in UNSUCCESSFUL and event.message and self._progress.line_of(event.node).visit is None:
            self._console.print(Text.assemble((f"{event.phase}: ", "bold red"), event.message))

    def _plain(self, event: events.Event, now_s: float) -> str:
        """The line of an event; empty where it has none."""
        text, progress = "", self._progress
        match event:
            case events.WorkflowStarted(name, uid):
                text = f"run {run_id(name, uid)}"
            case events.WorkflowWaiting() | events.WorkflowStopping():
                text = progress.notice
            case events.NodeLog(node, message) if message.strip():
                text = self._of_step(node, message.strip())
            case events.NodeFinished(node, phase, _, duration_s) if node in progress.visits:
                left_s = progress.left_s(now_s)
                left = "" if left_s is None else f", about {clock(left_s)} left"
                done = f"({formatting.count(len(progress.done), 'visit')}{left})"
                text = f"{progress.visits[node].title}: {phase.lower()} in {duration_s:.1f} s {done}"
            case events.NodeFinished(node, phase, message) if phase in UNSUCCESSFUL and message:
                text = self._of_step(node, phase.lower(), message)
            case events.WorkflowFinished(phase, message, duration_s):
                text = f"{phase.lower()} after {clock(duration_s)}" + (f": {message}" if message else "")
        return text

    def _of_step(self, node: str, *texts: str) -> str:
        title, step = self._progress.line_of(node).title, self._progress.steps.get(node, "")
        return ": ".join(part for part in (title, step, *texts) if part)

    @staticmethod
    def _ended_visit(line: ProgressLine) -> RenderableType:
        took_s = (line.ended_s or line.began_s) - line.began_s
        text = Text(no_wrap=True, overflow="ellipsis")
        good = line.phase not in UNSUCCESSFUL
        text.append("✓ " if good else "✗ ", "green" if good else "red")
        text.append(f"{line.title}  ")
        text.append(f"{took_s:.1f} s  ", "dim")
        text.append(line.rate if good or line.failure is None else line.failure, "" if good else "red")
        return text

    def _drawn(self) -> RenderableType:
        progress = self._progress
        rows: list[RenderableType] = []
        running = [line for line in progress.visits.values() if line.ended_s is None]
        if not running and progress.outside.step:
            running = [progress.outside]
        for line in running:
            text = Text("▸ ", style="cyan", no_wrap=True, overflow="ellipsis")
            text.append(f"{line.title}  " if line.title else "", "bold default")
            text.append(line.step, "default")
            text.append(" {}/{}  ".format(*line.progress) if line.progress else "  ", "default")
            text.append(line.message or line.rate, "default")
            rows.append(text)
        if progress.notice:
            rows.append(Text(progress.notice, style="yellow"))
        rows.append(self._overall(time.monotonic()))
        return Group(*rows)

    def _overall(self, now_s: float) -> RenderableType:
        progress = self._progress
        left_s = progress.left_s(now_s)
        row = Table.grid(padding=(0, 2))
        of = formatting.count(len(progress.done), "visit") if progress.visits else ""
        left = "" if left_s is None else f"about {clock(left_s)} left"
        bar = ProgressBar(total=1.0, completed=progress.ratio(now_s), width=30)
        row.add_row(bar, of, clock(progress.spent_s(now_s)), left)
        return row
