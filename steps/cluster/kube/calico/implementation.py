"""What a module of `dataplanes` says: how Calico is set to a dataplane, and what only that dataplane shows. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from steps.cluster.kube.calico.felix_process import FelixProcess, LogPosition

BPF: Final = "bpfEnabled"
SERVICE_MODE: Final = "bpfExternalServiceMode"
NFTABLES_MODE: Final = "nftablesMode"
"""Never named by a module: it follows from kube-proxy's mode."""


class Shown(NamedTuple):
    """Something in Felix's log that tells one dataplane from all others of Calico's.

    `mark`: what was printed, and when. `own`: it shows this dataplane; else it shows that it is another.
    """

    mark: LogPosition
    own: bool


def _nothing(_process: FelixProcess) -> Iterator[Shown]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Implementation:
    """How Calico is set to a dataplane, and what only that dataplane shows.

    Attributes:
        linux_dataplane: of the Installation, where the operator installed Calico.
        proxy_mode: of kube-proxy where it runs; Felix follows it between iptables and nftables.
        felix: fields of FelixConfiguration, and what each must hold. What another dataplane names and this one does not
            is put back to what it held before the run.
        shows: what one of Felix's processes printed that tells this dataplane from all others. Needed where the
            catalogue's entry and kube-proxy's mode are those of another dataplane as well.
    """

    linux_dataplane: str
    proxy_mode: str = "iptables"
    felix: Mapping[str, object] = field(default_factory=dict)
    shows: Callable[[FelixProcess], Iterator[Shown]] = _nothing

    @property
    def bpf(self) -> bool:
        """Whether Felix is to run eBPF programs."""
        return self.felix.get(BPF) is True

    @property
    def direct_return(self) -> bool:
        """Whether replies to a client outside are to leave the server's node directly."""
        return self.felix.get(SERVICE_MODE) == "DSR"

    @property
    def nftables(self) -> bool:
        """Whether rules are to be nftables'."""
        return self.proxy_mode == "nftables"

    @property
    def further(self) -> dict[str, object]:
        """The fields of FelixConfiguration beyond those that every dataplane of Calico's decides on."""
        return {name: value for name, value in self.felix.items() if name not in {BPF, SERVICE_MODE}}

    @property
    def shows_itself(self) -> bool:
        """Whether it has evidence of its own."""
        return self.shows is not _nothing
