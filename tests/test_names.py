"""One class name, one class: who reads or searches for a name finds the one thing that it stands for."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
ROOMS: Final = tuple(ROOT / room for room in ("analysis", "steps", "workflows", "benchmarks"))

ALIASES: Final = {
    "Count": "a bounded number from 0, in documents by pydantic and by msgspec",
    "Object": "an object of Kubernetes as JSON; parts that import little write it again",
    "Objects": "a list of these",
    "Row": "a row of a table, by the names of its columns",
    "Seconds": "a bounded time, in documents by pydantic and by msgspec",
}
"""Type aliases that several modules define, since all of them mean the same, each with what that is."""


def public_types(*folders: Path) -> dict[str, list[str]]:
    """Where the modules below these folders define each public class and type alias, as `module.py:line`."""
    found: dict[str, list[str]] = defaultdict(list)
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            for name, line in _types(ast.parse(path.read_text())):
                found[name].append(f"{path.relative_to(folder.parent)}:{line}")
    return found


def _types(module: ast.Module) -> Iterator[tuple[str, int]]:
    """Name and line; an alias is a name in CapWords that is assigned."""
    for node in module.body:
        match node:
            case (
                ast.ClassDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(name))
            ):
                if name[0].isupper() and not name.isupper() and "_" not in name and len(name) > 1:
                    yield name, node.lineno


def test_each_public_class_and_type_alias_has_a_name_of_its_own() -> None:
    found = public_types(*ROOMS)
    assert {name: places for name, places in found.items() if len(places) > 1 and name not in ALIASES} == {}


def test_an_alias_that_may_be_defined_again_is_no_class_and_still_is() -> None:
    found = public_types(*ROOMS)
    assert {name for name in ALIASES if len(found[name]) < 2} == set()
    classes = {
        node.name
        for room in ROOMS
        for path in room.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    assert classes.isdisjoint(ALIASES)


def test_a_second_definition_of_a_name_is_found(tmp_path: Path) -> None:
    room = tmp_path / "steps"
    room.mkdir()
    (room / "one.py").write_text("class Look:\n    pass\n\n\nclass _Look:\n    pass\n\n\nLOOK_S = 1\n")
    (room / "two.py").write_text("class Look:\n    class Inner:\n        pass\n")
    (room / "zoo.py").write_text("from typing import Final\n\nLook = tuple[int, str]\nLOOK: Final = 1\n")
    assert public_types(room) == {"Look": ["steps/one.py:1", "steps/two.py:1", "steps/zoo.py:3"]}
