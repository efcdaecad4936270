"""Functions in place of the benchmark's steps."""

import functools
import importlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path

from steps.tasks.run import Folders
from workflows.template.benchmark import build_template


@functools.cache
def _entrypoints() -> dict[str, str]:
    templates = build_template().to_dict()["spec"]["templates"]
    return {t["name"]: t["script"]["args"][-1] for t in templates if "script" in t}


def standing_in(function: Callable[..., None], template: str) -> Callable[..., None]:
    """The function with the inputs and the artifacts of a template's step, so that it is run with them."""
    module, _, name = _entrypoints()[template].partition(":")
    function.__signature__ = inspect.signature(getattr(importlib.import_module(module), name))  # type: ignore[attr-defined]
    return function


def inputs_folder() -> Path:
    """Where the input artifacts of the step that runs are."""
    return Folders.of(os.environ).inputs


def outputs_folder() -> Path:
    """Where the outputs of the step that runs go."""
    return Folders.of(os.environ).outputs
