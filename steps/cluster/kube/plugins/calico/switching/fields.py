"""The fields that a switch of Calico's dataplane may set; a restore sets no others. Pure."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from typing import Final

from analysis.console.excerpts import excerpt
from steps.cluster.kube.api.fields import WHOLE, Field, FieldValues, Ref, Value, read_field
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import (
    CALICO_GROUPS,
    CONFIGMAPS,
    DAEMONSETS,
    DEFAULT,
    FELIX_CONFIGURATIONS,
    INSTALLATIONS,
    KUBE_PROXY,
    KUBE_SYSTEM,
    SERVICES_ENDPOINT,
    TIGERA_OPERATOR,
)
from steps.cluster.kube.plugins.calico.dataplanes import further_fields
from steps.cluster.kube.plugins.calico.implementation import BPF, NFTABLES_MODE, SERVICE_MODE
from steps.cluster.kube.plugins.calico.inventory import kube_proxy
from steps.cluster.kube.plugins.calico.inventory.facts import Facts, Install
from steps.cluster.kube.plugins.calico.inventory.objects import SWITCHED

PROXY: Final = Ref(DAEMONSETS, KUBE_PROXY, KUBE_SYSTEM)
PROXY_CONFIG: Final = Ref(CONFIGMAPS, KUBE_PROXY, KUBE_SYSTEM)
INSTALLATION: Final = Ref(INSTALLATIONS, DEFAULT)
ENDPOINTS: Final[dict[Install, Ref]] = {
    "manifest": Ref(CONFIGMAPS, SERVICES_ENDPOINT, KUBE_SYSTEM),
    "operator": Ref(CONFIGMAPS, SERVICES_ENDPOINT, TIGERA_OPERATOR),
}
PARKING: Final = Field(PROXY, kube_proxy.PARKING_PATH)
LINUX_DATAPLANE: Final = Field(INSTALLATION, ("spec", "calicoNetwork", "linuxDataplane"))
BOOTSTRAP: Final = Field(INSTALLATION, ("spec", "calicoNetwork", "bpfNetworkBootstrap"))
MANAGEMENT: Final = Field(INSTALLATION, ("spec", "calicoNetwork", "kubeProxyManagement"))
DIGEST: Final = Field(PROXY_CONFIG, ("metadata", "annotations", "dataplane-benchmark/original-sha256"))
"""The digest of kube-proxy's original configuration, while a switch has changed it.

By it a restore recognises the true original in the snapshot, which others may have written.
"""

_BESIDE_THE_OPERATOR: Final = (SERVICE_MODE, *further_fields())
"""The fields of FelixConfiguration that the operator leaves to others."""

_WORDS: Final = {
    SERVICE_MODE: ("", "Tunnel", "DSR"),
    NFTABLES_MODE: ("Auto", "Enabled", "Disabled"),
    "linuxDataplane": ("Iptables", "BPF", "Nftables"),
    "bpfNetworkBootstrap": ("Enabled", "Disabled"),
    "kubeProxyManagement": ("Enabled", "Disabled"),
}
"""The values of fields that take certain words only; an empty text stands for the default."""

_IN_ANY_CASE: Final = frozenset({SERVICE_MODE, NFTABLES_MODE})
"""The fields whose words Felix takes in upper and lower case alike; the operator takes its own only as they stand."""

_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?)?")
"""The value of a label, as of kube-proxy's node selector, or of a further field of FelixConfiguration."""


def endpoint(install: Install | None) -> Field:
    """The ConfigMap with the API server's address for nodes without kube-proxy."""
    return Field(ENDPOINTS[install or "manifest"], WHOLE)


def touchable(facts: Facts) -> tuple[Field, ...]:
    """Every field that a switch of this cluster may set."""
    if facts.install is None:
        return ()
    found = _fields(facts, facts.install, facts.kube_proxy_config_key, bootstraps=facts.bootstraps)
    return found if facts.kube_proxy is not None else tuple(field for field in found if field != PARKING)


def restorable(facts: Facts, install: Install, config_key: str | None) -> tuple[Field, ...]:
    """Every field that a restore of this cluster may set.

    `facts`: as when the snapshot was taken. `config_key`: of kube-proxy's configuration in its ConfigMap.
    """
    return _fields(facts, install, config_key, bootstraps=facts.bootstraps and install == "operator")


