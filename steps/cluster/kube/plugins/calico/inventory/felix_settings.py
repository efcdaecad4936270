"""The Felix settings that decide the dataplane, from FelixConfiguration and calico-node's environment. Pure."""

from collections.abc import Iterable
from typing import Final

from steps.cluster.kube.api.fields import read_field
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import DEFAULT
from steps.cluster.kube.plugins.calico.dataplanes import known
from steps.cluster.kube.plugins.calico.inventory.objects import SWITCHED, ClusterObjects

NFTABLES_SINCE: Final = (3, 29, 0)
"""The first version with an nftables dataplane."""

NFTABLES_AUTO_SINCE: Final = (3, 32, 0)
"""The first version whose nftablesMode is Auto by default: it follows kube-proxy's mode."""

_TRUE: Final = frozenset({"true", "1", "yes", "y", "t"})


def running_dataplane(
    objects: ClusterObjects, proxy_mode: str | None, version: tuple[int, int, int] | None
) -> str | None:
    """The dataplane that the settings amount to, by its name in the catalogue; None: it is not in the catalogue.

    `version`: Calico's; None: unknown.
    """
    felix = effective_settings(objects)
    spec = (objects.felix_default or {}).get("spec") or {}
    bpf = bool(felix["bpfEnabled"])
    direct_return = bpf and str(felix["bpfExternalServiceMode"] or "").upper() == "DSR"
    traits = (bpf, not bpf and _nftables(objects, proxy_mode, version), direct_return)
    # a dataplane with further fields needs them all; one without any matches otherwise
    fit = [
        each
        for each in known()
        if each.traits == traits and all(spec.get(name) == value for name, value in each.how.further.items())
    ]
    best = max(fit, key=lambda each: len(each.how.further), default=None)
    return best.name if best is not None else None


def _nftables(objects: ClusterObjects, proxy_mode: str | None, version: tuple[int, int, int] | None) -> bool:
    """Whether Felix writes nftables rules where it runs no eBPF."""
    if objects.installation is not None:  # the operator sets nftablesMode after it
        return read_field(objects.installation, ("spec", "calicoNetwork", "linuxDataplane")) == "Nftables"
    if version is not None and version < NFTABLES_SINCE:
        return False
    mode = effective_settings(objects)["nftablesMode"]
    automatic = mode == "Auto" or (not mode and version is not None and version >= NFTABLES_AUTO_SINCE)
    return mode == "Enabled" or (automatic and proxy_mode == "nftables")


def effective_settings(objects: ClusterObjects) -> Object:
    """The settings that decide the dataplane, as Felix takes them: its environment overrides FelixConfiguration."""
    spec = (objects.felix_default or {}).get("spec") or {}
    environment = objects.agent_environment
    overrides = {name: environment.get(f"FELIX_{name.upper()}") for name in SWITCHED}
    bpf = bool(spec.get("bpfEnabled"))
    bpf |= read_field(objects.installation, ("spec", "calicoNetwork", "linuxDataplane")) == "BPF"
    return {
        "bpfEnabled": bpf if overrides["bpfEnabled"] is None else overrides["bpfEnabled"].lower() in _TRUE,
        "bpfExternalServiceMode": overrides["bpfExternalServiceMode"] or spec.get("bpfExternalServiceMode"),
        "nftablesMode": (overrides["nftablesMode"] or spec.get("nftablesMode") or "").capitalize() or None,
    }


def node_specific_settings(configurations: Iterable[Object]) -> dict[str, tuple[str, ...]]:
    """The FelixConfigurations of some nodes only that set fields a switch would set, and these fields."""
    found = {}
    for each in configurations:
        spec = each.get("spec") or {}
        name = each["metadata"]["name"]
        some_nodes = name.startswith("node.") or (name != DEFAULT and spec.get("nodeSelector"))
        if some_nodes and (fields := tuple(key for key in SWITCHED if spec.get(key) is not None)):
            found[name] = fields
    return found
