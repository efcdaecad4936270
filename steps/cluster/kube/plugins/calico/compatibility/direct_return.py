"""Whether Felix excludes the benchmark's client from direct server return. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_network
from typing import Final

from steps.catalogue.dataplanes import BY_NAME, Arm
from steps.catalogue.options import Settings
from steps.catalogue.topologies import BY_NAME as TOPOLOGIES
from steps.cluster.kube.api.nodes import ClusterNode
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import DEFAULT
from steps.cluster.kube.plugins.calico.inventory.objects import ClusterObjects
from steps.domain import Finding

_FIELD: Final = "bpfDSROptoutCIDRs"
_VARIABLE: Final = "FELIX_BPFDSROPTOUTCIDRS"
_ENVIRONMENT: Final = "calico-node's environment"
"""The source that takes precedence over every FelixConfiguration."""

_OF_NODE: Final = "node."


def findings(objects: ClusterObjects, client: ClusterNode, entry: str, settings: Settings) -> Iterator[Finding]:
    """What Felix's opt-outs from direct server return mean for an outside client.

    Where only NodePorts are measured, the dataplane is left out; else its other paths can still be measured.

    `client`: the outside client's node. `entry`: the node whose NodePort it connects to.
    """
    excluded = opt_outs(objects.felix, objects.agent_environment.get(_VARIABLE))
    if not excluded:
        return
    from_outside = {cell.topology for cell in settings.cells if TOPOLOGIES[cell.topology].through_node}
    requested = dict.fromkeys(BY_NAME[Arm.parse(arm).name] for arm in settings.dataplanes)
    direct = [entry.name for entry in requested if entry.direct_return]
    if not from_outside or not direct:
        return
    addresses = client.addresses or ((client.address,) if client.address else ())
    only = from_outside == {cell.topology for cell in settings.cells}
    for name, cidrs in excluded.items():
        if name.startswith(_OF_NODE) and name != _OF_NODE + entry:
            continue
        covered = {address: cidr for address in addresses if (cidr := _covering(address, cidrs)) is not None}
        if not covered:
            continue
        what = name if name == _ENVIRONMENT else f"FelixConfiguration {name}"
        everywhere = name in {_ENVIRONMENT, DEFAULT, _OF_NODE + entry}
        whole = everywhere and len(covered) == len(addresses)
        listed = " and ".join(f"{address} (by {cidr})" for address, cidr in covered.items())
        some = "" if everywhere else ", on the nodes that it selects"
        which = listed if whole or not everywhere else f"{listed}, one of its {len(addresses)} addresses"
        for dataplane in direct:
            yield Finding(
                severity="skip" if whole and only else "warn",
                subject=dataplane,
                reason=f"{what} excludes the outside client, {client.name}, from direct server return{some}: {which}. "
                "Its replies return through the NodePort's node, and trials that measure so fail.",
                remedy=_remedy(name),
            )


def opt_outs(configurations: Iterable[Object], variable: str | None) -> dict[str, tuple[str, ...]]:
    """The CIDRs whose clients get no direct return, by source: a FelixConfiguration, or the environment alone."""
    if variable is not None:
        cidrs = tuple(cidr.strip() for cidr in variable.split(",") if cidr.strip())
        return {_ENVIRONMENT: cidrs} if cidrs else {}
    found = {each["metadata"]["name"]: tuple((each.get("spec") or {}).get(_FIELD) or ()) for each in configurations}
    return {name: cidrs for name, cidrs in found.items() if cidrs}


def _covering(address: str, cidrs: Sequence[str]) -> str | None:
    """The first of the CIDRs that covers an address; an invalid one covers nothing, as in Felix."""
    for cidr in cidrs:
        try:
            inside = ip_address(address) in ip_network(cidr, strict=False)
        except ValueError:
            continue
        if inside:
            return cidr
    return None


def _remedy(name: str) -> str:
    if name == _ENVIRONMENT:
        where = "`kubectl get daemonset -A | grep calico-node`"
        return f"Remove {_VARIABLE} from calico-node's environment: {where}."
    patch = f'{{"spec":{{"{_FIELD}":null}}}}'
    return f"Type `kubectl patch felixconfiguration {name} --type merge -p '{patch}'`."