def bootstrapped(facts: Facts, install: Install, refs: Collection[Ref]) -> bool:
    """Whether the operator looked after kube-proxy when a snapshot of these objects was taken.

    Then the snapshot is without the API server's address. What runs now does not tell, since a switch changes it.
    """
    if not refs:
        return facts.bootstraps
    return facts.knows_management and install == "operator" and endpoint(install).ref not in refs


def _fields(facts: Facts, install: Install, config_key: str | None, *, bootstraps: bool) -> tuple[Field, ...]:
    if facts.group is None:
        return ()
    felix = Ref(FELIX_CONFIGURATIONS[facts.group], DEFAULT)
    config = (Field(PROXY_CONFIG, ("data", config_key)), DIGEST) if config_key else ()
    names = _BESIDE_THE_OPERATOR if install == "operator" else SWITCHED
    found = (*(Field(felix, ("spec", name)) for name in names), *config)
    if bootstraps:
        return (LINUX_DATAPLANE, BOOTSTRAP, MANAGEMENT, Field(felix, ("spec", BPF)), *found)
    return (*((LINUX_DATAPLANE,) if install == "operator" else ()), *found, PARKING, endpoint(install))


def written_fields() -> tuple[Field, ...]:
    """Every field that a switch of any cluster sets in objects that exist, but for the texts of ConfigMaps."""
    felix = (Ref(FELIX_CONFIGURATIONS[group], DEFAULT) for group in CALICO_GROUPS)
    return (
        PARKING,
        LINUX_DATAPLANE,
        BOOTSTRAP,
        MANAGEMENT,
        *(Field(ref, ("spec", name)) for ref in felix for name in SWITCHED),
    )


def may_have(field: Field, value: Value) -> bool:
    """Whether a switch may find or set this value in a field; kube-proxy's configuration is judged by its mode."""
    name = field.path[-1] if field.path else ""
    if name == BPF:
        return value is None or isinstance(value, bool)
    if is_configuration(field):
        return isinstance(value, str) and kube_proxy.mode(value) in kube_proxy.MODES
    if field.path == WHOLE or value is None:
        return True
    if name in _WORDS:
        known = _WORDS[name]
        alike = {word.lower() for word in known} if name in _IN_ANY_CASE else set()
        return isinstance(value, str) and (value in known or value.lower() in alike)
    return isinstance(value, bool | int) or (isinstance(value, str) and _LABEL_VALUE.fullmatch(value) is not None)


def unknown_value(values: FieldValues) -> tuple[str, str] | None:
    """The first value that a restore would not put back, in words, with a remedy; None: a restore takes them all.

    A switch begins only where there is none, or the cluster would stay switched until somebody restores it by hand.
    """
    found = next(((f, v) for f, v in values.items() if f != DIGEST and not may_have(f, v)), None)
    if found is None:
        return None
    field, value = found
    edit = f"`kubectl {field.ref.kubectl.format(verb='edit')}`"
    if is_configuration(field):
        return (
            f"{field} sets no mode of kube-proxy's that is known, so a restore would refuse to put it back",
            f"Set its mode to one of {', '.join(sorted(kube_proxy.MODES))}: {edit}.",
        )
    known = " or ".join(word for word in _WORDS.get(field.path[-1], ()) if word)
    return (
        f"{field} is {shown(value)}, which is no value that is known, so a restore would refuse to put it back",
        f"{f'Set it to {known}' if known else 'Correct it'}, or remove it: {edit}.",
    )


def shown(value: Value) -> str:
    """A value as part of a sentence, where an empty text is seen too."""
    return excerpt(json.dumps(value, ensure_ascii=False))


def is_configuration(field: Field) -> bool:
    """Whether a field is kube-proxy's configuration."""
    return field.ref == PROXY_CONFIG and field != DIGEST


def digest(field: Field, configuration: str) -> str:
    """The digest of kube-proxy's configuration under a key of its ConfigMap, in hexadecimal."""
    return hashlib.sha256(f"{field.path[-1]}\n{configuration}".encode()).hexdigest()


def state(objects: Mapping[Ref, Object | None], wanted: tuple[Field, ...]) -> dict[Field, Value]:
    """The values of these fields in these objects."""
    return {field: read_field(objects.get(field.ref), field.path) for field in wanted}


def runs_ebpf(values: FieldValues) -> bool:
    """Whether these values make Felix run eBPF; where an operator installed Calico, its Installation decides."""
    if LINUX_DATAPLANE in values:
        return values[LINUX_DATAPLANE] == "BPF"
    return any(field.path[-1:] == (BPF,) and bool(value) for field, value in values.items())
