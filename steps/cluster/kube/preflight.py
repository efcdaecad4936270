"""Every reason why a run can't go on, each with what would mend it. Pure, but for what the caller read."""

from collections.abc import Iterable, Iterator
from typing import Final

from analysis.errors import Problem
from steps import variables
from steps.catalogue.dataplanes import Arm
from steps.cluster.kube import configure, gate, kube_proxy, nodes, state
from steps.cluster.kube.discover import Facts
from steps.cluster.kube.permissions import BENCHMARK, Permission
from steps.cluster.kube.seen import Seen
from steps.cluster.kube.state import Held
from steps.model import Finding
from steps.settings import Settings

CLUSTER: Final = "cluster"
"""The subject of a finding that concerns the whole run."""

_EBPF: Final = ("ebpf", "ebpf-dsr")
_SWITCHED: Final = ("iptables", "nftables", *_EBPF)
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
    "bpfExternalServiceMode": _EBPF,
    "nftablesMode": ("iptables", "nftables"),
}


def findings(facts: Facts, seen: Seen, settings: Settings, asked_nodes: str, accepted: frozenset[str]) -> list[Finding]:
    """What the objects say against a run, or against a part of it.

    Args:
        facts: of the cluster.
        seen: the objects themselves.
        settings: of the run.
        asked_nodes: what a person chose to measure on.
        accepted: what a person takes upon themselves.
    """
    asked = {Arm.parse(arm).name for arm in settings.dataplanes}
    found = [*_nodes(facts, asked_nodes), *_burdened(settings)]
    switched = sorted(asked - {"as-is"})
    if reason := configure.cannot_switch(facts):
        return [*found, *(_skip(name, reason) for name in switched)]
    if switched:
        found += _overridden(facts)
        found += _kernels(facts)
        found += _proxy(facts, asked)
        found += _version(facts, asked)
        found += _neighbours(facts)
        found += _owned(facts, accepted)
        found += _address(seen, facts, asked)
        found += _quiet(facts)
    found += _aws(facts)
    return [finding for finding in found if finding.severity != "skip" or finding.subject in asked]


def missing(denied: Iterable[Permission], namespace: str) -> list[Finding]:
    """A finding for each thing that the cluster doesn't let us do."""
    remedy = "Have an administrator run `make deploy` again."
    return [
        Finding(severity="stop", subject="permissions", reason=_denied(entry, namespace), remedy=remedy)
        for entry in denied
    ]


def _denied(entry: Permission, namespace: str) -> str:
    place = namespace if entry.namespace == BENCHMARK else entry.namespace
    parts = [
        f"may not {entry.verb} {entry.plural}",
        f" in API group {entry.resource.group}" if entry.resource.group else "",
        f" named {', '.join(entry.names)}" if entry.names else "",
        f" in namespace {place}" if place else "",
    ]
    return "".join(parts) + "."


def _nodes(facts: Facts, asked: str) -> Iterator[Finding]:
    try:
        chosen = nodes.choose(facts.nodes, asked)
    except Problem as problem:
        yield _stop(str(problem), None)
        return
    for node in facts.nodes:
        if node.name in chosen and not node.fit:
            yield _stop(
                f"node {node.name} {nodes.why_unfit(node)}.",
                f"Choose others with {variables.NODES}=CLIENT,SERVER.",
            )
        elif node.os == "linux" and node.pressures:
            yield _warn(f"node {node.name} has {', '.join(node.pressures)}.", None)
    client, server = (next(n for n in facts.nodes if n.name == name) for name in chosen)
    unlike = [
        f"{what} ({one} and {other})"
        for what, one, other in (
            ("instance type", client.instance_type, server.instance_type),
            ("zone", client.zone, server.zone),
            ("kernel", client.kernel, server.kernel),
            ("cores", client.cpus, server.cpus),
        )
        if one != other
    ]
    if unlike:
        yield _warn(f"{client.name} and {server.name} differ in {', '.join(unlike)}.", None)


