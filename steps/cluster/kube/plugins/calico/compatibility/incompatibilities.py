"""Reasons against single dataplanes: Felix's settings, the kernels, kube-proxy, Calico's version. Pure."""

from collections.abc import Iterator
from typing import Final

from steps.cluster.kube.api.nodes import ClusterNode
from steps.cluster.kube.findings import NO_COMMAND, skip, skip_all, warn
from steps.cluster.kube.plugins.calico.compatibility import kernels
from steps.cluster.kube.plugins.calico.dataplanes import Known, further_fields, known, names
from steps.cluster.kube.plugins.calico.implementation import BPF, NFTABLES_MODE, SERVICE_MODE
from steps.cluster.kube.plugins.calico.inventory import kube_proxy
from steps.cluster.kube.plugins.calico.inventory.facts import Facts
from steps.domain import Finding
from steps.settings import environment

EBPF: Final = names(lambda each: each.entry.bpf)
_RULES: Final = names(lambda each: not each.entry.bpf)
_NFTABLES: Final = names(lambda each: each.how.nftables)
_IPTABLES: Final = names(lambda each: not each.entry.bpf and not each.how.nftables)

_LEFT_BEHIND: Final = (
    ((3, 24, 0), (3, 28, 5)),
    ((3, 29, 0), (3, 29, 5)),
    ((3, 30, 0), (3, 30, 1)),
)
"""Calico versions, from and before, that leave the connect-time load balancer attached when eBPF is switched off."""

_OF_FIELD: Final = {
    **{name: names(lambda each, name=name: name in each.how.felix) for name in further_fields()},  # type: ignore[misc]
    BPF: names(),
    SERVICE_MODE: EBPF,
    NFTABLES_MODE: _RULES,
}
"""The dataplanes that are unavailable where a field of FelixConfiguration is overridden."""

_INSTALL: Final = f"{NO_COMMAND} install kube-proxy as that DaemonSet, or leave it out."
_PROXY_CONFIG: Final = "ConfigMap kube-system/kube-proxy"
_UNPARK: Final = "Remove that selector: `kubectl -n kube-system edit daemonset kube-proxy`."


def incompatibilities(facts: Facts, requested: set[str], accepted: frozenset[str] = frozenset()) -> Iterator[Finding]:
    """The reasons against any dataplane of the catalogue, requested or not.

    `accepted`: the risks that the user accepts.
    """
    yield from _overridden(facts)
    if environment.UNREAD not in accepted:
        yield from _unread(facts)
    yield from _kernels(facts, requested)
    yield from _proxy(facts, requested)
    yield from _version(facts, requested)


def _overridden(facts: Facts) -> Iterator[Finding]:
    for field, found in facts.overrides.items():
        variable, origin = f"FELIX_{field.upper()}", found.origin
        value = "an unknown value" if found.value is None else found.value
        source = f"sets {variable}={value}" if origin is None else f"takes {variable} from {origin} ({value})"
        yield from skip_all(
            _OF_FIELD[field],
            f"calico-node's environment {source}, which takes precedence over FelixConfiguration.",
            f"Type `kubectl -n {facts.calico_namespace} set env daemonset/{facts.agent} {variable}-`."
            if origin is None or not origin.startswith("ConfigMap ")
            else f"Remove {variable} from it: `kubectl -n {facts.calico_namespace} edit {origin.lower()}`, and "
            f"`kubectl -n {facts.calico_namespace} rollout restart daemonset/{facts.agent}`.",
        )
    for configuration, fields in facts.narrower.items():
        yield from skip_all(
            sorted({name for field in fields for name in _OF_FIELD[field]}),
            f"FelixConfiguration {configuration} sets {', '.join(fields)} for some nodes, which takes precedence over "
            "the default's.",
            f"Remove the fields from it: `kubectl edit felixconfiguration {configuration}`.",
        )


