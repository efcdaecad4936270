"""Where Felix answers on its node, and what is Calico's among a node's interfaces."""

from typing import Final

from steps.cluster.kube.probe.agent import Agent

FELIX: Final = Agent(
    readiness="9099/readiness",
    metrics="9091/metrics",
    local_policies="felix_active_local_policies",
    pod_interfaces=("cali",),
    tunnels=("vxlan.calico", "vxlan-v6.calico"),
    memory_column="felix_memory_bytes",
    cpu_column="felix_cpu_ratio",
)
"""Its metrics are on where its configuration has `prometheusMetricsEnabled`."""
