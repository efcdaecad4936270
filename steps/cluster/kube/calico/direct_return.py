"""Which clients Felix is told to leave out of direct server return, and whether the benchmark's is one. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, Final

from steps.catalogue.dataplanes import BY_NAME, Arm
from steps.catalogue.options import Settings
from steps.catalogue.topologies import BY_NAME as TOPOLOGIES
from steps.cluster.kube.api.nodes import ClusterNode
from steps.domain import Finding

Object = dict[str, Any]

VARIABLE: Final = "FELIX_BPFDSROPTOUTCIDRS"
ENVIRONMENT: Final = "calico-node's environment"
"""Holds what beats every FelixConfiguration."""

_FIELD: Final = "bpfDSROptoutCIDRs"
_DEFAULT: Final = "default"
_OF_NODE: Final = "node."


def opt_outs(felix: Iterable[Object], variable: str | None) -> dict[str, tuple[str, ...]]:
    """The CIDRs whose clients get no direct return, by what says so: a FelixConfiguration, or the environment alone."""
    if variable is not None:
        cidrs = tuple(cidr.strip() for cidr in variable.split(",") if cidr.strip())
        return {ENVIRONMENT: cidrs} if cidrs else {}
    found = {each["metadata"]["name"]: tuple((each.get("spec") or {}).get(_FIELD) or ()) for each in felix}
    return {name: cidrs for name, cidrs in found.items() if cidrs}


def findings(
    held: Mapping[str, tuple[str, ...]], client: ClusterNode, entry: str, settings: Settings
) -> Iterator[Finding]:
    """What the opt-outs mean for a client outside.

    Where nothing but NodePorts is measured, the dataplane is left out; else its other paths can still be.

    Args:
        held: the opt-outs.
        client: the node of the client outside.
        entry: the node whose NodePort it connects to.
        settings: of the run.
    """
    if not held:
        return
    from_outside = {cell.topology for cell in settings.cells if TOPOLOGIES[cell.topology].through_node}
    asked = dict.fromkeys(BY_NAME[Arm.parse(arm).name] for arm in settings.dataplanes)
    direct = [entry.name for entry in asked if entry.direct_return]
    if not from_outside or not direct:
        return
    addresses = client.addresses or ((client.address,) if client.address else ())
    only = from_outside == {cell.topology for cell in settings.cells}
    for name, cidrs in held.items():
        if name.startswith(_OF_NODE) and name != _OF_NODE + entry:
            continue
        covered = {address: cidr for address in addresses if (cidr := _covering(address, cidrs)) is not None}
        if not covered:
            continue
        what = name if name == ENVIRONMENT else f"FelixConfiguration {name}"
        everywhere = name in {ENVIRONMENT, _DEFAULT, _OF_NODE + entry}
        whole = everywhere and len(covered) == len(addresses)
        listed = " and ".join(f"{address} (by {cidr})" for address, cidr in covered.items())
        some = "" if everywhere else ", on the nodes that it selects"
        which = listed if whole or not everywhere else f"{listed}, one of its {len(addresses)} addresses"
        for dataplane in direct:
            yield Finding(
                severity="skip" if whole and only else "warn",
                subject=dataplane,
                reason=f"{what} leaves the client outside, {client.name}, out of direct server return{some}: {which}. "
                "Its replies go back through the NodePort's node, and trials that measure so fail.",
                remedy=_remedy(name),
            )


def _covering(address: str, cidrs: Sequence[str]) -> str | None:
    """The first of the CIDRs that covers an address; one that is none covers nothing, as in Felix."""
    for cidr in cidrs:
        try:
            inside = ip_address(address) in ip_network(cidr, strict=False)
        except ValueError:
            continue
        if inside:
            return cidr
    return None


def _remedy(name: str) -> str:
    if name == ENVIRONMENT:
        return f"Take {VARIABLE} out of calico-node's environment: `kubectl get daemonset -A | grep calico-node`."
    return f'Type `kubectl patch felixconfiguration {name} --type merge -p \'{{"spec":{{"{_FIELD}":null}}}}\'`.'
