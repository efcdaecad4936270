"""A task as its pod runs it, by Hera's runner, but in this process, which takes milliseconds instead of seconds."""

import importlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import hera.workflows.artifact as hera_artifact
import pytest
from hera.workflows._runner.util import _runner

from steps.settings import environment
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
        home: of its outputs and its message; input artifacts are files in `home/inputs`.
        variables: beside those of a run on a cluster named prod, with a store in `home/store`.
    """
    outputs, message = home / "outputs", home / "message"
    for folder in (outputs / "parameters", outputs / "artifacts", home / "inputs"):
        folder.mkdir(parents=True, exist_ok=True)
    message.unlink(missing_ok=True)
    given = {
        environment.ENVIRONMENT: "prod",
        environment.RESULTS: str(home / "store"),
        **OF_RUN,
        "BENCHMARK_TERMINATION_LOG": str(message),
        "hera__outputs_directory": str(outputs),
        **(variables or {}),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        patch.setattr(hera_artifact, "_DEFAULT_ARTIFACT_INPUT_DIRECTORY", f"{home / 'inputs'}/")
        patch.setattr(sys, "argv", ["hera.workflows.runner"])
        module, function = entrypoint.split(":")
        task = getattr(importlib.import_module(module), function).wrapped_function
        for parameter in inspect.signature(task).parameters.values():
            for artifact in getattr(parameter.annotation, "__metadata__", ()):
                if isinstance(artifact, hera_artifact.Artifact):
                    patch.setattr(artifact, "path", artifact.path)  # which Hera's runner sets
        code = 0
        try:
            result = _runner(entrypoint, [{"name": name, "value": value} for name, value in inputs.items()])
            code = getattr(result, "exit_code", None) or 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return Ended(code, message.read_text() if message.exists() else "", outputs)
