"""One pod, on this machine: directories of its own, input artifacts, the step's process, outputs and message."""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from analysis.errors import Problem
from analysis.store.storage.storage_errors import resource_error
from steps.measurement.subprocesses import signal_name
from steps.tasks import run
from workflows.local.execution.artifacts import ArtifactStore
from workflows.local.execution.child import StepStart
from workflows.local.execution.events import Event, NodeLog, NodeProgress
from workflows.local.execution.process import StepProcess, Tail
from workflows.local.execution.shutdown import Shutdown
from workflows.local.semantics.field_support import INPUTS, OUTPUTS
from workflows.local.semantics.nodes import NodeStatus

_MESSAGE_LIMIT_BYTES: Final = 4096
_WATCH_S: Final = 0.05
_TOO_LONG: Final = "Pod was active on the node longer than the specified deadline"


@dataclass(frozen=True, slots=True)
class PodSettings:
    """What all steps of a run share.

    Attributes:
        work: the directory for the steps' own.
        overrides: variables that replace the template's.
    """

    repository: ArtifactStore
    work: Path
    overrides: Mapping[str, str]
    shutdown: Shutdown
    emit: Callable[[Event], None]


class Pod:
    """One run of a script template whose tags are replaced. The result is written into the node."""

    def __init__(
        self, template: dict[str, Any], node: NodeStatus, settings: PodSettings, *, in_exit_handler: bool
    ) -> None:
        self._template = template
        self._node = node
        self._settings = settings
        self._in_exit_handler = in_exit_handler
        self._home = settings.work / f"step-{secrets.token_hex(8)}"
        self._outputs = self._home / "outputs"
        self._inputs = self._home / "inputs"
        self._stderr = self._home / "stderr"
        self._termination_log = self._home / "termination-log"
        self._progress_file = self._home / "progress"
        self._progress: tuple[int, int] | None = None
        self._tail = Tail(self._stderr)
        self._last_line = ""

    async def run(self) -> None:
        """Run it and set the node's phase, message and outputs. Its directories are deleted afterwards."""
        node = self._node
        if self._is_refused():
            return
        try:
            for directory in (self._outputs / "parameters", self._outputs / "artifacts", self._inputs / "artifacts"):
                directory.mkdir(parents=True)
            await self._fetch_inputs()
            if self._is_refused():  # a Stop came meanwhile, which ended the steps that had a process
                return
            code = await self._execute()
            await self._collect(code)
        except Problem as problem:
            node.phase, node.message = "Error", str(problem)
        except OSError as error:
            node.phase = "Error"
            node.message = f"the step could not be run in {self._home}: {resource_error(error) or error}"
        finally:
            shutil.rmtree(self._home, ignore_errors=True)

    def _is_refused(self) -> bool:
        """Whether a Stop or a deadline keeps the step from starting; then the node has failed."""
        refusal = self._settings.shutdown.refusal(in_exit_handler=self._in_exit_handler)
        if refusal is not None:
            self._node.phase, self._node.message = "Failed", refusal
        return refusal is not None

    def _local_path(self, path: str) -> Path:
        root, directory = (OUTPUTS, self._outputs) if path.startswith(OUTPUTS) else (INPUTS, self._inputs)
        return directory / path.removeprefix(f"{root}/")

    async def _fetch_inputs(self) -> None:
        for artifact in self._template.get("inputs", {}).get("artifacts", []):
            key = artifact["s3"]["key"]
            found = await asyncio.to_thread(self._settings.repository.get, key, self._local_path(artifact["path"]))
            if not found and not artifact.get("optional"):
                raise Problem(f"input artifact {artifact['name']} is missing: there is nothing at {key}.")

    def _environment(self) -> dict[str, str]:
        own = {e["name"]: e["value"] for e in self._template["script"].get("env", []) if "value" in e}
        return {
            **os.environ,
            **own,
            **self._settings.overrides,
            run.INPUTS_FOLDER: str(self._inputs),
            run.OUTPUTS_FOLDER: str(self._outputs),
            "BENCHMARK_TERMINATION_LOG": str(self._termination_log),
            "ARGO_PROGRESS_FILE": str(self._progress_file),
        }

    async def _execute(self) -> int:
        script = self._template["script"]
        arguments = self._home / "arguments.json"
        arguments.write_text(script["source"])
        step = StepProcess(StepStart(script["args"][-1], arguments, self._environment(), self._stderr))
        shutdown = self._settings.shutdown
        shutdown.watch(step, in_exit_handler=self._in_exit_handler)
        watching = asyncio.create_task(self._watch())
        limit_s = self._template.get("activeDeadlineSeconds")
        try:
            async with asyncio.timeout(None if limit_s is None else int(limit_s)):
                return await step.wait()
        except TimeoutError:
            await step.stop(shutdown.grace_s)
            self._node.message = _TOO_LONG
            return await step.wait()
        except asyncio.CancelledError:
            step.signal(signal.SIGKILL)
            raise
        finally:
            shutdown.forget(step)
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            self._report_output(to_the_end=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_S)
            self._report_output(to_the_end=False)

    def _report_output(self, *, to_the_end: bool) -> None:
        for line in self._tail.new_lines(to_the_end=to_the_end):
            self._last_line = line.strip() or self._last_line
            self._settings.emit(NodeLog(self._node.name, line))
        with contextlib.suppress(FileNotFoundError, ValueError):
            done, total = map(int, self._progress_file.read_text().strip().split("/"))
            if self._progress != (done, total) and 0 <= done <= total:
                self._progress = (done, total)
                self._settings.emit(NodeProgress(self._node.name, done, total))

    async def _collect(self, code: int) -> None:
        node, name = self._node, self._template["name"]
        missing = [*self._read_parameters(), *await self._keep_artifacts()]
        if code != 0 or node.message:
            node.phase = "Failed"
            node.message = node.message or self._reason(code)
        elif missing:
            node.phase = "Error"
            node.message = f"template {name} declares {', '.join(missing)}, but the step left no such file."
        else:
            node.phase = "Succeeded"

    def _read_parameters(self) -> list[str]:
        missing = []
        for parameter in self._template.get("outputs", {}).get("parameters", []):
            file = self._local_path(parameter["valueFrom"]["path"])
            if file.exists():
                self._node.outputs[parameter["name"]] = file.read_text().removesuffix("\n")
            else:
                missing.append(f"output parameter {parameter['name']}")
        return missing

    async def _keep_artifacts(self) -> list[str]:
        missing = []
        if self._settings.shutdown.strategy == "Terminate":
            return []
        for artifact in self._template.get("outputs", {}).get("artifacts", []):
            file = self._local_path(artifact["path"])
            if file.exists():
                await asyncio.to_thread(self._settings.repository.put, file, artifact["s3"]["key"])
            else:
                missing.append(f"output artifact {artifact['name']}")
        return missing

    def _reason(self, code: int) -> str:
        with contextlib.suppress(FileNotFoundError):
            message = self._termination_log.read_bytes()[:_MESSAGE_LIMIT_BYTES].decode(errors="replace").strip()
            if message:
                return message
        if code < 0:
            ended = f"the step was ended by {signal_name(-code)}"
            if self._settings.shutdown.strategy is None and code == -signal.SIGKILL:
                return f"{ended}: out of memory, or killed by another process"
            return ended
        return self._last_line or f"the step ended with exit code {code} and wrote no message"
