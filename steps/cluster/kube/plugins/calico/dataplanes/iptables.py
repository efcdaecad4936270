"""iptables: Felix's chains, and kube-proxy's."""

from typing import Final

from steps.cluster.kube.plugins.calico.implementation import Implementation

IMPLEMENTATION: Final = Implementation("Iptables")
