"""The reasons why a run, or one of its dataplanes, is impossible, each with a remedy."""

from collections.abc import Iterable, Iterator
from typing import Final

from analysis.errors import Problem, Unsupported
from steps.catalogue.dataplanes import BY_NAME, Arm
from steps.catalogue.options import Settings
from steps.cluster.kube.api import nodes
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.findings import NO_COMMAND, skip, skip_all, stop, warn
from steps.cluster.kube.plugins.calico.compatibility.incompatibilities import EBPF, incompatibilities
from steps.cluster.kube.plugins.calico.dataplanes import known, refusal
from steps.cluster.kube.plugins.calico.inventory.facts import Facts
from steps.cluster.kube.plugins.calico.inventory.objects import ClusterObjects
from steps.cluster.kube.plugins.calico.inventory.reconcilers import owners
from steps.cluster.kube.plugins.calico.proof import readiness
from steps.cluster.kube.plugins.calico.switching import fields, switch
from steps.cluster.kube.plugins.calico.switching.cluster_state import ClusterState
from steps.cluster.kube.plugins.calico.switching.dry_run import refusals
from steps.domain import Finding
from steps.settings import environment, operator_cost

_UNKNOWN: Final = f"{NO_COMMAND} leave it out, or see the README's `Add a dataplane`."
_EBPF_IPV6_SINCE: Final = (3, 27, 0)


def findings(standing: ClusterState, settings: Settings, asked_nodes: str, accepted: frozenset[str]) -> list[Finding]:
    """The reasons against a run, or against a part of it.

    `asked_nodes`: the two that the user chose. `accepted`: the risks that the user accepts.
    """
    facts, objects = standing.facts, standing.inventory
    requested = {Arm.parse(arm).name for arm in settings.dataplanes}
    found = [*_nodes(facts, asked_nodes), *_burdened(settings)]
    switched = sorted(name for name in requested if BY_NAME[name].is_switched)
    if reason := switch.cannot_switch(facts):
        remedy = f"{NO_COMMAND} name `as-is` as the dataplane."
        return [*found, *skip_all(switched, reason, remedy)]
    found += [skip(name, why, _UNKNOWN) for name in switched if (why := refusal(name, known())) is not None]
    if unknown := fields.unknown_value(standing.current):
        found += skip_all(switched, f"{unknown[0]}.", unknown[1])
    if switched:
        found += incompatibilities(facts, requested, accepted)
        found += _other_networks(facts)
        found += _owned(objects, accepted)
        found += _address(objects, facts, requested)
        found += _ipv6(facts)
        found += _log_level(facts)
        if facts.install == "operator" and (sentence := operator_cost.sentence(settings)) is not None:
            found.append(warn(sentence, None))
    found += _aws(facts)
    return [finding for finding in found if finding.severity != "skip" or finding.subject in requested]


def rehearsed(
    client: Client, standing: ClusterState, requested: Iterable[str], original: Object | None
) -> list[Finding]:
    """The reasons why switching to each requested dataplane would fail, by a dry run of every write.

    `original`: the snapshot from before the run, if there is one.

    Raises:
        TransientError: the API can't be reached.
    """
    found = []
    pods = standing.inventory.kube_proxy_pods
    for name in sorted(name for name in {Arm.parse(arm).name for arm in requested} if BY_NAME[name].is_switched):
        try:
            todo = switch.plan_switch(standing, name, original)
        except Unsupported:
            continue  # reported by `findings`
        except Problem as problem:
            found.append(skip(name, str(problem), f"{NO_COMMAND} leave it out otherwise."))
            continue
        found += [skip(name, f"{why}.", remedy) for why, remedy in refusals(client, standing.facts, pods, todo)]
    return found


