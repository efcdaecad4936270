"""How patches change objects, and which manager owns which field: for server-side apply."""

import marshal
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
Manager = tuple[str, str]
"""Its name, and its operation: Update or Apply."""

_IDENTITY = frozenset({".apiVersion", ".kind", ".metadata.name", ".metadata.namespace"})
_SERVERS = frozenset({".metadata." + name for name in ("uid", "resourceVersion", "creationTimestamp", "generation")})
_OF_NO_MANAGER = _IDENTITY | _SERVERS


def copied(found: Any) -> Any:  # noqa: ANN401 - JSON
    """A copy of JSON. Tests of the cluster mostly copy objects, and `copy.deepcopy` takes many times as long."""
    return marshal.loads(marshal.dumps(found))


def merged_with(found: Any, patch: Any, *, strategic: bool = False) -> Any:  # noqa: ANN401 - JSON
    """RFC 7386; strategic: lists of named objects are merged by name."""
    return copied(_merged(found, patch, strategic=strategic))


def _merged(found: Any, patch: Any, *, strategic: bool) -> Any:  # noqa: ANN401 - JSON
    """Likewise, with parts of both in it."""
    if isinstance(patch, list) and strategic and isinstance(found, list) and all(_named(e) for e in [*patch, *found]):
        by_name = {e["name"]: e for e in found}
        return [*{**by_name, **{e["name"]: _merged(by_name.get(e["name"]), e, strategic=True) for e in patch}}.values()]
    if not isinstance(patch, dict):
        return patch
    result = dict(found) if isinstance(found, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value, strategic=strategic)
    return result


def _named(entry: object) -> bool:
    return isinstance(entry, dict) and "name" in entry


def fields(found: Object) -> dict[str, object]:
    """The fields that a manager can own, such as `.spec.entrypoint`, with their values. A list is one field."""

    def below(value: object, path: str) -> Iterator[tuple[str, object]]:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                yield from below(inner, f"{path}.{key}")
        else:
            yield path, value

    return {
        path: value
        for path, value in below(found, "")
        if path not in _OF_NO_MANAGER and not path.startswith(".metadata.managedFields")
    }


class Ownership:
    """Who owns which field of one object."""

    def __init__(self) -> None:
        self.owned: dict[Manager, set[str]] = {}

    def copied(self) -> "Ownership":
        found = Ownership()
        found.owned = {manager: set(theirs) for manager, theirs in self.owned.items()}
        return found

    def note_update(self, manager: str, before: Object, after: Object) -> None:
        """What an update changed is its manager's alone."""
        old, new = fields(before), fields(after)
        changed = {path for path, value in new.items() if path not in old or old[path] != value}
        for theirs in self.owned.values():
            theirs.difference_update(changed, old.keys() - new.keys())
        self.owned.setdefault((manager, "Update"), set()).update(changed)

    def conflicts(self, manager: str, found: Object, wanted: Object) -> list[tuple[str, str]]:
        """The managers, and their fields, to which an apply would give another value."""
        current, new = fields(found), fields(wanted)
        return [
            (other, path)
            for (other, operation), theirs in self.owned.items()
            if (other, operation) != (manager, "Apply")
            for path in sorted(theirs & new.keys())
            if current.get(path) != new[path]
        ]

    def apply(self, manager: str, found: Object, wanted: Object) -> Object:
        """The object with what the manager wants; what it wanted formerly, and nobody else does, is taken out."""
        current, new = fields(found), fields(wanted)
        for other, theirs in self.owned.items():
            if other != (manager, "Apply"):
                theirs.difference_update({path for path in theirs & new.keys() if current.get(path) != new[path]})
        others = set[str]().union(*(paths for other, paths in self.owned.items() if other != (manager, "Apply")))
        merged: Object = merged_with(found, wanted)
        for path in self.owned.get((manager, "Apply"), set()) - new.keys() - others:
            _take_out(merged, path, fields(merged))
        self.owned[manager, "Apply"] = set(new)
        return merged


def _take_out(found: Object, path: str, existing: dict[str, object]) -> None:
    """Keys may have dots in them, so that the path is followed in the object rather than split."""
    if path not in existing:
        return
    here, rest = found, path[1:]
    while rest not in here:
        key = next(key for key in here if rest.startswith(f"{key}.") and isinstance(here[key], dict))
        here, rest = here[key], rest[len(key) + 1 :]
    del here[rest]
