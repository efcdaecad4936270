"""What the probe asks of a network plugin's agent on its node, as the plugin describes it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Agent:
    """The pages of an agent at the node's loopback address, such as `9099/readiness`, and its interfaces.

    Attributes:
        readiness: the page that answers 200 or 204 when it is ready; None: it has none.
        metrics: its Prometheus page; None: it has none.
        local_policies: its metric of how many policies apply to pods of the node; None: it has none.
        pod_interfaces: how the names of pods' interfaces begin, which come and go with pods.
        tunnels: the interfaces of which the first that exists carries the traffic between nodes.
        memory_column: of `trials`, for the memory that it holds; None: there is no such column.
        cpu_column: likewise for the CPUs that it uses.
    """

    readiness: str | None = None
    metrics: str | None = None
    local_policies: str | None = None
    pod_interfaces: tuple[str, ...] = ()
    tunnels: tuple[str, ...] = ()
    memory_column: str | None = None
    cpu_column: str | None = None