def reason_against(facts: Facts, name: str) -> Finding | None:
    """The first reason why switching to a dataplane would have no effect or do harm; None: there is none."""
    certain = [
        *_overridden(facts),
        *_kernels(facts, set()),
        *(_ipvs(facts) if facts.kube_proxy_mode == "ipvs" else ()),
        *_kept_off(facts),
        *_half_by_hand(facts),
    ]
    return next((found for found in certain if found.severity == "skip" and found.subject == name), None)


def _unread(facts: Facts) -> Iterator[Finding]:
    for source in facts.unread_environment:
        yield from skip_all(
            names(),
            f"calico-node takes variables from {source}, which these credentials may not read: a FELIX_BPFENABLED in "
            "it would take precedence over FelixConfiguration.",
            f"Check them: `kubectl -n {facts.calico_namespace} get {source.lower()} -o yaml`. If none is called "
            f"FELIX_BPFENABLED, FELIX_BPFEXTERNALSERVICEMODE or FELIX_NFTABLESMODE, set "
            f"`{environment.ACCEPT}={environment.UNREAD}`.",
        )


def _kernels(facts: Facts, requested: set[str]) -> Iterator[Finding]:
    for node in facts.linux_nodes:
        for each in known():
            yield from _kernel(facts, requested, node, each)
        here = f"node {node.name} has kernel {node.kernel or 'unknown'}"
        bpf = next((each.entry for each in known() if each.entry.bpf and each.name in requested), None)
        least = kernels.least(bpf, node.kernel, node.os_image) if bpf is not None else None
        too_old = least is not None and not kernels.is_at_least(node.kernel, least)
        if bpf is not None and not too_old and not kernels.is_at_least(node.kernel, kernels.DOCUMENTED_FOR_BPF):
            reason = f"{here}; Calico documents {kernels.DOCUMENTED_FOR_BPF} as the oldest for eBPF"
            yield warn(f"{reason}, and Felix runs it from {least} on.", f"{NO_COMMAND} upgrade its kernel.")


def _kernel(facts: Facts, requested: set[str], node: ClusterNode, each: Known) -> Iterator[Finding]:
    """The reason against a dataplane in a node's kernel."""
    least, remedy = kernels.least(each.entry, node.kernel, node.os_image), f"{NO_COMMAND} upgrade its kernel."
    if least is None or kernels.is_at_least(node.kernel, least):
        return
    reason = f"node {node.name} has kernel {node.kernel or 'unknown'}, and"
    if each.entry.bpf:
        yield skip(
            each.name,
            f"{reason} Felix needs {least} for it: below, Felix runs without eBPF and reports no error.",
            remedy,
        )
    elif not each.how.nftables:
        yield skip(each.name, f"{reason} {least} is needed.", remedy)
    elif not facts.kube_proxy_skips_kernel_check:
        text = f"{reason} {least} is needed: kube-proxy does not start in nftables mode below."
        yield skip(each.name, text, remedy)
    elif each.name in requested:
        text = f"{reason} Calico documents {least} as the oldest for nftables"
        yield warn(f"{text}; kube-proxy is configured to skip its kernel check.", remedy)


def _proxy(facts: Facts, requested: set[str]) -> Iterator[Finding]:
    if facts.kube_proxy_mode == "ipvs":
        yield from _ipvs(facts)
    if facts.kube_proxy_mode is None and requested & {*_IPTABLES, *EBPF} and facts.dataplane not in EBPF:
        yield warn(
            f"kube-proxy's mode was not found in {facts.kube_proxy_source}. In IPVS mode no switch can be proven.",
            None,
        )
    yield from _half_by_hand(facts)
    if facts.kube_proxy is None:
        yield from _without_proxy(facts)
        return
    yield from _kept_off(facts)
    if facts.kube_proxy_config_key is None:
        reason = f"kube-proxy takes its mode from {facts.kube_proxy_source}, not from {_PROXY_CONFIG}."
        if f"{facts.kube_proxy_source},".startswith(f"{_PROXY_CONFIG},"):
            reason = f"{facts.kube_proxy_source} contains no configuration of kube-proxy."
        yield from skip_all(_NFTABLES, reason, f"{NO_COMMAND} its mode is switched by that ConfigMap.")