def _nodes(facts: Facts, asked_nodes: str) -> Iterator[Finding]:
    try:
        chosen = nodes.choose_nodes(facts.nodes, asked_nodes)
    except Problem as problem:
        yield stop(
            str(problem), f"Check `kubectl get nodes -o wide`, and choose two with {environment.NODES}=CLIENT,SERVER."
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
    differences = [
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
    if differences:
        yield warn(f"{client.name} and {server.name} differ in {', '.join(differences)}.", None)


def _burdened(settings: Settings) -> Iterator[Finding]:
    for name in settings.dataplanes:
        arm = Arm.parse(name)
        if arm.burden:
            yield stop(
                f"{name} adds rules in front of each packet, which is only allowed in the lab.",
                f"Leave it out, or compare with `{arm.name}+twin`.",
            )


def _other_networks(facts: Facts) -> Iterator[Finding]:
    if facts.windows_nodes:
        reason = f"nodes {', '.join(facts.windows_nodes)} run Windows, beside which Calico has no eBPF."
        yield from skip_all(EBPF, reason, f"{NO_COMMAND} leave it out, or take a cluster without Windows.")
    if facts.policy_only:
        network = ", ".join(facts.other_cnis) or "something else"
        yield warn(
            f"Calico enforces policy here and gives pods neither addresses nor routes, which {network} does: the "
            "pod-to-pod results are those of both together.",
            None,
        )
    elif facts.other_cnis:
        yield warn(f"{', '.join(facts.other_cnis)} runs beside Calico: check which of them forwards what.", None)


def _ipv6(facts: Facts) -> Iterator[Finding]:
    if facts.ipv6_only and facts.version is not None and facts.version < _EBPF_IPV6_SINCE:
        yield from skip_all(
            EBPF,
            f"the nodes have IPv6 addresses alone, and eBPF in Calico {facts.calico_version} carries no IPv6.",
            f"{NO_COMMAND} upgrade Calico to 3.27, or to 3.28, where it is no preview.",
        )


def _owned(objects: ClusterObjects, accepted: frozenset[str]) -> Iterator[Finding]:
    for name, reconciler in owners(objects).items():
        if not reconciler.reverts:
            text = f"{name} is maintained by {reconciler.name}, which would undo the switch if it runs meanwhile."
            yield warn(text, "Make sure that it does not run during the benchmark.")
            continue
        text = f"{name} is maintained by {reconciler.name}, which would undo the switch."
        if environment.GITOPS in accepted:
            yield warn(text, None)
        else:
            yield stop(text, f"Pause its sync for the run, and set `{environment.ACCEPT}={environment.GITOPS}`.")


def _address(objects: ClusterObjects, facts: Facts, requested: set[str]) -> Iterator[Finding]:
    if facts.bootstraps or not requested & set(EBPF):
        return
    ref = fields.endpoint(facts.install).ref
    existing = objects.services_endpoints.get(ref.namespace or "")
    configured = (existing or {}).get("data") or {}
    if existing and not (configured.get("KUBERNETES_SERVICE_HOST") and configured.get("KUBERNETES_SERVICE_PORT")):
        yield warn(
            f"{ref} lacks KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT: a node that starts without "
            "kube-proxy would not find the API server.",
            f"Put the API server's address into it: `kubectl -n {ref.namespace} edit configmap {ref.name}`.",
        )
    if not objects.api_servers:
        yield from skip_all(
            EBPF,
            "the API server's address is unknown, and nodes need it while kube-proxy is parked.",
            "Type `kubectl -n kube-system create configmap kubernetes-services-endpoint "
            "--from-literal=KUBERNETES_SERVICE_HOST=ADDRESS --from-literal=KUBERNETES_SERVICE_PORT=PORT`.",
        )
    elif len(objects.api_servers) > 1:
        yield warn(
            "the API server has several addresses, and nodes without kube-proxy would use only the first.",
            "Create ConfigMap kubernetes-services-endpoint with the address of its load balancer.",
        )


def _log_level(facts: Facts) -> Iterator[Finding]:
    if facts.silenced is None:
        return
    remedy = f"Type `{readiness.SPEAK_UP}`."
    if facts.log_level_overridden:
        remedy = f"Type `kubectl -n {facts.calico_namespace} set env daemonset/{facts.agent} FELIX_LOGSEVERITYSCREEN-`."
    yield from skip_all(
        EBPF,
        f"Felix logs at level {facts.silenced}, and only its lines of level Info show whether eBPF returns replies "
        "directly, so neither could be proven.",
        remedy,
    )
    yield warn(f"Felix logs at level {facts.silenced}, so many signs of a switch are missing in its log.", remedy)


def _aws(facts: Facts) -> Iterator[Finding]:
    on_aws = any((node.provider or "").startswith("aws:") for node in facts.linux_nodes)
    unwrapped = facts.encapsulation is None or "Always" not in facts.encapsulation
    if on_aws and unwrapped and not facts.policy_only and facts.aws_source_check != "Disable":
        yield warn(
            "AWS drops packets between pods of two nodes in one subnet unless its source/destination check is off, "
            f"and Calico is not configured to switch it off (encapsulation: {facts.encapsulation or 'none'}).",
            "Type `kubectl patch felixconfiguration default --type merge "
            '-p \'{"spec":{"awsSrcDstCheck":"Disable"}}\'`, or switch the check off for each instance.',
        )
