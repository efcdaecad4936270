"""Every reason why a run can't go on, each with what would mend it. Pure, but for what the caller read."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from analysis.errors import Problem, Unsupported
from steps.catalogue.dataplanes import BY_NAME, Arm
from steps.catalogue.options import Settings
from steps.cluster.kube.api import nodes
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.calico import compatibility, desired_state, readiness, switch
from steps.cluster.kube.calico.dataplanes import known, refusal
from steps.cluster.kube.calico.dry_run import refusals
from steps.cluster.kube.calico.facts import Facts
from steps.cluster.kube.calico.objects import ClusterObjects
from steps.cluster.kube.calico.switch import ClusterState
from steps.cluster.kube.findings import NO_COMMAND, skip, stop, warn
from steps.domain import Finding
from steps.settings import environment

Object = dict[str, Any]
_UNKNOWN: Final = f"{NO_COMMAND} leave it out, or see the README's `Add a dataplane`."
_EBPF_IPV6_SINCE: Final = (3, 27, 0)


def findings(
    facts: Facts, objects: ClusterObjects, settings: Settings, asked_nodes: str, accepted: frozenset[str]
) -> list[Finding]:
    """What the objects say against a run, or against a part of it.

    Args:
        facts: of the cluster.
        objects: the objects themselves.
        settings: of the run.
        asked_nodes: what a person chose to measure on.
        accepted: what a person takes upon themselves.
    """
    asked = {Arm.parse(arm).name for arm in settings.dataplanes}
    found = [*_nodes(facts, asked_nodes), *_burdened(settings)]
    switched = sorted(name for name in asked if BY_NAME[name].is_switched)
    if reason := switch.cannot_switch(facts):
        remedy = f"{NO_COMMAND} name `as-is` as the dataplane."
        return [*found, *(skip(name, reason, remedy) for name in switched)]
    found += [skip(name, why, _UNKNOWN) for name in switched if (why := refusal(name, known())) is not None]
    if switched:
        found += compatibility.incompatibilities(facts, asked, accepted)
        found += _neighbours(facts)
        found += _owned(facts, accepted)
        found += _address(objects, facts, asked)
        found += _ipv6(facts)
        found += _quiet(facts)
    found += _aws(facts)
    return [finding for finding in found if finding.severity != "skip" or finding.subject in asked]


def rehearsed(client: Client, standing: ClusterState, asked: Iterable[str], original: Object | None) -> list[Finding]:
    """A finding for each asked dataplane and each reason why switching to it would fail; the cluster tries every write.

    Args:
        client: of the cluster.
        standing: how it stands.
        asked: arms.
        original: the snapshot from before the run, if there is one.

    Raises:
        TransientError: the API can't be reached.
    """
    found = []
    pods = standing.seen.kube_proxy_pods
    for name in sorted(name for name in {Arm.parse(arm).name for arm in asked} if BY_NAME[name].is_switched):
        try:
            todo = switch.plan_switch(standing, name, original)
        except Unsupported:
            continue  # which the facts say by themselves
        except Problem as problem:
            found.append(skip(name, str(problem), f"{NO_COMMAND} leave it out otherwise."))
            continue
        found += [skip(name, f"{why}.", remedy) for why, remedy in refusals(client, standing.facts, pods, todo)]
    return found


def _nodes(facts: Facts, asked: str) -> Iterator[Finding]:
    try:
        chosen = nodes.choose_nodes(facts.nodes, asked)
    except Problem as problem:
        yield stop(
            str(problem), f"Look at `kubectl get nodes -o wide`, and name two with {environment.NODES}=CLIENT,SERVER."
        )
        return
    for node in facts.nodes:
        if node.name in chosen and not node.fit:
            yield stop(
                f"node {node.name} {nodes.why_unfit(node)}.",
                f"Choose others with `{environment.NODES}=CLIENT,SERVER`.",
            )
        elif node.os == "linux" and node.pressures:
            yield warn(f"node {node.name} has {', '.join(node.pressures)}.", None)
    client, server = (next(n for n in facts.nodes if n.name == name) for name in chosen)
    unlike = [
        f"{what} ({one} and {other})"
        for what, one, other in (
            ("architecture", client.arch, server.arch),
            ("instance type", client.instance_type, server.instance_type),
            ("zone", client.zone, server.zone),
            ("kernel", client.kernel, server.kernel),
            ("cores", client.cpus, server.cpus),
        )
        if one != other
    ]
    if unlike:
        yield warn(f"{client.name} and {server.name} differ in {', '.join(unlike)}.", None)


def _burdened(settings: Settings) -> Iterator[Finding]:
    for name in settings.dataplanes:
        arm = Arm.parse(name)
        if arm.burden:
            yield stop(
                f"{name} asks for rules of our own in front of each packet, which only the lab may have.",
                f"Leave it out, or compare with `{arm.name}+twin`.",
            )


def _neighbours(facts: Facts) -> Iterator[Finding]:
    if facts.windows_nodes:
        for name in compatibility.EBPF:
            reason = f"nodes {', '.join(facts.windows_nodes)} run Windows, beside which Calico has no eBPF."
            yield skip(name, reason, f"{NO_COMMAND} leave it out, or take a cluster without Windows.")
    if facts.policy_only:
        network = ", ".join(facts.other_cnis) or "something else"
        yield warn(
            f"Calico enforces policy here and gives pods neither addresses nor routes, which {network} does: what is "
            "measured from pod to pod is both together.",
            None,
        )
    elif facts.other_cnis:
        yield warn(f"{', '.join(facts.other_cnis)} runs beside Calico: who forwards what must be looked at.", None)


def _ipv6(facts: Facts) -> Iterator[Finding]:
    if facts.ipv6_only and facts.version is not None and facts.version < _EBPF_IPV6_SINCE:
        for name in compatibility.EBPF:
            yield skip(
                name,
                f"the nodes have IPv6 addresses alone, and eBPF in Calico {facts.calico_version} carries no IPv6.",
                f"{NO_COMMAND} upgrade Calico to 3.27, or to 3.28, where it is no preview any more.",
            )


def _owned(facts: Facts, accepted: frozenset[str]) -> Iterator[Finding]:
    for name, keeper in facts.owners.items():
        if not keeper.reverts:
            text = f"{name} is kept by {keeper.name}, which would put back what is switched if it acts during the run."
            yield warn(text, "See to it that it does not.")
            continue
        text = f"{name} is kept by {keeper.name}, which would put back what is switched."
        if "gitops" in accepted:
            yield warn(text, None)
        else:
            yield stop(text, f"Pause its sync for the run, and say so with `{environment.ACCEPT}=gitops`.")


def _address(objects: ClusterObjects, facts: Facts, asked: set[str]) -> Iterator[Finding]:
    if facts.bootstraps or not asked & set(compatibility.EBPF):
        return
    ref = desired_state.endpoint(facts).ref
    configured = (objects.services_endpoints.get(ref.namespace or "") or {}).get("data") or {}
    if objects.services_endpoints.get(ref.namespace or "") and not (
        configured.get("KUBERNETES_SERVICE_HOST") and configured.get("KUBERNETES_SERVICE_PORT")
    ):
        yield warn(
            f"{ref} lacks KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT: a node that starts without "
            "kube-proxy would not find the API server.",
            f"Put the API server's address into it: `kubectl -n {ref.namespace} edit configmap {ref.name}`.",
        )
    if not objects.api_servers:
        for name in compatibility.EBPF:
            yield skip(
                name,
                "the API server's address is unknown, and nodes need it when kube-proxy is parked.",
                "Type `kubectl -n kube-system create configmap kubernetes-services-endpoint "
                "--from-literal=KUBERNETES_SERVICE_HOST=ADDRESS --from-literal=KUBERNETES_SERVICE_PORT=PORT`.",
            )
    elif len(objects.api_servers) > 1:
        yield warn(
            "the API server has several addresses, and nodes without kube-proxy would be told only the first.",
            "Make ConfigMap kubernetes-services-endpoint with the address of its load balancer.",
        )


def _quiet(facts: Facts) -> Iterator[Finding]:
    if facts.silenced is None:
        return
    remedy = f"Type `{readiness.SPEAK_UP}`."
    if facts.log_level_overridden:
        remedy = f"Type `kubectl -n {facts.calico_namespace} set env daemonset/{facts.agent} FELIX_LOGSEVERITYSCREEN-`."
    for name in compatibility.EBPF:
        yield skip(
            name,
            f"Felix logs at level {facts.silenced}, and whether eBPF returns replies directly is only in its lines of "
            "level Info, so that neither could be proven.",
            remedy,
        )
    yield warn(f"Felix logs at level {facts.silenced}, so that much of what a switch shows is not in its log.", remedy)


def _aws(facts: Facts) -> Iterator[Finding]:
    on_aws = any((node.provider or "").startswith("aws:") for node in facts.linux_nodes)
    unwrapped = facts.encapsulation is None or "Always" not in facts.encapsulation
    if on_aws and unwrapped and not facts.policy_only and facts.aws_source_check != "Disable":
        yield warn(
            "AWS drops packets between pods of two nodes in one subnet unless its source/destination check is off, "
            f"and Calico is not told to see to that (encapsulation: {facts.encapsulation or 'none'}).",
            "Type `kubectl patch felixconfiguration default --type merge "
            '-p \'{"spec":{"awsSrcDstCheck":"Disable"}}\'`, or switch the check off for each instance.',
        )
