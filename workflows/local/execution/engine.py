"""The embedded engine: runs a workflow that Hera has built on this machine, as Argo would on a cluster.

    outcome = Engine(template, {"profile": "smoke"}, "results").run()

Nothing begins unless everything the template asks for can be had here. `stop` does what Argo's Stop does: the running
step is asked to end, nothing new begins, the exit handler runs. A second `stop` terminates: everything is killed.
"""

import asyncio
import contextlib
import difflib
import os
import secrets
import shutil
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hera.workflows import Workflow

from analysis.errors import BadInput
from workflows.local.execution import mutex
from workflows.local.execution.artifacts import ArtifactStore
from workflows.local.execution.controller import Controller
from workflows.local.execution.events import (
    Event,
    Listener,
    WorkflowFinished,
    WorkflowStarted,
    WorkflowStopping,
    WorkflowWaiting,
    ignore_events,
)
from workflows.local.execution.pod import PodSettings
from workflows.local.execution.process import GRACE_S, start_fork_server
from workflows.local.execution.shutdown import Shutdown, Strategy
from workflows.local.semantics import scope
from workflows.local.semantics.lint import lint
from workflows.local.semantics.nodes import UNSUCCESSFUL, NodeStatus, Phase, WorkflowOutcome
from workflows.local.semantics.tags import render
from workflows.local.semantics.unsupported import refuse_unsupported


