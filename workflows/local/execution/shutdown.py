"""Argo's Stop, Terminate and workflow deadline: their state, and the running steps that they end."""

import asyncio
import signal
from typing import Final, Literal

from workflows.local.execution.process import StepProcess

Strategy = Literal["Stop", "Terminate"]

DEADLINE_MESSAGE: Final = "Step exceeded its deadline"


class Shutdown:
    """Used in the event loop's thread only."""

    def __init__(self, grace_s: float) -> None:
        self.grace_s = grace_s
        self.strategy: Strategy | None = None
        self.deadline_passed = False
        self._running: dict[StepProcess, bool] = {}
        self._stopping: set[asyncio.Task[None]] = set()

    def refusal(self, *, in_exit_handler: bool) -> str | None:
        """Why a step may not start, in Argo's words; None: it may."""
        if self.strategy == "Terminate" or (self.strategy == "Stop" and not in_exit_handler):
            return f"workflow shutdown with strategy: {self.strategy}"
        if self.deadline_passed and not in_exit_handler:
            return DEADLINE_MESSAGE
        return None

    def watch(self, step: StepProcess, *, in_exit_handler: bool) -> None:
        """Register a running step."""
        self._running[step] = in_exit_handler

    def forget(self, step: StepProcess) -> None:
        """Remove a step that has ended."""
        self._running.pop(step, None)

    def request(self, strategy: Strategy) -> None:
        """Stop: end the running steps gently, except the exit handler's. Terminate: kill everything now."""
        if self.strategy != "Terminate":
            self.strategy = strategy
        self._end_running(gently=strategy == "Stop")

    def pass_deadline(self) -> None:
        """End the running steps because of the workflow's deadline; its exit handler still runs."""
        self.deadline_passed = True
        self._end_running(gently=True)

    def _end_running(self, *, gently: bool) -> None:
        for step, in_exit_handler in list(self._running.items()):
            if not gently:
                step.signal(signal.SIGKILL)
            elif not in_exit_handler:
                task = asyncio.get_running_loop().create_task(step.stop(self.grace_s))
                self._stopping.add(task)
                task.add_done_callback(self._stopping.discard)
