"""The kernels that Felix and kube-proxy accept, compared as Felix compares them. Pure."""

import re
from typing import Final

from steps.catalogue.dataplanes import Dataplane

DOCUMENTED_FOR_BPF: Final = "5.10"
_BPF: Final = "5.3.0"
"""The oldest kernel on which Felix runs eBPF."""

_BPF_RED_HAT: Final = "4.18.0-193"
"""The same for Red Hat's kernels, which have the needed features backported."""

_NUMBERS: Final = re.compile(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9})(?:-(\d{1,9}))?)?")
_RED_HAT_KERNEL: Final = re.compile(r"\.el\d")
_RED_HAT_SYSTEM: Final = re.compile(r"red hat|centos|rocky linux|almalinux|oracle linux", re.IGNORECASE)


def least(entry: Dataplane, kernel: str, os_image: str | None) -> str | None:
    """The oldest kernel for a dataplane on a node of this kernel and system; None: any."""
    red_hat = _RED_HAT_KERNEL.search(kernel) or _RED_HAT_SYSTEM.search(os_image or "")
    return _BPF_RED_HAT if red_hat and entry.bpf and entry.min_kernel == _BPF else entry.min_kernel


def is_at_least(kernel: str, least: str) -> bool:
    """Whether a kernel such as `4.18.0-348.el8.x86_64` is at least `least`; False where it has no number."""
    here, there = _numbers(kernel), _numbers(least)
    return bool(here) and here >= there


def _numbers(version: str) -> tuple[int, ...]:
    found = _NUMBERS.match(version)
    return tuple(int(number) for number in found.groups() if number is not None) if found else ()
