"""The user's commands for faults that need hold of a machine: a TOML file, checked where it is read.

    [kubelet-stopped]
    start = "ssh {node} sudo systemctl stop kubelet"
    end = "ssh {node} sudo systemctl start kubelet"

A command is a list of words, without a shell. `{node}` is the node of the step's pod.
"""

import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field, RootModel, ValidationError

from analysis.errors import BadInput, Problem
from benchmarks.chaos.points import FAULTS
from steps.strict_model import StrictModel, faults_of

LONGEST_COMMAND_S: Final = 60.0

_KNOWN: Final = tuple(fault.name for fault in FAULTS if fault.means == "command")


def _command(text: str) -> str:
    try:
        if not [word.format(node="n") for word in shlex.split(text)]:
            raise ValueError("it has no word")
    except (KeyError, IndexError) as error:
        raise ValueError(f"{error} is no placeholder: only {{node}} is") from None
    return text


_Command = Annotated[str, Field(max_length=2000), AfterValidator(_command)]


class Commands(StrictModel):
    """How a fault begins and ends. `lasts_s`: for how long; None: as the matrix has it."""

    start: _Command
    end: _Command
    lasts_s: Annotated[float, Field(gt=0, le=600)] | None = None


class _File(RootModel[dict[str, Commands]]):
    """Commands by the fault's name."""


def read_commands(path: Path | None) -> dict[str, Commands]:
    """The commands of a file; none without one.

    Raises:
        BadInput: it can't be read, is no TOML, names an unknown fault, or a command is invalid.
    """
    if path is None:
        return {}
    try:
        found = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).root
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror}.") from None
    except ValidationError as error:
        raise BadInput(f"{path}: {'; '.join(faults_of(error))}.") from None
    except ValueError as error:  # no UTF-8, or no TOML
        raise BadInput(f"{path} is no TOML: {error}.") from None
    if unknown := sorted(set(found) - set(_KNOWN)):
        raise BadInput(f"{path}: commands for {', '.join(unknown)}; they are taken for {', '.join(_KNOWN)}.")
    return found


def run(command: str, node: str) -> None:
    """Run a command to its end.

    Raises:
        Problem: it can't be started, fails, or takes longer than LONGEST_COMMAND_S.
    """
    argv = [word.format(node=node) for word in shlex.split(command)]
    shown = shlex.join(argv)
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LONGEST_COMMAND_S)
    except OSError as error:
        raise Problem(f"`{shown}` can't be started: {error.strerror}.") from None
    except subprocess.TimeoutExpired:
        raise Problem(f"`{shown}` has not ended after {LONGEST_COMMAND_S:g} s.") from None
    if done.returncode:
        raise Problem(f"`{shown}` failed with exit code {done.returncode}: {done.stderr.strip()[-500:]}")
