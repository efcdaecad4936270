"""Single fields of a cluster's objects: their names, their values, and the patches that set them. Pure."""

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import Resource

Value = object
"""The JSON value of a field. None: the field, or the whole object, is absent."""

WHOLE: Final[tuple[str, ...]] = ()
"""The path of an object as a whole, which exists or is absent."""

OURS: Final = {"app.kubernetes.io/managed-by": "dataplane-benchmark"}
"""The label of everything that this project creates."""

_LONGEST_VALUE: Final = 60


@dataclass(frozen=True, slots=True)
class Ref:
    """One object of a cluster. `namespace` is None for an object of the cluster."""

    resource: Resource
    name: str
    namespace: str | None = None

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.namespace + '/' if self.namespace else ''}{self.name}"

    @property
    def kubectl(self) -> str:
        """The arguments of kubectl that name the object, with a place for the verb."""
        return f"{f'-n {self.namespace} ' if self.namespace else ''}{{verb}} {self.resource.kubectl} {self.name}"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of one object. `path`: its keys, the outermost first."""

    ref: Ref
    path: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.ref} {'.'.join(self.path)}".rstrip()


FieldValues = Mapping[Field, Value]
"""Values of fields."""


def read_field(found: Object | None, path: tuple[str, ...]) -> Value:
    """The value of a field; None if the field or one of its parents is absent."""
    here: object = found
    for key in path:
        if not isinstance(here, dict):
            return None
        here = here.get(key)
    return here


def merge_patch(values: Mapping[tuple[str, ...], Value]) -> Object:
    """The JSON merge patch (RFC 7386) that sets these fields; absent is null."""
    patch: Object = {}
    for path, value in values.items():
        here = patch
        for key in path[:-1]:
            here = here.setdefault(key, {})
        here[path[-1]] = value
    return patch


def field_differences(current: FieldValues, target: FieldValues) -> dict[Field, Value]:
    """The fields of the target that have another value now."""
    return {field: value for field, value in target.items() if current.get(field) != value}


def by_object(changes: Mapping[Field, Value]) -> dict[Ref, dict[tuple[str, ...], Value]]:
    """The changes by object, in their order."""
    grouped: dict[Ref, dict[tuple[str, ...], Value]] = {}
    for field, value in changes.items():
        grouped.setdefault(field.ref, {})[field.path] = value
    return grouped


def patch_command(ref: Ref, values: Mapping[tuple[str, ...], Value]) -> str:
    """The kubectl line that sets these fields by a merge patch."""
    text = json.dumps(merge_patch(values), separators=(",", ":"), ensure_ascii=False)
    return f"kubectl {ref.kubectl.format(verb='patch')} --type merge -p {shlex.quote(text)}"


def create_command(ref: Ref, body: Object) -> str:
    """The kubectl line that creates this ConfigMap."""
    literals = " ".join(shlex.quote(f"--from-literal={key}={value}") for key, value in body.get("data", {}).items())
    place = f"-n {ref.namespace} " if ref.namespace else ""
    return f"kubectl {place}create configmap {ref.name} {literals}".rstrip()


def described(values: Iterable[tuple[tuple[str, ...], Value]]) -> str:
    """The fields and their new values, for a message."""
    parts = []
    for path, value in values:
        text = "absent" if value is None else value if isinstance(value, str) else json.dumps(value)
        whole = len(text.splitlines()) > 1 or len(text) > _LONGEST_VALUE
        parts.append(f"{path[-1]} {'edited' if whole else text}")
    return ", ".join(parts)
