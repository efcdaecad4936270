"""eBPF: Felix's programs on every interface, which take Services over from kube-proxy."""

from typing import Final

from steps.cluster.kube.plugins.calico.implementation import BPF, Implementation

IMPLEMENTATION: Final = Implementation("BPF", felix={BPF: True})
