"""What is installed on each node beside its Services, by checksums: whether it is still what the visit began with.

Counters tell that a chain or a program had packets; not that nothing of what they meet there is gone.
"""

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

from steps.cluster.lab.mechanism import Mechanism
from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.addresses import LabNode
from steps.domain import Moment, Sign

LOOKED_AT: Final = "rules and programs beside those of Services"

Installed = dict[str, dict[str, str]]
"""By node, the checksum of each part by its name in words."""


def read_installed(known: Iterable[Mechanism]) -> Installed:
    """The parts of these mechanisms that the nodes have now."""
    mechanisms = tuple(known)

    def of_node(node: LabNode) -> dict[str, str]:
        return {name: _checksum(text) for mechanism in mechanisms for name, text in mechanism.parts(node).items()}

    with ThreadPoolExecutor(len(addresses.NODES)) as pool:
        found = pool.map(of_node, addresses.NODES)
        return {node.name: parts for node, parts in zip(addresses.NODES, found, strict=True)}


def _checksum(text: str) -> str:
    """Of the words in any order: the kernel lists the elements of a set as they come."""
    return hashlib.sha256(" ".join(sorted(text.replace(",", " ").split())).encode()).hexdigest()


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """What became of the parts of a node that are not as before, a clause each by the part's name. Pure."""
    return {
        name: f"{name} is {'gone' if name not in now else 'new' if name not in before else 'not as it was'}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    }


def after_a_factor(known: Installed | None, before: Installed, now: Installed) -> Installed | None:
    """What each node is to have after a factor changed it. Pure.

    A part that had been damaged by then stays known as it was to be, or the change would hide the damage.

    Args:
        known: what each node was to have.
        before: what it had before the change.
        now: what it has after it.
    """
    if known is None:
        return None
    expected = {}
    for node, parts in known.items():
        damaged = changes(parts, before[node])
        kept = {name: checksum for name, checksum in parts.items() if name in damaged}
        expected[node] = kept | {name: checksum for name, checksum in now[node].items() if name not in damaged}
    return expected


def sign(node: str, before: Installed | None, now: Installed, moment: Moment, at: datetime) -> Sign:
    """That a node has what it had; of no dataplane where it hasn't, inconclusive where it has or is not known. Pure."""
    changed = changes(before.get(node, {}), now.get(node, {})) if before is not None else {}
    kept = "not known" if before is None else "all as they were installed"
    return Sign(
        moment=moment,
        node=node,
        looked_at=LOOKED_AT,
        seen=", ".join(changed.values()) or kept,
        at=at,
        indicates=() if changed else None,
    )
