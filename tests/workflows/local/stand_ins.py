"""Steps that hand on what was recorded, in place of all steps of the benchmark: to see how its nodes follow each other.

One for each template, found by the template's name.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.workflows.local import record
from tests.workflows.standing_in import outputs_folder, standing_in

RECORDING = "STAND_INS_RECORDING"
"""The variable that names the recording's file."""


def _made(template: str) -> Callable[..., None]:
    def stand_in(**inputs: object) -> None:
        recording = json.loads(Path(os.environ[RECORDING]).read_text())
        if template in recording.get("failing", ()):
            sys.exit(f"{template} is to fail")
        outputs = outputs_folder()
        given = {name.replace("_", "-"): value for name, value in inputs.items() if isinstance(value, str)}
        for name, value in record.outputs_of(recording, template, given).items():
            (outputs / "parameters" / name).write_text(value)
        for artifact in ("document", "prepared", "report"):
            (outputs / "artifacts" / artifact).write_text("{}")

    return standing_in(stand_in, template)


def __getattr__(name: str) -> Callable[..., None]:
    if name.startswith("_"):
        raise AttributeError(name)
    return _made(name)


def instead_of_all(workflow: dict[str, Any]) -> dict[str, Any]:
    """The workflow with a stand-in for each step."""
    for template in workflow["spec"]["templates"]:
        if "script" in template:
            template["script"]["args"][-1] = f"{__name__}:{template['name']}"
    return workflow
