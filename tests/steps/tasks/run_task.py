"""A step as its pod runs it, but in this process, which takes milliseconds instead of seconds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from steps.settings import environment
from steps.tasks.run import Folders, run
from tests.steps.builders import OF_RUN


@dataclass(frozen=True)
class Ended:
    """How a task ended: its exit code, its message, and the folder of its outputs."""

    code: int
    message: str
    outputs: Path

    def parameter(self, name: str) -> str:
        """An output parameter."""
        return (self.outputs / "parameters" / name).read_text()


def run_task(
    entrypoint: str, inputs: Mapping[str, str], home: Path, variables: Mapping[str, str] | None = None
) -> Ended:
    """Run a task.

    Args:
        entrypoint: `module:function`.
        inputs: its parameters, as strings, as Argo passes them.
        home: of its outputs and its message; input artifacts are files in `home/inputs/artifacts`.
        variables: beside those of a run on a cluster named prod, with a store in `home/store`.
    """
    outputs, message = home / "outputs", home / "message"
    for folder in (outputs / "parameters", outputs / "artifacts", home / "inputs" / "artifacts"):
        folder.mkdir(parents=True, exist_ok=True)
    message.unlink(missing_ok=True)
    own = {
        environment.ENVIRONMENT: "prod",
        environment.RESULTS: str(home / "store"),
        **OF_RUN,
        "BENCHMARK_TERMINATION_LOG": str(message),
        **(variables or {}),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own.items():
            patch.setenv(name, value)
        given = json.dumps([{"name": name, "value": value} for name, value in inputs.items()])
        try:
            code = run(entrypoint, given, Folders(home / "inputs", outputs))
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return Ended(code, message.read_text() if message.exists() else "", outputs)
