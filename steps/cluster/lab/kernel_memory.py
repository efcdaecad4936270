"""What the kernel holds for the dataplane of a node: what it holds more than in the same lab without a dataplane."""

from pathlib import Path
from typing import Final

from steps.cluster.lab.network import addresses
from steps.kernel_memory import MEMINFO, held_bytes
from steps.polling import poll

_FIELDS: Final = ("SUnreclaim", "VmallocUsed", "Percpu")
"""Where the rules of iptables and nftables and the maps of eBPF are. Caches that the kernel gives up are elsewhere."""

_STILL_BYTES: Final = 1 << 18
_POLL_S: Final = 0.05
_SETTLES_S: Final = 5.0


def settled_bytes(meminfo: Path = MEMINFO) -> int | None:
    """What this machine's kernel holds once it falls no further, as it does while it frees what was removed.

    None: it can't be read, or does not settle.
    """
    found: list[int] = []

    def is_settled() -> bool | None:
        now = held_bytes(_FIELDS, meminfo)
        if now is None:
            return None
        found.append(now)
        return len(found) > 1 and found[-2] - now <= _STILL_BYTES

    settled = poll(is_settled, lambda is_so: is_so is not False, pause_s=_POLL_S, timeout_s=_SETTLES_S)
    return found[-1] if settled else None


def of_node_bytes(bare_bytes: int | None, meminfo: Path = MEMINFO) -> int | None:
    """The part of each node, whose tables are alike, of what is held more than in the bare lab; None: unknown."""
    now = settled_bytes(meminfo)
    if now is None or bare_bytes is None or now < bare_bytes:
        return None
    return (now - bare_bytes) // len(addresses.NODES)