class Engine:
    """One run of a workflow on this machine."""

    def __init__(
        self,
        template: Workflow | Mapping[str, Any],
        arguments: Mapping[str, str],
        repository: str,
        name: str | None = None,
        listener: Listener = ignore_events,
        env: Mapping[str, str] | None = None,
        *,
        preload: Sequence[str] = (),
        grace_s: float = GRACE_S,
        locks: Path | None = None,
        uid: str = "",
        holds: str = "",
    ) -> None:
        """Check everything and make ready; nothing is written or run yet but the server that will fork the steps.

        Args:
            template: a WorkflowTemplate of Hera's, or what its `to_dict` gives.
            arguments: the workflow's parameters that differ from their defaults.
            repository: where artifacts are kept: a directory, or a file:// or s3:// address.
            name: of the run; one is made from the template's name where None.
            listener: called for everything that happens, in the thread that runs the workflow.
            env: added to the environment of each step.
            preload: modules to load once for all steps, beside those in which the steps are.
            grace_s: how long a stopped step may take to end by itself.
            locks: where the files of mutexes are; the machine's directory for temporary files where None.
            uid: of the run, as Argo gives each; a random one where empty.
            holds: a prefix in the repository that holds the run's documents, with tags of the workflow; it is marked as
                at work for as long as this process runs the workflow.

        Raises:
            BadInput: the template asks for what this engine can't do, or refers to what isn't there, or an argument is
                unknown.
        """
        built: dict[str, Any] = dict(template.to_dict() if isinstance(template, Workflow) else template)
        refuse_unsupported(built, dict(os.environ) | dict(env or {}))
        problems = lint(built)
        if problems:
            raise BadInput("the workflow contradicts itself:\n" + "\n".join(f"- {p}" for p in problems))
        self._spec: dict[str, Any] = built["spec"]
        self._arguments = _complete(self._spec, arguments)
        self.name = name or f"{built['metadata']['name']}-{secrets.token_hex(3)}"
        self.uid = uid or str(uuid.uuid4())
        self._holds = holds
        self._repository = repository
        self._listener = listener
        self._env = dict(env or {})
        self._locks = locks
        self._shutdown = Shutdown(grace_s)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked_to_stop = 0
        self._has_ended = False
        self._deaf: Exception | None = None
        start_fork_server([*_modules(self._spec), *preload])

    def stop(self) -> None:
        """Stop; when it is called again, terminate. For a signal handler or another thread; returns at once."""
        self._asked_to_stop += 1
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile: there is nothing left to stop
                loop.call_soon_threadsafe(self._heed)

    @property
    def has_ended(self) -> bool:
        """Whether the workflow is over, exit handler included, so that there is nothing left to stop."""
        return self._has_ended

    @property
    def is_stopped(self) -> bool:
        """Whether anybody asked for the run to be stopped."""
        return self._asked_to_stop > 0

    def terminate(self) -> None:
        """Kill everything, without an exit handler. For a signal handler or another thread; returns at once."""
        self._asked_to_stop = max(self._asked_to_stop, 1)
        self.stop()

    def _heed(self) -> None:
        if self._asked_to_stop > 0:
            strategy: Strategy = "Stop" if self._asked_to_stop == 1 else "Terminate"
            if strategy != self._shutdown.strategy:
                self._tell(WorkflowStopping(strategy))
            self._shutdown.request(strategy)

    def run(self) -> WorkflowOutcome:
        """Walk the workflow to its end.

        Raises:
            Problem: the repository or a lock can't be used. A step's failure raises nothing; it is in the outcome.
            Exception: what the listener raised; the workflow was stopped for it, and its exit handler has run.
        """
        try:
            outcome = asyncio.run(self._run())
        finally:
            self._has_ended = True
        if self._deaf is not None:
            raise self._deaf
        return outcome

    def _tell(self, event: Event) -> None:
        if self._deaf is not None:
            return
        try:
            self._listener(event)
        except Exception as error:  # noqa: BLE001 - raised again once everything has been put in order
            self._deaf = error
            self.stop()

    async def _run(self) -> WorkflowOutcome:
        self._loop = asyncio.get_running_loop()
        self._heed()
        repository = await asyncio.to_thread(ArtifactStore, self._repository)
        work = Path(tempfile.mkdtemp(prefix="dataplane-benchmark-"))
        around = PodSettings(repository, work, dict(os.environ), self._env, self._shutdown, self._tell)
        marks = contextlib.ExitStack()
        locks = [m["name"] for m in self._spec.get("synchronization", {}).get("mutexes", [])]
        known = scope.workflow_tags(self.name, self.uid, self._arguments)
        try:
            if self._holds:
                marks.enter_context(repository.held(render(self._holds, known)))
            async with mutex.held(locks, f"run {self.name}", self._waiting, self._given_up, self._locks) as held:
                walk = Controller(self._spec, around, known, self._locks)
                began = time.monotonic()
                self._tell(WorkflowStarted(self.name, self.uid))
                phase, message = await self._walk(walk) if held else ("Failed", self._stopped())
        finally:
            marks.close()
            shutil.rmtree(work, ignore_errors=True)
            self._loop = None
        duration_s = time.monotonic() - began
        self._tell(WorkflowFinished(phase, message, duration_s))
        return WorkflowOutcome(self.name, self.uid, phase, message, tuple(walk.nodes.values()), duration_s)

    async def _walk(self, walk: Controller) -> tuple[Phase, str]:
        limit = self._spec.get("activeDeadlineSeconds")
        alarm = self._loop.call_later(float(limit), self._shutdown.pass_deadline) if limit and self._loop else None
        root = await walk.run(self._spec["entrypoint"], self.name)
        if alarm is not None:
            alarm.cancel()
        phase: Phase = root.phase if root.phase in UNSUCCESSFUL else "Succeeded"
        message = self._stopped() if phase in UNSUCCESSFUL and self._shutdown.strategy else _why(walk.nodes, root)
        handler = self._spec.get("onExit")
        if handler and self._shutdown.strategy != "Terminate":
            walk.enter_exit_handler(scope.for_exit_handler(phase))
            at_exit = await walk.run(handler, f"{self.name}.onExit")
            if phase == "Succeeded" and at_exit.phase in UNSUCCESSFUL:
                phase, message = at_exit.phase, _why(walk.nodes, at_exit)
        if self._shutdown.strategy == "Terminate":
            phase, message = "Failed", self._stopped()
        return phase, message

    def _waiting(self, message: str) -> None:
        self._tell(WorkflowWaiting(message))

    def _given_up(self) -> bool:
        return self._shutdown.strategy is not None

    def _stopped(self) -> str:
        return f"Stopped with strategy '{self._shutdown.strategy}'"


def _modules(spec: Mapping[str, Any]) -> list[str]:
    """Where the steps are. They have been imported to build the workflow, so they can be."""
    entrypoints = [t["script"]["args"][-1] for t in spec["templates"] if "script" in t]
    return list(dict.fromkeys(entrypoint.partition(":")[0] for entrypoint in entrypoints))


def _complete(spec: Mapping[str, Any], arguments: Mapping[str, str]) -> dict[str, str]:
    declared: dict[str, str] = {p["name"]: p["value"] for p in spec.get("arguments", {}).get("parameters", [])}
    for name in arguments:
        if name not in declared:
            near = difflib.get_close_matches(name, declared, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(declared) or 'none'}."
            raise BadInput(f"the workflow has no parameter {name!r}; {hint}")
    return {**declared, **arguments}


def _why(nodes: Mapping[str, NodeStatus], root: NodeStatus) -> str:
    """The first step's failure below a node, since a DAG that fails says nothing itself."""
    if root.phase not in UNSUCCESSFUL or root.message:
        return root.message
    for node in nodes.values():
        if node.name.startswith(root.name) and node.phase in UNSUCCESSFUL and node.message:
            return f"{node.display_name}: {node.message}"
    return ""
