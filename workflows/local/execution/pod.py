"""One pod, on this machine: directories of its own, input artifacts, the step's process, outputs and message."""

import asyncio
import contextlib
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from analysis.errors import Problem
from analysis.store.storage_errors import resource_error
from workflows.local.execution.artifacts import ArtifactStore
from workflows.local.execution.child import StepStart
from workflows.local.execution.events import Event, NodeLog, NodeProgress
from workflows.local.execution.process import StepProcess, Tail
from workflows.local.execution.shutdown import Shutdown
from workflows.local.semantics.nodes import NodeStatus
from workflows.local.semantics.paths import INPUTS, OUTPUTS

_MESSAGE_LIMIT_BYTES: Final = 4096
_WATCH_S: Final = 0.05
_TOO_LONG: Final = "Pod was active on the node longer than the specified deadline"


@dataclass(frozen=True, slots=True)
class PodSettings:
    """What all steps of a run share. `env`: the environment that a step starts from, before the template's own."""

    repository: ArtifactStore
    work: Path
    env: Mapping[str, str]
    overrides: Mapping[str, str]
    shutdown: Shutdown
    tell: Callable[[Event], None]


class Pod:
    """One run of a script template whose tags are all replaced. What came of it is noted in the node."""

    def __init__(
        self, template: dict[str, Any], node: NodeStatus, around: PodSettings, *, in_exit_handler: bool
    ) -> None:
        self._template = template
        self._node = node
        self._around = around
        self._in_exit_handler = in_exit_handler
        self._home = Path(tempfile.mkdtemp(prefix="step-", dir=around.work))
        self._outputs = self._home / "outputs"
        self._inputs = self._home / "inputs"
        self._stderr = self._home / "stderr"
        self._last_words = self._home / "termination-log"
        self._progress_file = self._home / "progress"
        self._progress: tuple[int, int] | None = None
        self._tail = Tail(self._stderr)
        self._last_line = ""

    async def run(self) -> None:
        """Run it and set the node's phase, message and outputs. Its directories are gone afterwards."""
        node, around = self._node, self._around
        refusal = around.shutdown.refusal(in_exit_handler=self._in_exit_handler)
        if refusal is not None:
            node.phase, node.message = "Failed", refusal
            return
        try:
            for directory in (self._outputs / "parameters", self._outputs / "artifacts", self._inputs):
                directory.mkdir(parents=True)
            await self._fetch_inputs()
            code = await self._execute()
            await self._collect(code)
        except Problem as problem:
            node.phase, node.message = "Error", str(problem)
        except OSError as error:
            node.phase = "Error"
            node.message = f"the step could not be run in {self._home}: {resource_error(error) or error}"
        finally:
            shutil.rmtree(self._home, ignore_errors=True)

    def _here(self, path: str) -> Path:
        for known, place in ((OUTPUTS, self._outputs), (INPUTS, self._inputs)):
            if path.startswith(known + "/"):
                return place / path[len(known) + 1 :]
        raise AssertionError(path)

    async def _fetch_inputs(self) -> None:
        for artifact in self._template.get("inputs", {}).get("artifacts", []):
            key = artifact["s3"]["key"]
            there = await asyncio.to_thread(self._around.repository.get, key, self._here(artifact["path"]))
            if not there and not artifact.get("optional"):
                raise Problem(f"input artifact {artifact['name']} is missing: nothing is kept at {key}.")

    def _environment(self) -> dict[str, str]:
        own = {e["name"]: e["value"] for e in self._template["script"].get("env", []) if "value" in e}
        return {
            **self._around.env,
            **own,
            **self._around.overrides,
            "hera__outputs_directory": str(self._outputs),
            "BENCHMARK_TERMINATION_LOG": str(self._last_words),
            "ARGO_PROGRESS_FILE": str(self._progress_file),
        }

    async def _execute(self) -> int:
        script = self._template["script"]
        arguments = self._home / "arguments.json"
        arguments.write_text(script["source"])
        entrypoint = script["args"][script["args"].index("-e") + 1]
        step = StepProcess(StepStart(entrypoint, arguments, self._environment(), self._stderr, self._inputs))
        shutdown = self._around.shutdown
        shutdown.watch(step, in_exit_handler=self._in_exit_handler)
        watching = asyncio.create_task(self._watch())
        limit = self._template.get("activeDeadlineSeconds")
        try:
            async with asyncio.timeout(None if limit is None else float(limit)):
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
            self._look(to_the_end=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_S)
            self._look(to_the_end=False)

    def _look(self, *, to_the_end: bool) -> None:
        for line in self._tail.new_lines(to_the_end=to_the_end):
            self._last_line = line.strip() or self._last_line
            self._around.tell(NodeLog(self._node.name, line))
        with contextlib.suppress(FileNotFoundError, ValueError):
            done, total = map(int, self._progress_file.read_text().strip().split("/"))
            if self._progress != (done, total) and 0 <= done <= total:
                self._progress = (done, total)
                self._around.tell(NodeProgress(self._node.name, done, total))

    async def _collect(self, code: int) -> None:
        node, template = self._node, self._template
        missing = [*self._read_parameters(), *await self._keep_artifacts()]
        if code != 0 or node.message:
            node.phase = "Failed"
            node.message = node.message or self._reason(code)
        elif missing:
            node.phase = "Error"
            node.message = f"template {template['name']} declares {', '.join(missing)}, but the step left no such file."
        else:
            node.phase = "Succeeded"

    def _read_parameters(self) -> list[str]:
        missing = []
        for parameter in self._template.get("outputs", {}).get("parameters", []):
            file = self._here(parameter["valueFrom"]["path"])
            if file.exists():
                self._node.outputs[parameter["name"]] = file.read_text().removesuffix("\n")
            else:
                missing.append(f"output parameter {parameter['name']}")
        return missing

    async def _keep_artifacts(self) -> list[str]:
        missing = []
        if self._around.shutdown.strategy == "Terminate":
            return []
        for artifact in self._template.get("outputs", {}).get("artifacts", []):
            place = self._here(artifact["path"])
            if place.exists():
                await asyncio.to_thread(self._around.repository.put, place, artifact["s3"]["key"])
            elif not artifact.get("optional"):
                missing.append(f"output artifact {artifact['name']}")
        return missing

    def _reason(self, code: int) -> str:
        stderr = ""
        with contextlib.suppress(FileNotFoundError):
            stderr = self._last_words.read_bytes()[:_MESSAGE_LIMIT_BYTES].decode(errors="replace").strip()
        if stderr:
            return stderr
        if code < 0:
            ended = f"the step was ended by {signal.Signals(-code).name}"
            if self._around.shutdown.strategy is None and code == -signal.SIGKILL:
                return f"{ended}: out of memory, or somebody killed it"
            return ended
        return self._last_line or f"the step ended with exit code {code} and said nothing"
