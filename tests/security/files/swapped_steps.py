"""Steps of a run whose results somebody else swaps: each notes outside of the results what it was given and left."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.workflows.cli import killed_run
from tests.workflows.standing_in import inputs_folder, outputs_folder, standing_in

NOTES: Final = "SWAPPED_STEPS_NOTES"
"""The variable that names the folder for the notes."""


def digests(place: Path) -> dict[str, str]:
    """The digest of a file, or of each file in a folder, by its path there."""
    files = sorted(f for f in place.rglob("*") if f.is_file()) if place.is_dir() else [place]
    return {str(f.relative_to(place)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.is_file()}


def _noting(name: str, step: Callable[..., None]) -> Callable[..., None]:
    def stand_in(**inputs: object) -> None:
        step(**inputs)
        outputs = outputs_folder() / "artifacts"
        left = {name: digest for name, digest in digests(outputs).items() if name.startswith(("document", "prepared"))}
        given = digests(inputs_folder() / "artifacts")
        note = {"step": name, "visit": inputs.get("visit", ""), "given": given, "left": left}
        (Path(os.environ[NOTES]) / f"{name}-{os.getpid()}.json").write_text(json.dumps(note))

    return standing_in(stand_in, name)


def __getattr__(name: str) -> Callable[..., None]:
    if name.startswith("_"):
        raise AttributeError(name)
    return _noting(name, getattr(killed_run, name))