def _burdened(settings: Settings) -> Iterator[Finding]:
    for name in settings.dataplanes:
        arm = Arm.parse(name)
        if arm.burden:
            yield _stop(
                f"{name} asks for rules of our own in front of each packet, which only the lab may have.",
                f"Leave it out, or compare with {arm.name}+twin.",
            )


def _overridden(facts: Facts) -> Iterator[Finding]:
    for field, value in facts.overrides.items():
        variable = f"FELIX_{field.upper()}"
        for name in _OF_FIELD[field]:
            yield _skip(
                name,
                f"calico-node's environment sets {variable}={value}, which beats whatever is patched.",
                f"Type `kubectl -n {facts.calico_namespace} set env daemonset/calico-node {variable}-`.",
            )
    for holder, fields in facts.narrower.items():
        for name in sorted({name for field in fields for name in _OF_FIELD[field]}):
            yield _skip(
                name,
                f"FelixConfiguration {holder} sets {', '.join(fields)} for some nodes, which beats the default's.",
                f"Take the fields out of it: `kubectl edit felixconfiguration {holder}`.",
            )


def _kernels(facts: Facts) -> Iterator[Finding]:
    for names, least in ((_EBPF, _EBPF_KERNEL), (("nftables",), _NFTABLES_KERNEL)):
        for node in facts.linux_nodes:
            if node.kernel_version is None or node.kernel_version < least:
                for name in names:
                    yield _skip(
                        name,
                        f"node {node.name} has kernel {node.kernel or 'unknown'}, and {least[0]}.{least[1]} is needed: "
                        "Felix would silently go on without.",
                        "Upgrade its kernel.",
                    )


def _proxy(facts: Facts, asked: set[str]) -> Iterator[Finding]:
    if facts.kube_proxy is None:
        yield from _without_proxy(facts)
        return
    managed = facts.install == "operator" and facts.bootstraps
    if kube_proxy.stands_still(facts.kube_proxy) and not kube_proxy.is_parked(facts.kube_proxy) and not managed:
        for name in ("iptables", "nftables"):
            yield _skip(name, "kube-proxy is parked in a way that is not ours to undo.", "Unpark it yourself.")
    if facts.kube_proxy_mode == "ipvs":
        yield from _ipvs(asked)
    if facts.kube_proxy_config_key is None:
        yield _skip("nftables", "kube-proxy's configuration is not in ConfigMap kube-system/kube-proxy.")


def _without_proxy(facts: Facts) -> Iterator[Finding]:
    if facts.dataplane in _EBPF:
        for name in ("iptables", "nftables"):
            yield _skip(name, "there is no DaemonSet kube-system/kube-proxy to handle Services without eBPF.")
        return
    yield _skip("nftables", "there is no DaemonSet kube-system/kube-proxy whose mode Calico could follow.")
    for name in _EBPF:
        yield _skip(name, "kube-proxy is no DaemonSet kube-system/kube-proxy here, so it can't be parked beside eBPF.")


def _ipvs(asked: set[str]) -> Iterator[Finding]:
    for name in ("nftables", *_EBPF):
        yield _skip(
            name,
            "kube-proxy is in IPVS mode, from which Calico can't take over.",
            "Set its mode to iptables: `kubectl -n kube-system edit configmap kube-proxy`.",
        )
    if "iptables" in asked:
        yield _warn("kube-proxy is in IPVS mode: what is called iptables here forwards Services by IPVS.", None)


def _version(facts: Facts, asked: set[str]) -> Iterator[Finding]:
    version = facts.version
    if version is None:
        yield _warn("Calico's version is unknown, so its known faults can't be told.", None)
        return
    if not facts.knows_nftables:
        yield _skip(
            "nftables", f"Calico {facts.calico_version} has no nftables dataplane.", "Upgrade to 3.29 or later."
        )
    if any(since <= version < fixed for since, fixed in _LEFT_BEHIND) and asked & {"iptables", "nftables"}:
        for name in _EBPF:
            yield _skip(
                name,
                f"Calico {facts.calico_version} leaves its connect-time load balancer attached when eBPF is switched "
                "off, so that every later visit would be measured with it (projectcalico/calico issue 9620).",
                "Upgrade Calico to 3.28.5, 3.29.5, 3.30.1 or later, or measure eBPF in a run of its own "
                "and reboot the nodes after it.",
            )


