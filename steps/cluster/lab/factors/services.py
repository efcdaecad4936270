"""Unused Services and their endpoints, beside the measured ones."""

from concurrent.futures import ThreadPoolExecutor

from steps.catalogue.factors import Scale
from steps.cluster.lab.mechanism import Mechanism
from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.addresses import LabNode
from steps.cluster.lab.network.services import MEASURED, all_ports
from steps.domain import Change, ScaleSign


def is_made(mechanism: Mechanism, scale: Scale) -> bool:
    """Never: each dataplane is installed with its Services."""
    del mechanism, scale
    return False


def apply(mechanism: Mechanism, before: Scale | None, scale: Scale) -> list[Change]:
    """Replace the Services of both nodes, side by side."""
    tables = mechanism.tables
    if tables is None or (before is not None and _numbers(before) == _numbers(scale)):
        return []
    ports = all_ports(*_numbers(scale))
    # what churns has other endpoints by now than those that the scale says
    known = None if before is None or before.churn_per_s else all_ports(*_numbers(before))
    with ThreadPoolExecutor(len(addresses.NODES)) as pool:
        commands = list(pool.map(lambda node: tables.replace(node, ports, known), addresses.NODES))
    return [
        Change(what=f"{scale.services} unused Services of {scale.endpoints} endpoints on {node.name}", command=command)
        for node, command in zip(addresses.NODES, commands, strict=True)
    ]


def _numbers(scale: Scale) -> tuple[int, int]:
    return scale.services, scale.endpoints


def stop() -> None:
    """Nothing: they stay as they are."""


def count(mechanism: Mechanism, node: LabNode, scale: Scale) -> list[ScaleSign]:
    """Services and endpoints, each less those of the measured Services."""
    if mechanism.tables is None:
        return []
    found, (services, endpoints, _) = mechanism.tables.count(node), mechanism.tables.where
    own = sum(len(port.backends) for port in MEASURED)
    return [
        ScaleSign.of_count("services", node.name, services, found.ports - len(MEASURED), scale.services),
        ScaleSign.of_count("endpoints", node.name, endpoints, found.endpoints - own, scale.services * scale.endpoints),
    ]
