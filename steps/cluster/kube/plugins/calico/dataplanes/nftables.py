"""nftables: Felix's tables, and kube-proxy's, whose mode Felix follows."""

from typing import Final

from steps.cluster.kube.plugins.calico.implementation import Implementation

IMPLEMENTATION: Final = Implementation("Nftables", proxy_mode="nftables")
