"""Steps of a run whose results somebody else swaps: each notes outside of the results what it was given and left."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import hera.workflows.artifact as hera_artifact

from tests.workflows import killed_run

NOTES: Final = "SWAPPED_STEPS_NOTES"
"""The variable that names the folder for the notes."""


def digests(place: Path) -> dict[str, str]:
    """The digest of a file, or of each file in a folder, by its path there."""
    files = sorted(f for f in place.rglob("*") if f.is_file()) if place.is_dir() else [place]
    return {str(f.relative_to(place)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.is_file()}


def _noting(name: str, step: Callable[..., None]) -> Callable[..., None]:
    def stand_in(**inputs: str) -> None:
        step(**inputs)
        outputs = Path(os.environ["hera__outputs_directory"]) / "artifacts"  # noqa: SIM112 - Hera's own
        left = {name: digest for name, digest in digests(outputs).items() if name.startswith(("document", "prepared"))}
        given = digests(Path(hera_artifact._DEFAULT_ARTIFACT_INPUT_DIRECTORY))
        note = {"step": name, "visit": inputs.get("visit", ""), "given": given, "left": left}
        (Path(os.environ[NOTES]) / f"{name}-{os.getpid()}.json").write_text(json.dumps(note))

    return stand_in


def __getattr__(name: str) -> Callable[..., None]:  # how Hera's runner finds a function
    if name.startswith("_"):
        raise AttributeError(name)
    return _noting(name, getattr(killed_run, name))
