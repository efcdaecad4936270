"""What a module of `dataplanes` provides: Calico's settings for a dataplane, and evidence specific to it. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from steps.cluster.kube.plugins.calico.felix.process import FelixProcess, LogPosition

BPF: Final = "bpfEnabled"
SERVICE_MODE: Final = "bpfExternalServiceMode"
NFTABLES_MODE: Final = "nftablesMode"
"""Not set by a module: it follows from kube-proxy's mode."""


class Shown(NamedTuple):
    """A line of Felix's log that distinguishes one dataplane from all others of Calico's.

    `mark`: the line. `own`: whether it shows this dataplane; else it shows that another runs.
    """

    mark: LogPosition
    own: bool


@dataclass(frozen=True, slots=True)
class Implementation:
    """Calico's settings for a dataplane, and evidence specific to it.

    Attributes:
        linux_dataplane: the Installation's, where the operator installed Calico.
        proxy_mode: kube-proxy's where it runs; Felix follows it between iptables and nftables.
        felix: the fields of FelixConfiguration to set. Those that only other dataplanes set are put back to their
            values from before the run.
        shows: the lines of a Felix process that distinguish this dataplane from all others; None: there are none.
            Needed where another dataplane has the same traits in the catalogue and the same kube-proxy mode.
    """

    linux_dataplane: str
    proxy_mode: str = "iptables"
    felix: Mapping[str, object] = field(default_factory=dict)
    shows: Callable[[FelixProcess], Iterator[Shown]] | None = None

    @property
    def bpf(self) -> bool:
        """Whether Felix runs eBPF programs."""
        return self.felix.get(BPF) is True

    @property
    def direct_return(self) -> bool:
        """Whether replies to an outside client leave the server's node directly."""
        return self.felix.get(SERVICE_MODE) == "DSR"

    @property
    def nftables(self) -> bool:
        """Whether the rules are nftables'."""
        return self.proxy_mode == "nftables"

    @property
    def further(self) -> dict[str, object]:
        """The fields of FelixConfiguration beyond those that every dataplane of Calico's sets."""
        return {name: value for name, value in self.felix.items() if name not in {BPF, SERVICE_MODE}}
