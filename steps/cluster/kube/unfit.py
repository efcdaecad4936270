"""What Felix, the kernels, kube-proxy and Calico's version say against single dataplanes. Pure."""

from collections.abc import Iterator
from typing import Final

from steps.cluster.kube import kube_proxy
from steps.cluster.kube.discover import Facts
from steps.cluster.kube.finding import NO_COMMAND, skip, warn
from steps.model import Finding

EBPF: Final = ("ebpf", "ebpf-dsr")
_SWITCHED: Final = ("iptables", "nftables", *EBPF)
_EBPF_KERNEL: Final = (5, 10)
_NFTABLES_KERNEL: Final = (5, 13)

_LEFT_BEHIND: Final = (
    ((3, 24, 0), (3, 28, 5)),
    ((3, 29, 0), (3, 29, 5)),
    ((3, 30, 0), (3, 30, 1)),
)
"""From, and before: versions that leave the connect-time load balancer attached when eBPF is switched off."""

_OF_FIELD: Final = {
    "bpfEnabled": _SWITCHED,
    "bpfExternalServiceMode": EBPF,
    "nftablesMode": ("iptables", "nftables"),
}

_INSTALL: Final = f"{NO_COMMAND} install kube-proxy as that DaemonSet, or leave it out."
_UNPARK: Final = "Take out what keeps it off every node: `kubectl -n kube-system edit daemonset kube-proxy`."


def against(facts: Facts, asked: set[str]) -> Iterator[Finding]:
    """Whatever speaks against one of the dataplanes, asked for or not; `asked`: those that are."""
    yield from _overridden(facts)
    yield from _kernels(facts)
    yield from _proxy(facts, asked)
    yield from _version(facts, asked)


def _overridden(facts: Facts) -> Iterator[Finding]:
    for field, value in facts.overrides.items():
        variable = f"FELIX_{field.upper()}"
        for name in _OF_FIELD[field]:
            yield skip(
                name,
                f"calico-node's environment sets {variable}={value}, which beats whatever is patched.",
                f"Type `kubectl -n {facts.calico_namespace} set env daemonset/calico-node {variable}-`.",
            )
    for holder, fields in facts.narrower.items():
        for name in sorted({name for field in fields for name in _OF_FIELD[field]}):
            yield skip(
                name,
                f"FelixConfiguration {holder} sets {', '.join(fields)} for some nodes, which beats the default's.",
                f"Take the fields out of it: `kubectl edit felixconfiguration {holder}`.",
            )


def _kernels(facts: Facts) -> Iterator[Finding]:
    for names, least in ((EBPF, _EBPF_KERNEL), (("nftables",), _NFTABLES_KERNEL)):
        for node in facts.linux_nodes:
            if node.kernel_version is None or node.kernel_version < least:
                for name in names:
                    yield skip(
                        name,
                        f"node {node.name} has kernel {node.kernel or 'unknown'}, and {least[0]}.{least[1]} is needed: "
                        "Felix would silently go on without.",
                        f"{NO_COMMAND} upgrade its kernel.",
                    )


def _proxy(facts: Facts, asked: set[str]) -> Iterator[Finding]:
    if facts.kube_proxy is None:
        yield from _without_proxy(facts)
        return
    managed = facts.install == "operator" and facts.bootstraps
    if kube_proxy.stands_still(facts.kube_proxy) and not kube_proxy.is_parked(facts.kube_proxy) and not managed:
        for name in ("iptables", "nftables"):
            yield skip(name, "kube-proxy is parked in a way that is not ours to undo.", _UNPARK)
    if facts.kube_proxy_mode == "ipvs":
        yield from _ipvs(asked)
    if facts.kube_proxy_config_key is None:
        reason = "kube-proxy's configuration is not in ConfigMap kube-system/kube-proxy."
        yield skip("nftables", reason, f"{NO_COMMAND} its mode is switched by that ConfigMap.")


def _without_proxy(facts: Facts) -> Iterator[Finding]:
    if facts.dataplane in EBPF:
        for name in ("iptables", "nftables"):
            yield skip(name, "there is no DaemonSet kube-system/kube-proxy to handle Services without eBPF.", _INSTALL)
        return
    yield skip("nftables", "there is no DaemonSet kube-system/kube-proxy whose mode Calico could follow.", _INSTALL)
    for name in EBPF:
        reason = "kube-proxy is no DaemonSet kube-system/kube-proxy here, so it can't be parked beside eBPF."
        yield skip(name, reason, _INSTALL)


def _ipvs(asked: set[str]) -> Iterator[Finding]:
    for name in ("nftables", *EBPF):
        yield skip(
            name,
            "kube-proxy is in IPVS mode, from which Calico can't take over.",
            "Set its mode to iptables: `kubectl -n kube-system edit configmap kube-proxy`.",
        )
    if "iptables" in asked:
        yield warn("kube-proxy is in IPVS mode: what is called iptables here forwards Services by IPVS.", None)


def _version(facts: Facts, asked: set[str]) -> Iterator[Finding]:
    version = facts.version
    if version is None:
        yield warn("Calico's version is unknown, so its known faults can't be told.", None)
        return
    if not facts.knows_nftables:
        yield skip(
            "nftables",
            f"Calico {facts.calico_version} has no nftables dataplane.",
            f"{NO_COMMAND} upgrade Calico to 3.29 or later.",
        )
    if any(since <= version < fixed for since, fixed in _LEFT_BEHIND) and asked & {"iptables", "nftables"}:
        for name in EBPF:
            yield skip(
                name,
                f"Calico {facts.calico_version} leaves its connect-time load balancer attached when eBPF is switched "
                "off, so that every later visit would be measured with it (projectcalico/calico issue 9620).",
                f"{NO_COMMAND} upgrade Calico to 3.28.5, 3.29.5, 3.30.1 or later, or measure eBPF in a run of its own "
                "and reboot the nodes after it.",
            )
