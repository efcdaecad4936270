"""How kube-proxy and calico-node are started: kube-proxy's mode, and the variables that override Felix's. Pure."""

import re
from typing import Final

from steps.cluster.kube.api.fields import read_field
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import KUBE_PROXY
from steps.cluster.kube.plugins.calico.inventory import kube_proxy
from steps.cluster.kube.plugins.calico.inventory.environment import ContainerVariable
from steps.cluster.kube.plugins.calico.inventory.objects import PROXY_CONFIG, SWITCHED, ClusterObjects

_VARIABLES: Final = {name: f"FELIX_{name.upper()}" for name in SWITCHED}
NODE_ARGUMENTS: Final = ("k3s.io/node-args", "rke2.io/node-args")
"""Annotations in which k3s and RKE2 record a node's command line, as a JSON list."""

_MODE_ARGUMENT: Final = re.compile(r"\bproxy-mode[=\s\",]+(\w+)")
_SKIPS_KERNEL_CHECK: Final = "KUBE_PROXY_NFTABLES_SKIP_KERNEL_VERSION_CHECK"


def proxy_mode(objects: ClusterObjects) -> tuple[str | None, str, str | None]:
    """kube-proxy's mode, where it is configured, and the key of ConfigMap kube-proxy by which it is switched."""
    found = objects.proxy_source
    if found.file is not None and found.config_map is None:
        return None, f"file {found.file}, which is in no ConfigMap", None
    if found.config_map is not None:
        mode = _mode(objects.known_config_maps.get(found.config_map), found.key)
        source = f"ConfigMap kube-system/{found.config_map}, key {found.key}"
        eks = objects.config_maps.get(PROXY_CONFIG)
        if mode is None and (key := kube_proxy.config_key(eks)) is not None:
            return _mode(eks, key), f"ConfigMap kube-system/{PROXY_CONFIG}, key {key}", None
        return mode, source, found.key if mode and found.config_map == KUBE_PROXY else None
    if found.known:
        return (found.flag or kube_proxy.DEFAULT_MODE), "its command line", None
    if objects.kube_proxy is None:
        return *_embedded_mode(objects), None
    # an image with its own way of starting kube-proxy: by the ConfigMap of its name, if there is one
    key = kube_proxy.config_key(objects.kube_proxy_config)
    return _mode(objects.kube_proxy_config, key), "ConfigMap kube-system/kube-proxy", key


def _embedded_mode(objects: ClusterObjects) -> tuple[str | None, str]:
    """The mode of a kube-proxy within k3s or RKE2 by a node's arguments, and the annotation that has them."""
    for node in objects.nodes:
        for name in NODE_ARGUMENTS:
            text = (node["metadata"].get("annotations") or {}).get(name)
            modes = _MODE_ARGUMENT.findall(text) if isinstance(text, str) else []
            if modes:
                return modes[-1], f"annotation {name} of node {node['metadata']['name']}"
    return None, "DaemonSet kube-system/kube-proxy, which does not exist"


def skips_kernel_check(daemon_set: Object | None) -> bool:
    """Whether kube-proxy is configured to start in nftables mode on any kernel."""
    containers = read_field(daemon_set, ("spec", "template", "spec", "containers"))
    entries = [
        entry for each in (containers if isinstance(containers, list) else []) for entry in each.get("env") or []
    ]
    return any(entry.get("name") == _SKIPS_KERNEL_CHECK and entry.get("value") for entry in entries)


def overrides(objects: ClusterObjects) -> dict[str, ContainerVariable]:
    """The fields that decide the dataplane and that calico-node's environment sets."""
    variables = objects.agent_environment.variables
    return {name: variables[variable] for name, variable in _VARIABLES.items() if variable in variables}


def _mode(config_map: Object | None, key: str | None) -> str | None:
    value = read_field(config_map, ("data", key)) if key else None
    return kube_proxy.mode(value) if isinstance(value, str) else None
