"""The local engine: runs a workflow that Hera has built on this machine, as Argo would on a cluster.

    outcome = Engine(template, {"profile": "smoke"}, "results", "run-1").run()

A workflow that the engine does not fully support is refused before it starts. `stop` is Argo's Stop: the running step
is ended gently, no other starts, and the exit handler runs. A second `stop` is Argo's Terminate: everything is killed.
"""

import asyncio
import contextlib
import difflib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hera.workflows import Workflow

from analysis.errors import BadInput
from workflows.local.execution import events, mutex
from workflows.local.execution.artifacts import ArtifactStore
from workflows.local.execution.controller import Controller
from workflows.local.execution.pod import PodSettings
from workflows.local.execution.process import GRACE_S, start_fork_server
from workflows.local.execution.shutdown import Shutdown, Strategy
from workflows.local.semantics.lint import lint
from workflows.local.semantics.nodes import UNSUCCESSFUL, NodeStatus, Phase, WorkflowOutcome
from workflows.local.semantics.step_groups import as_dags
from workflows.local.semantics.tags import render, workflow_tags
from workflows.local.semantics.unsupported import refuse_unsupported

_AGAIN: Final = "Stop again to end at once."


class Engine:
    """One run of a workflow on this machine.

    Attributes:
        has_ended: whether the workflow has ended, exit handler included.
        stops: how often `stop` was called.
    """

    def __init__(
        self,
        template: Workflow | Mapping[str, Any],
        arguments: Mapping[str, str],
        results: str,
        name: str,
        listener: events.Listener = lambda _event: None,
        env: Mapping[str, str] | None = None,
        *,
        preload: Sequence[str] = (),
        grace_s: float = GRACE_S,
        locks: Path | None = None,
        uid: str = "",
        run_folder: str = "",
    ) -> None:
        """Check everything, and start the server that will fork the steps; nothing is written yet.

        Args:
            template: a WorkflowTemplate of Hera's, or its `to_dict`.
            arguments: the workflow's parameters that differ from their defaults.
            results: gets copies of the artifacts: a directory, or a file:// or s3:// address.
            name: of the run.
            listener: called for each event, in the thread that runs the workflow.
            env: added to the environment of each step.
            preload: modules to import once for all steps, beside the steps' own.
            grace_s: from SIGTERM to SIGKILL for a step that is stopped.
            locks: the directory of the mutexes' files; None: the machine's /tmp.
            uid: of the run; empty: a random one.
            run_folder: a prefix in the results, with tags of the workflow; it is marked as active during the run.

        Raises:
            BadInput: the template is not supported or contradicts itself, or an argument is unknown.
        """
        built: dict[str, Any] = dict(template.to_dict() if isinstance(template, Workflow) else template)
        refuse_unsupported(built, dict(os.environ) | dict(env or {}))
        if problems := lint(built):
            raise BadInput("the workflow contradicts itself:\n" + "\n".join(f"- {p}" for p in problems))
        self.name = name
        self.uid = uid or str(uuid.uuid4())
        self.has_ended = False
        self.stops = 0
        self._spec: dict[str, Any] = as_dags(built)["spec"]
        self._arguments = _complete(self._spec, arguments)
        self._run_folder = run_folder
        self._results = results
        self._listener = listener
        self._env = dict(env or {})
        self._locks = locks
        self._shutdown = Shutdown(grace_s)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener_error: Exception | None = None
        entrypoints = (t["script"]["args"][-1] for t in self._spec["templates"] if "script" in t)
        start_fork_server([*dict.fromkeys(entrypoint.partition(":")[0] for entrypoint in entrypoints), *preload])

    def stop(self) -> None:
        """Stop; called again, terminate. For a signal handler or another thread; returns at once."""
        self.stops += 1
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just closed: there is nothing left to stop
                self._loop.call_soon_threadsafe(self._apply_stops)

    def _apply_stops(self) -> None:
        if self.stops > 0:
            strategy: Strategy = "Stop" if self.stops == 1 else "Terminate"
            if strategy != self._shutdown.strategy:
                self._emit(events.WorkflowStopping(strategy, _AGAIN if strategy == "Stop" else ""))
            self._shutdown.request(strategy)

    def run(self) -> WorkflowOutcome:
        """Run the workflow to its end.

        Raises:
            Problem: the results or a lock can't be used. A step's failure raises nothing; it is in the outcome.
            Exception: the listener's; the workflow was stopped because of it, and its exit handler has run.
        """
        try:
            outcome = asyncio.run(self._run())
        finally:
            self.has_ended = True
        if self._listener_error is not None:
            raise self._listener_error
        return outcome

    def _emit(self, event: events.Event) -> None:
        if self._listener_error is not None:
            return
        try:
            self._listener(event)
        except Exception as error:  # noqa: BLE001 - raised again after the exit handler
            self._listener_error = error
            self.stop()

    async def _run(self) -> WorkflowOutcome:
        self._loop = asyncio.get_running_loop()
        self._apply_stops()
        work = Path(tempfile.mkdtemp(prefix="dataplane-benchmark-"))
        locks = [m["name"] for m in self._spec.get("synchronization", {}).get("mutexes", [])]
        known = workflow_tags(self.name, self.uid, self._arguments)
        try:
            repository = await asyncio.to_thread(ArtifactStore, self._results, work / "artifacts")
            pods = PodSettings(repository, work, self._env, self._shutdown, self._emit)
            with contextlib.ExitStack() as active:
                if self._run_folder:
                    active.enter_context(repository.mark_active(render(self._run_folder, known)))
                async with mutex.hold(
                    locks,
                    f"run {self.name}",
                    lambda message: self._emit(events.WorkflowWaiting(message)),
                    lambda: self._shutdown.strategy is not None,
                    self._locks,
                ) as held:
                    controller = Controller(self._spec, pods, known, self._locks)
                    began = time.monotonic()
                    self._emit(events.WorkflowStarted(self.name, self.uid))
                    phase, message = await self._walk(controller) if held else ("Failed", self._stopped())
        finally:
            shutil.rmtree(work, ignore_errors=True)
            self._loop = None
        self._emit(events.WorkflowFinished(phase, message, time.monotonic() - began))
        return WorkflowOutcome(self.name, self.uid, phase, message, tuple(controller.nodes.values()))

    async def _walk(self, controller: Controller) -> tuple[Phase, str]:
        """Run the entrypoint and the exit handler; returns the workflow's phase and message."""
        limit_s = self._spec.get("activeDeadlineSeconds")
        alarm = self._loop.call_later(int(limit_s), self._shutdown.pass_deadline) if limit_s and self._loop else None
        root = await controller.run(self._spec["entrypoint"], self.name)
        if alarm is not None:
            alarm.cancel()
        phase: Phase = root.phase if root.phase in UNSUCCESSFUL else "Succeeded"
        stopped = phase in UNSUCCESSFUL and self._shutdown.strategy
        message = self._stopped() if stopped else _first_failure(controller.nodes, root)
        handler = self._spec.get("onExit")
        if handler and self._shutdown.strategy != "Terminate":
            controller.enter_exit_handler({"workflow.status": phase})
            at_exit = await controller.run(handler, f"{self.name}.onExit")
            if phase == "Succeeded" and at_exit.phase in UNSUCCESSFUL:
                phase, message = at_exit.phase, _first_failure(controller.nodes, at_exit)
        if self._shutdown.strategy == "Terminate":
            phase, message = "Failed", self._stopped()
        return phase, message

    def _stopped(self) -> str:
        return f"Stopped with strategy '{self._shutdown.strategy}'"


def _complete(spec: Mapping[str, Any], arguments: Mapping[str, str]) -> dict[str, str]:
    declared: dict[str, str] = {p["name"]: p["value"] for p in spec.get("arguments", {}).get("parameters", [])}
    for name in arguments:
        if name not in declared:
            near = difflib.get_close_matches(name, declared, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(declared) or 'none'}."
            raise BadInput(f"the workflow has no parameter {name!r}; {hint}")
    return {**declared, **arguments}


def _first_failure(nodes: Mapping[str, NodeStatus], root: NodeStatus) -> str:
    """The message of the first failed step below a node, since a failed DAG has none of its own."""
    if root.phase not in UNSUCCESSFUL or root.message:
        return root.message
    for node in nodes.values():
        if node.name.startswith(root.name) and node.phase in UNSUCCESSFUL and node.message:
            return f"{node.display_name}: {node.message}"
    return ""
