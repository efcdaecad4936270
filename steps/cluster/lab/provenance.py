"""Facts about this machine and the lab on it, for the reader of the results."""

import json
import os
import platform
import re
from pathlib import Path
from typing import Final

from analysis.errors import Problem
from steps.catalogue.options import Settings
from steps.catalogue.tools import TOOLS
from steps.cluster.lab import sandbox
from steps.cluster.lab.capabilities import in_user_namespace
from steps.cluster.lab.network import addresses, topology
from steps.cluster.lab.network.programs import Job, os_release, run_one, version_line
from steps.kernel_memory import held_bytes

_VERSIONS: Final = {
    **{f"{tool.name}_version": tool.version for tool in TOOLS if tool.version},
    "iptables_version": ("iptables-nft", "--version"),
    "nftables_version": ("nft", "--version"),
    "bpftool_version": ("bpftool", "version"),
    "iproute2_version": ("ip", "-V"),
}


def read_facts(settings: Settings) -> dict[str, object]:
    """All facts; one that is unavailable is None."""
    cpuinfo = _text("/proc/cpuinfo") or ""
    model = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    cpufreq = "/sys/devices/system/cpu/cpu0/cpufreq"
    return {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "distribution": os_release().get("PRETTY_NAME"),
        "cpu_model": model[1].strip() if model else None,
        "cores": os.cpu_count(),
        "memory_bytes": held_bytes(("MemTotal",)),
        "virtualised": "hypervisor" in flags[1].split() if flags else None,
        "cpu_governor": _text(f"{cpufreq}/scaling_governor"),
        "in_user_namespace": in_user_namespace(),
        **{name: version_line(argv) for name, argv in _VERSIONS.items()},
        "encapsulation": f"VXLAN, id {addresses.TUNNEL_ID}, UDP port {addresses.TUNNEL_PORT}",
        "mtu_bytes": _mtus(settings) if sandbox.is_inside() else None,
        "underlay_offloads": "tso, gso and gro on" if settings.offloads else "tso, gso and gro off",
        "congestion_control": settings.congestion_control,
        "congestion_control_of_machine": _text("/proc/sys/net/ipv4/tcp_congestion_control"),
        "services": settings.services,
        "bpf_jit": _text("/proc/sys/net/core/bpf_jit_enable"),
    }


_MTUS: Final = {
    addresses.UNDERLAY: (addresses.NODE_A.name, addresses.UNDERLAY),
    addresses.TUNNEL: (addresses.NODE_A.name, addresses.TUNNEL),
    addresses.POD_INTERFACE: (addresses.CLIENT_POD.name, addresses.POD_INTERFACE),
    f"{addresses.UNDERLAY} of {addresses.OUTSIDE}": (addresses.OUTSIDE, addresses.UNDERLAY),
}
"""The namespace and the interface of each."""


def _mtus(settings: Settings) -> dict[str, int] | None:
    """The MTUs that the kernel gave, in a temporary lab where there is none; None if it can't be built."""
    temporary = not topology.present_namespaces()
    try:
        if temporary:
            topology.build_lab(offloads=settings.offloads)
        return {
            name: int(json.loads(run_one(Job(namespace, ("ip", "-json", "link", "show", interface))))[0]["mtu"])
            for name, (namespace, interface) in _MTUS.items()
        }
    except Problem:
        return None
    finally:
        if temporary:
            topology.remove_lab()


def _text(file: str) -> str | None:
    """A file's text; None if it is unreadable or empty."""
    try:
        return Path(file).read_text().strip() or None
    except OSError:
        return None
