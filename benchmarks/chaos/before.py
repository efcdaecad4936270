"""The objects from before the first point of a matrix, kept beside its outcomes.

Each later point, also of another session, is compared with them: if each took its own beginning, a point that left
something changed would be the measure of those after it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from analysis.errors import BadInput
from steps.cluster.kube.api.objects import Object

Objects = Mapping[str, Object | None]


def write(path: Path, objects: Objects) -> None:
    """Keep them."""
    path.write_text(json.dumps(objects, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read(path: Path) -> Objects | None:
    """What was kept; None: nothing yet.

    Raises:
        BadInput: the file can't be read.
    """
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} can't be read ({error}): delete it where the cluster is as it should be.") from None
    if not isinstance(found, dict):
        raise BadInput(f"{path} holds no objects: delete it where the cluster is as it should be.")
    return cast("Objects", found)
