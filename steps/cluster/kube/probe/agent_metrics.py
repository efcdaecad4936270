"""The metrics of a node's agents that tell what they hold and use, from their own Prometheus pages, and the kernel's.

None of them needs a privilege in the node's network: kube-proxy serves its page there by default, a network plugin's
agent if it is configured so.
"""

import contextlib
from collections.abc import Collection
from typing import Final

STARTED: Final = "process_start_time_seconds"
MEMORY: Final = "process_resident_memory_bytes"
CPU: Final = "process_cpu_seconds_total"

PROXY_RULES: Final = "kubeproxy_sync_proxy_rules_iptables_total"
"""The iptables rules that kube-proxy owns, all tables together; in nftables mode it counts none."""

PENDING: Final = (
    "kubeproxy_sync_proxy_rules_service_changes_pending",
    "kubeproxy_sync_proxy_rules_endpoint_changes_pending",
)
"""Changes that kube-proxy knows and has not written yet."""

PROCESS: Final = (STARTED, MEMORY, CPU)
KUBE_PROXY: Final = (*PROCESS, PROXY_RULES, *PENDING)

KERNEL: Final = ("Slab", "VmallocUsed", "Percpu")
"""What the kernel of a node holds for itself: its slabs, its areas in virtual memory, and those of each CPU.

The maps of BPF, nftables' sets and iptables' tables are among them; so are others, whose part does not depend on the
scale.
"""


def chosen(page: str | None, names: Collection[str | None]) -> dict[str, float] | None:
    """The chosen metrics of a page, each the sum over its labels; None: there is no page."""
    if page is None:
        return None
    found: dict[str, float] = {}
    for line in page.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if name in names:
            with contextlib.suppress(ValueError, IndexError):
                value = float(line.rpartition("}")[2].split()[0] if "}" in line else line.split()[1])
                found[name] = found.get(name, 0.0) + value
    return found
