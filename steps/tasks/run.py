"""Run a step in its pod: `python -m steps.tasks.run MODULE:STEP FILE`, with the step's inputs in a file.

Of Hera, by which the workflow is defined, a pod loads nothing: that took half a CPU second in each, ten of which start
at once in a visit.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from analysis.errors import BadInput, Problem
from steps.tasks.shared.artifacts import Artifact, Outputs, artifacts_of
from steps.tasks.shared.inputs import BY_ITS_OWN, input_names
from steps.tasks.shared.step import fail

COMMAND: Final = ("-m", "steps.tasks.run")
"""The arguments of Python before the entrypoint and the file with the inputs."""

INPUTS_FOLDER: Final = "BENCHMARK_INPUTS_FOLDER"
OUTPUTS_FOLDER: Final = "BENCHMARK_OUTPUTS_FOLDER"
"""Variables with the folders of the artifacts and outputs, where they are not those of a pod."""


@dataclass(frozen=True, slots=True)
class _Input:
    """An input parameter, as Argo's tag {{inputs.parameters}} writes it."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the step's input artifacts are, and where its outputs go."""

    inputs: Path
    outputs: Path

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> "Folders":
        """Those that the variables name, or else a pod's."""
        inputs, outputs = variables.get(INPUTS_FOLDER), variables.get(OUTPUTS_FOLDER)
        return cls(Path(inputs) if inputs else POD.inputs, Path(outputs) if outputs else POD.outputs)

    def artifact(self, artifact: Artifact) -> Path:
        """The path of an artifact."""
        return (self.outputs if artifact.output else self.inputs) / "artifacts" / artifact.name

    def parameter(self, name: str) -> Path:
        """The path of an output parameter."""
        return self.outputs / "parameters" / name


POD: Final = Folders(Path("/tmp/inputs"), Path("/tmp/outputs"))  # noqa: S108 - all but /tmp is read-only there


def run(entrypoint: str, inputs: str, folders: Folders) -> int:
    """Run a step; its exit code. A step that raises an exception leaves no output parameters.

    `entrypoint`: `module:step`. `inputs`: its input parameters, as Argo's tag {{inputs.parameters}} writes them.

    Raises:
        SystemExit: the step ended by itself.
    """
    module, _, name = entrypoint.partition(":")
    step: Callable[..., object] = getattr(importlib.import_module(module), name)
    try:
        arguments = _arguments(step, entrypoint, _parse(inputs, entrypoint), folders)
    except Problem as problem:
        fail(str(problem))
        return problem.exit_code
    result = step(**arguments)
    if not isinstance(result, Outputs):
        return 0
    for output in result.names():
        _write(folders.parameter(output), getattr(result, output))
    return result.exit_code


def _parse(text: str, entrypoint: str) -> dict[str, str]:
    """The input parameters by name; none where the tag is one of a step without any."""
    try:
        found = TypeAdapter(list[_Input] | None).validate_json(text.strip() or "null")
    except ValidationError:
        raise BadInput(f"the inputs of {entrypoint} can't be read: {BY_ITS_OWN}.") from None
    return {each.name: each.value for each in found or ()}


def _arguments(
    step: Callable[..., object], entrypoint: str, given: Mapping[str, str], folders: Folders
) -> dict[str, object]:
    names = input_names(step)
    if missing := [name for name in names.values() if name not in given]:
        raise BadInput(f"{entrypoint} needs input {', '.join(missing)}: {BY_ITS_OWN}.")
    arguments: dict[str, object] = {parameter: given[name] for parameter, name in names.items()}
    for parameter, artifact in artifacts_of(step).items():
        path = folders.artifact(artifact)
        if artifact.output:
            path.parent.mkdir(parents=True, exist_ok=True)
        arguments[parameter] = None if artifact.optional and not path.exists() else path
    return arguments


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")


def main(arguments: Sequence[str], variables: Mapping[str, str]) -> int:
    """Run the step that the arguments name; its exit code."""
    entrypoint, inputs = arguments
    return run(entrypoint, Path(inputs).read_text(encoding="utf-8"), Folders.of(variables))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
