"""Policies that select the measured pods and match none of their traffic."""

from steps.catalogue.factors import Scale
from steps.cluster.lab.mechanism import Mechanism
from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.addresses import LabNode
from steps.domain import Change, ScaleSign


def is_made(mechanism: Mechanism, scale: Scale) -> bool:
    """Whether there are any."""
    del mechanism
    return scale.policies > 0


def apply(mechanism: Mechanism, before: Scale | None, scale: Scale) -> list[Change]:
    """Make so many on each node, in front of the profile that allows the pods' traffic."""
    tables = mechanism.tables
    if tables is None or (before is not None and before.policies == scale.policies):
        return []
    return [
        Change(what=f"{scale.policies} policies on {node.name}", command=tables.set_policies(node, scale.policies))
        for node in addresses.NODES
    ]


def stop() -> None:
    """Nothing: they stay as they are."""


def count(mechanism: Mechanism, node: LabNode, scale: Scale) -> list[ScaleSign]:
    """How many there are."""
    if mechanism.tables is None or not scale.policies:
        return []
    found = mechanism.tables.count_policies(node)
    return [ScaleSign.of_count("policies", node.name, mechanism.tables.where[2], found, scale.policies)]
