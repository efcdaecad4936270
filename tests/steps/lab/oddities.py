"""Further functions that tests call inside a sandbox, as those of `scripts.py`: odd machines, and damaged labs."""

from pathlib import Path

from steps.cluster.lab.adapter import LabCluster
from steps.cluster.lab.network import addresses, topology
from steps.namespaces import within
from tests.steps.lab.visits import proof_of, settings_of, visit_to

_BRIDGES = Path("/proc/sys/net/bridge")
_INTERFACES = Path("/proc/sys/net/ipv4/conf")


def hardened(arm: str, settings: dict[str, str]) -> dict[str, object]:
    """Build on a machine with these settings of IPv4, which each new namespace copies, and look."""
    set_kernel_defaults = topology._set_kernel_defaults

    def copy_first(namespace: str) -> None:
        def write() -> None:
            for name, value in settings.items():
                for file in _INTERFACES.glob(f"*/{name}"):
                    file.write_text(value)

        within(namespace, write)
        set_kernel_defaults(namespace)

    topology._set_kernel_defaults = copy_first
    lab = LabCluster()
    lab.configure(visit_to(arm), settings_of(arm))
    return proof_of(lab.observe(visit_to(arm), "before"), arm)


def wire_filters() -> dict[str, str]:
    """What the wire offers to netfilter where the machine has br_netfilter, and 1 where it does."""
    topology.build_lab(offloads=False)

    def read() -> dict[str, str]:
        return {file.name: file.read_text().strip() for file in _BRIDGES.glob("bridge-nf-call-*")}

    return within(addresses.WIRE, read)
