"""One class name, one class: who reads or searches for a name finds the one thing that it stands for."""

import ast
from collections import defaultdict
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
ROOMS: Final = ("analysis", "steps", "workflows", "benchmarks")

ALLOWED: Final[dict[str, str]] = {}
"""Names that several classes may have, each with the reason."""


def public_classes(*folders: Path) -> dict[str, list[str]]:
    """Where the modules below these folders define each public class, as `module.py:line`."""
    found: dict[str, list[str]] = defaultdict(list)
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(f"{path.relative_to(folder.parent)}:{node.lineno}")
    return found


def test_each_public_class_has_a_name_of_its_own() -> None:
    found = public_classes(*(ROOT / room for room in ROOMS))
    assert {name: places for name, places in found.items() if len(places) > 1 and name not in ALLOWED} == {}


def test_names_that_are_allowed_twice_are_in_use_twice() -> None:
    found = public_classes(*(ROOT / room for room in ROOMS))
    assert {name for name in ALLOWED if len(found[name]) < 2} == set()


def test_a_second_class_of_a_name_is_found(tmp_path: Path) -> None:
    room = tmp_path / "steps"
    room.mkdir()
    (room / "one.py").write_text("class Look:\n    pass\n\n\nclass _Look:\n    pass\n")
    (room / "two.py").write_text("\nclass Look:\n    class Inner:\n        pass\n")
    assert public_classes(room) == {"Look": ["steps/one.py:1", "steps/two.py:2"]}
