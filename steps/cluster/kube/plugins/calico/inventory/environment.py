"""The environment variables of Felix's container, by its pod's template and the ConfigMaps. Pure.

Secrets are not read: the value of a variable from one, or from an unreadable ConfigMap, is unknown, and a whole Secret
or such a ConfigMap may add any variable.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from steps.cluster.kube.api.objects import Object

ConfigMaps = Mapping[str, Object | None]
"""The ConfigMaps by name; None is absent. Those that could not be read are left out."""

_PREFIX: Final = "FELIX_"


@dataclass(frozen=True, slots=True)
class ContainerVariable:
    """One variable. `value`: None is unknown. `origin`: None is the template itself."""

    value: str | None
    origin: str | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class ContainerEnvironment:
    """A container's variables by name, Felix's in capitals. `unread`: sources that may have others."""

    variables: Mapping[str, ContainerVariable] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    def get(self, name: str) -> str | None:
        """A variable's value; None if it is not set or unknown."""
        found = self.variables.get(name)
        return found.value if found is not None else None


def read_environment(containers: Iterable[Object], config_maps: ConfigMaps) -> ContainerEnvironment:
    """The variables of these containers. As in Kubernetes, `env` overrides `envFrom`, later entries earlier ones."""
    variables: dict[str, ContainerVariable] = {}
    unread: list[str] = []
    for container in containers:
        for source in container.get("envFrom") or []:
            found = _whole(source, config_maps)
            if found is None:
                unread.append(_named(source))
            else:
                variables |= found
        for entry in container.get("env") or []:
            if (variable := _single(entry, config_maps)) is not None:
                variables[capitals(entry["name"])] = variable
    return ContainerEnvironment(variables, tuple(dict.fromkeys(unread)))


def needed_config_maps(containers: Iterable[Object], names: Iterable[str]) -> set[str]:
    """The ConfigMaps that determine these variables."""
    wanted, found = set(names), set()
    for container in containers:
        found |= {(source.get("configMapRef") or {}).get("name") for source in container.get("envFrom") or []}
        found |= {
            ((entry.get("valueFrom") or {}).get("configMapKeyRef") or {}).get("name")
            for entry in container.get("env") or []
            if capitals(entry["name"]) in wanted
        }
    return {name for name in found if name}


def capitals(name: str) -> str:
    """A variable's name; those of Felix, which ignores their case, in capitals."""
    return name.upper() if name.upper().startswith(_PREFIX) else name


def _whole(source: Object, config_maps: ConfigMaps) -> dict[str, ContainerVariable] | None:
    """What an entry of `envFrom` adds; None: unknown."""
    reference = source.get("configMapRef") or {}
    name = reference.get("name")
    if name is None or name not in config_maps:
        return None
    prefix = source.get("prefix") or ""
    data = (config_maps[name] or {}).get("data") or {}
    return {
        capitals(f"{prefix}{key}"): ContainerVariable(str(value), f"ConfigMap {name}", f"{prefix}{key}")
        for key, value in data.items()
    }


def _single(entry: Object, config_maps: ConfigMaps) -> ContainerVariable | None:
    """What an entry of `env` sets; None: nothing."""
    name = entry["name"]
    source = entry.get("valueFrom") or {}
    if not source:
        return ContainerVariable(str(entry.get("value") or ""), None, name)
    reference = source.get("configMapKeyRef") or {}
    if not reference:
        return ContainerVariable(None, _origin(source), name)
    holder = str(reference.get("name"))
    value = ((config_maps.get(holder) or {}).get("data") or {}).get(reference.get("key"))
    if value is None and holder in config_maps and reference.get("optional"):
        return None
    return ContainerVariable(None if value is None else str(value), _origin(source), name)


def _origin(source: Object) -> str:
    for kind in ("ConfigMap", "Secret"):
        if reference := source.get(f"{kind[0].lower()}{kind[1:]}KeyRef"):
            return f"key {reference.get('key')} of {kind} {reference.get('name')}"
    reference = source.get("fieldRef") or {}
    return f"the pod's {reference.get('fieldPath') or 'own fields'}"


def _named(source: Object) -> str:
    if reference := source.get("secretRef"):
        return f"Secret {reference.get('name')}"
    return f"ConfigMap {(source.get('configMapRef') or {}).get('name')}"