def _neighbours(facts: Facts) -> Iterator[Finding]:
    if facts.windows_nodes:
        for name in _EBPF:
            yield _skip(name, f"nodes {', '.join(facts.windows_nodes)} run Windows, beside which Calico has no eBPF.")
    if facts.other_cnis:
        yield _warn(f"{', '.join(facts.other_cnis)} runs beside Calico: who forwards what must be looked at.", None)


def _owned(facts: Facts, accepted: frozenset[str]) -> Iterator[Finding]:
    for name, tool in facts.owners.items():
        text = f"{name} is kept by {tool}, which would put back what is switched."
        if "gitops" in accepted:
            yield _warn(text, None)
        else:
            yield _stop(text, f"Pause its sync for the run, and say so with {variables.ACCEPT}=gitops.")


def _address(seen: Seen, facts: Facts, asked: set[str]) -> Iterator[Finding]:
    if facts.bootstraps or not asked & set(_EBPF):
        return
    if not seen.api_servers:
        for name in _EBPF:
            yield _skip(
                name,
                "the API server's address is unknown, and nodes need it when kube-proxy is parked.",
                "Make ConfigMap kubernetes-services-endpoint as Calico's documentation says.",
            )
    elif len(seen.api_servers) > 1:
        yield _warn(
            "the API server has several addresses, and nodes without kube-proxy would be told only the first.",
            "Make ConfigMap kubernetes-services-endpoint with the address of its load balancer.",
        )


def _quiet(facts: Facts) -> Iterator[Finding]:
    if facts.hushed is None:
        return
    remedy = f"Type `{gate.SPEAK_UP}`."
    if facts.log_level_overridden:
        remedy = f"Type `kubectl -n {facts.calico_namespace} set env daemonset/calico-node FELIX_LOGSEVERITYSCREEN-`."
    for name in _EBPF:
        yield _skip(
            name,
            f"Felix logs at level {facts.hushed}, and whether eBPF returns replies directly is only in its lines of "
            "level Info, so that neither could be proven.",
            remedy,
        )
    yield _warn(f"Felix logs at level {facts.hushed}, so that much of what a switch shows is not in its log.", remedy)


def _aws(facts: Facts) -> Iterator[Finding]:
    on_aws = any((node.provider or "").startswith("aws:") for node in facts.linux_nodes)
    unwrapped = facts.encapsulation is None or "Always" not in facts.encapsulation
    if on_aws and unwrapped and facts.aws_source_check != "Disable":
        yield _warn(
            "AWS drops packets between pods of two nodes in one subnet unless its source/destination check is off, "
            f"and Calico is not told to see to that (encapsulation: {facts.encapsulation or 'none'}).",
            "Type `kubectl patch felixconfiguration default --type merge "
            '-p \'{"spec":{"awsSrcDstCheck":"Disable"}}\'`, or switch the check off for each instance.',
        )


def _stop(reason: str, remedy: str | None) -> Finding:
    return Finding(severity="stop", subject=CLUSTER, reason=reason, remedy=remedy)


def _skip(name: str, reason: str, remedy: str | None = None) -> Finding:
    return Finding(severity="skip", subject=name, reason=reason, remedy=remedy)


def _warn(reason: str, remedy: str | None) -> Finding:
    return Finding(severity="warn", subject=CLUSTER, reason=reason, remedy=remedy)


def held(where: str, holder: Held, *, alive: bool | None) -> Finding:
    """Somebody else holds the cluster. `alive`: whether they are at work, where that can be told."""
    if alive is False:
        return _stop(
            f"{where} is as {holder.owner} left it at {holder.taken_at}: that run was killed before it could restore.",
            f"Type `python -m workflows restore --environment {where}`; a workflow that stops here does it at its end.",
        )
    return _stop(state.taken(where, holder), None)
