"""Show a running benchmark: a line for each visit that changes in place, or plain lines where no terminal listens."""

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from analysis.console.terminal import Terminal, Text
from steps.tasks._step import run_id
from workflows.local.display.progress import ProgressLine, RunProgress
from workflows.local.execution.events import (
    Event,
    NodeFinished,
    NodeLog,
    WorkflowFinished,
    WorkflowStarted,
    WorkflowStopping,
    WorkflowWaiting,
)
from workflows.local.semantics.nodes import UNSUCCESSFUL

_REFRESHES_PER_S: Final = 2
"""Few, because drawing takes CPU time from what is being measured."""

_MINUTE_S: Final = 60


def clock(seconds: float) -> str:
    """`0:05`, `3:10`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), _MINUTE_S)
    hours, minutes = divmod(minutes, _MINUTE_S)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class TerminalDisplay:
    """A listener of the engine. Used as a context manager around the run, so that the terminal is put in order."""

    def __init__(self, console: Terminal, expected_s: float | None = None) -> None:
        self._console = console
        self._board = RunProgress(expected_s)
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

    def __call__(self, event: Event) -> None:
        """Take in an event; shows what is final at once, and the rest with the next refresh."""
        now_s = time.monotonic()
        self._board.note(event, now_s)
        if self._live is None:
            self._plain(event, now_s)
        elif isinstance(event, NodeFinished):
            self._settled(event)

    def _settled(self, event: NodeFinished) -> None:
        line = self._board.visits.get(event.node)
        if line is not None:
            self._console.print(self._done(line))
        elif event.phase in UNSUCCESSFUL and event.message and self._board.line_of(event.node).visit is None:
            self._console.print(Text.assemble((f"{event.phase}: ", "bold red"), event.message))

    def _print(self, now_s: float, text: str) -> None:
        spent_s = now_s - (self._board.began_s if self._board.began_s is not None else now_s)
        self._console.print(f"[{clock(spent_s)}] {text}", soft_wrap=True)

    def _plain(self, event: Event, now_s: float) -> None:
        board = self._board
        match event:
            case WorkflowStarted(name, uid):
                self._print(now_s, f"run {run_id(name, uid)}")
            case WorkflowWaiting() | WorkflowStopping():
                self._print(now_s, board.notice)
            case NodeLog(node, said) if said.strip():
                line = board.line_of(node)
                self._print(
                    now_s, ": ".join(part for part in (line.title, board.steps.get(node, ""), said.strip()) if part)
                )
            case NodeFinished(node, phase, message, duration_s):
                line = board.line_of(node)
                if node in board.visits:
                    left_s = board.left_s(now_s)
                    left = "" if left_s is None else f", about {clock(left_s)} left"
                    of = f" of {board.planned_visits}" if board.planned_visits else ""
                    self._print(
                        now_s,
                        f"{line.title}: {phase.lower()} in {duration_s:.1f} s ({len(board.done)}{of} visits{left})",
                    )
                elif phase in UNSUCCESSFUL and message:
                    self._print(
                        now_s,
                        ": ".join(
                            part for part in (line.title, board.steps.get(node, ""), phase.lower(), message) if part
                        ),
                    )
            case WorkflowFinished(phase, message, duration_s):
                self._print(now_s, f"{phase.lower()} after {clock(duration_s)}" + (f": {message}" if message else ""))
            case _:
                pass

    @staticmethod
    def _done(line: ProgressLine) -> RenderableType:
        took_s = (line.ended_s or line.began_s) - line.began_s
        text = Text(no_wrap=True, overflow="ellipsis")
        good = line.phase not in UNSUCCESSFUL
        text.append("✓ " if good else "✗ ", "green" if good else "red")
        text.append(f"{line.title}  ")
        text.append(f"{took_s:.1f} s  ", "dim")
        text.append(line.figure if good or line.failure is None else line.failure, "" if good else "red")
        return text

    def _drawn(self) -> RenderableType:
        board, now_s = self._board, time.monotonic()
        rows: list[RenderableType] = []
        running = [line for line in board.visits.values() if line.ended_s is None]
        if not running and board.outside.doing:
            running = [board.outside]
        for line in running:
            text = Text("▸ ", style="cyan", no_wrap=True, overflow="ellipsis")
            text.append(f"{line.title}  " if line.title else "", "bold default")
            text.append(line.doing, "default")
            text.append(" {}/{}  ".format(*line.progress) if line.progress else "  ", "default")
            text.append(line.said or line.figure, "default")
            rows.append(text)
        if board.notice:
            rows.append(Text(board.notice, style="yellow"))
        rows.append(self._overall(now_s))
        return Group(*rows)

    def _overall(self, now_s: float) -> RenderableType:
        board = self._board
        left_s = board.left_s(now_s)
        row = Table.grid(padding=(0, 2))
        spent_s = now_s - (board.began_s if board.began_s is not None else now_s)
        of = f"{len(board.done)} of {board.planned_visits} visits" if board.planned_visits else ""
        left = "" if left_s is None else f"about {clock(left_s)} left"
        bar = ProgressBar(total=1.0, completed=board.ratio(now_s), width=30)
        row.add_row(bar, of, clock(spent_s), left)
        return row
