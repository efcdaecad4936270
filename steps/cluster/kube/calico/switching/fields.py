"""The fields that a switch of Calico's dataplane may set, and nothing else may be restored. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from steps.cluster.kube.api.fields import WHOLE, Field, Ref, State, Value, read_field
from steps.cluster.kube.api.permissions import (
    CONFIGMAPS,
    DAEMONSETS,
    DEFAULT,
    INSTALLATIONS,
    KUBE_PROXY,
    KUBE_SYSTEM,
    SERVICES_ENDPOINT,
    TIGERA_OPERATOR,
    felix_configurations,
)
from steps.cluster.kube.calico.dataplanes import further_fields
from steps.cluster.kube.calico.implementation import BPF, SERVICE_MODE
from steps.cluster.kube.calico.inventory import kube_proxy
from steps.cluster.kube.calico.inventory.facts import Facts
from steps.cluster.kube.calico.inventory.objects import SWITCHED

Object = dict[str, Any]

PROXY: Final = Ref(DAEMONSETS, KUBE_PROXY, KUBE_SYSTEM)
PROXY_CONFIG: Final = Ref(CONFIGMAPS, KUBE_PROXY, KUBE_SYSTEM)
INSTALLATION: Final = Ref(INSTALLATIONS, DEFAULT)
PARKING: Final = Field(PROXY, kube_proxy.PARKING_PATH)
LINUX_DATAPLANE: Final = Field(INSTALLATION, ("spec", "calicoNetwork", "linuxDataplane"))
BOOTSTRAP: Final = Field(INSTALLATION, ("spec", "calicoNetwork", "bpfNetworkBootstrap"))
MANAGEMENT: Final = Field(INSTALLATION, ("spec", "calicoNetwork", "kubeProxyManagement"))
_BESIDE_THE_OPERATOR: Final = (SERVICE_MODE, *further_fields())
"""The fields of FelixConfiguration that the operator leaves to others."""


def endpoint(facts: Facts) -> Field:
    """The ConfigMap with the API server's address for nodes without kube-proxy."""
    place = TIGERA_OPERATOR if facts.install == "operator" else KUBE_SYSTEM
    return Field(Ref(CONFIGMAPS, SERVICES_ENDPOINT, place), WHOLE)


def touchable(facts: Facts) -> tuple[Field, ...]:
    """Every field that a switch of this cluster may set."""
    if facts.group is None or facts.install is None:
        return ()
    felix = Ref(felix_configurations(facts.group), DEFAULT)
    config = (Field(PROXY_CONFIG, ("data", facts.kube_proxy_config_key)),) if facts.kube_proxy_config_key else ()
    beside = tuple(Field(felix, ("spec", name)) for name in _BESIDE_THE_OPERATOR)
    if facts.install == "operator" and facts.bootstraps:
        return (LINUX_DATAPLANE, BOOTSTRAP, MANAGEMENT, *beside, *config)
    proxy = (PARKING,) if facts.kube_proxy is not None else ()
    if facts.install == "operator":
        return (LINUX_DATAPLANE, *beside, *config, *proxy, endpoint(facts))
    own = tuple(Field(felix, ("spec", name)) for name in SWITCHED)
    return (*own, *config, *proxy, endpoint(facts))


def snapshotted(objects: Mapping[Ref, Object | None], config_key: str | None = None) -> tuple[Field, ...]:
    """The fields that were touchable when a snapshot was taken, by the kinds of its objects.

    Args:
        objects: of the snapshot.
        config_key: the key of kube-proxy's configuration, if the snapshot has it.
    """
    operator = INSTALLATION in objects
    alone = not any(ref.name == SERVICES_ENDPOINT for ref in objects)
    found: list[Field] = []
    for ref, kept in objects.items():
        if ref == INSTALLATION:
            found += [LINUX_DATAPLANE, *((BOOTSTRAP, MANAGEMENT) if alone else ())]
        elif ref == PROXY:
            found.append(PARKING)
        elif ref == PROXY_CONFIG:
            key = config_key or kube_proxy.config_key(kept)
            found += [Field(ref, ("data", key))] if key else []
        elif ref.name == SERVICES_ENDPOINT:
            found.append(Field(ref, WHOLE))
        else:
            names = _BESIDE_THE_OPERATOR if operator else SWITCHED
            found += [Field(ref, ("spec", name)) for name in names]
    return tuple(found)


def unreadable(original: State, kept: Mapping[Ref, Object | None], now: Mapping[Ref, Object | None]) -> list[str]:
    """The fields that can't be compared with their original values, as a clause for each object.

    Args:
        original: the values of the fields.
        kept: the objects of the snapshot.
        now: the same objects as they are; None: absent.
    """
    reasons = []
    for field in original:
        found = now.get(field.ref)
        if field.path != WHOLE and found is None and kept.get(field.ref) is not None:
            reasons.append(f"{field.ref} is missing, which had {'.'.join(field.path)}")
    return list(dict.fromkeys(reasons))


def state(objects: Mapping[Ref, Object | None], wanted: tuple[Field, ...]) -> dict[Field, Value]:
    """The values of these fields in these objects."""
    return {field: read_field(objects.get(field.ref), field.path) for field in wanted}


def runs_ebpf(values: State) -> bool:
    """Whether these values make Felix run eBPF."""
    return any(
        (field.path[-1:] == (BPF,) and bool(value)) or (field == LINUX_DATAPLANE and value == "BPF")
        for field, value in values.items()
    )