def _kept_off(facts: Facts) -> Iterator[Finding]:
    """Without eBPF nothing would serve Services where kube-proxy does not come back."""
    key = kube_proxy.OPERATORS_KEY if facts.install == "operator" and facts.bootstraps else kube_proxy.PARKING_KEY
    nodes = [node.labels for node in facts.nodes]
    if facts.kube_proxy is not None and kube_proxy.stays_off(facts.kube_proxy, key, nodes):
        yield from skip_all(_RULES, f"a node selector other than {key} keeps kube-proxy off every node.", _UNPARK)


def _half_by_hand(facts: Facts) -> Iterator[Finding]:
    """The operator is degraded where it bootstraps without eBPF, or beside a ConfigMap of the API server's address."""
    if facts.install == "operator" and facts.bootstrap == "Enabled" and not facts.bootstraps:
        yield from skip_all(
            names(),
            "the Installation's bpfNetworkBootstrap is Enabled, while its kubeProxyManagement is not, or the operator "
            "refuses kube-proxy's DaemonSet as another's: half by hand, eBPF can't be switched.",
            "Set kubeProxyManagement to Enabled too, or neither: `kubectl edit installation default`.",
        )


def _without_proxy(facts: Facts) -> Iterator[Finding]:
    if facts.dataplane in EBPF:
        reason = "there is no DaemonSet kube-system/kube-proxy to handle Services without eBPF."
        yield from skip_all(_RULES, reason, _INSTALL)
        return
    reason = "there is no DaemonSet kube-system/kube-proxy whose mode Calico could follow."
    yield from skip_all(_NFTABLES, reason, _INSTALL)
    reason = "kube-proxy does not run as DaemonSet kube-system/kube-proxy, so it can't be parked for eBPF."
    yield from skip_all(EBPF, reason, _INSTALL)


def _ipvs(facts: Facts) -> Iterator[Finding]:
    reason = f"kube-proxy is in IPVS mode (by {facts.kube_proxy_source})"
    source = facts.kube_proxy_source.partition(",")[0]
    place = "daemonset kube-proxy" if not source.startswith("ConfigMap ") else f"configmap {source.rpartition('/')[2]}"
    remedy = (
        f"Set its mode to iptables: `kubectl -n kube-system edit {place}`, and "
        "`kubectl -n kube-system rollout restart daemonset kube-proxy`."
    )
    if source.startswith("annotation "):
        remedy = (
            "Set its mode to iptables: remove proxy-mode=ipvs from kube-proxy-arg in the configuration of k3s or RKE2 "
            "on each node, and restart k3s or RKE2 there."
        )
    taken_over = (*_NFTABLES, *(EBPF if facts.ipvs else ()))  # a parked kube-proxy leaves nothing to take over
    yield from skip_all(taken_over, f"{reason}, from which Calico can't take over.", remedy)
    for name in _IPTABLES:
        yield skip(
            name,
            f"{reason}, so Services are forwarded by IPVS: neither {name} nor any other dataplane can be proven.",
            f"{remedy} Or measure it as it is (as-is).",
        )


def _version(facts: Facts, requested: set[str]) -> Iterator[Finding]:
    version = facts.version
    if version is None:
        yield warn("Calico's version is unknown, so its known faults are not checked.", None)
        return
    if not facts.knows_nftables:
        reason = f"Calico {facts.calico_version} has no nftables dataplane."
        yield from skip_all(_NFTABLES, reason, f"{NO_COMMAND} upgrade Calico to 3.29 or later.")
    if any(since <= version < fixed for since, fixed in _LEFT_BEHIND) and requested & set(_RULES):
        yield from skip_all(
            EBPF,
            f"Calico {facts.calico_version} leaves its connect-time load balancer attached when eBPF is switched off, "
            "so every later visit would be measured with it (projectcalico/calico issue 9620).",
            f"{NO_COMMAND} upgrade Calico to 3.28.5, 3.29.5, 3.30.1 or later, or measure eBPF in a run of its own and "
            "reboot the nodes after it.",
        )
