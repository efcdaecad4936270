"""The dataplanes: one entry each. What a dataplane is, is said here and read from here.

A new one is an entry here and the module that installs it, which is called after it: in steps/cluster/lab/dataplanes
for the lab, in the folder `dataplanes` of its network plugin for a cluster.
"""

from dataclasses import dataclass
from typing import Final

from steps.catalogue.environments import KUBERNETES, LAB, Kind

IPTABLES: Final = "iptables"
NFTABLES: Final = "nftables"
EBPF: Final = "ebpf"


@dataclass(frozen=True, slots=True)
class Dataplane:
    """How the nodes forward packets.

    Attributes:
        name: as a person types it, and as the store has it.
        title: as a report writes it.
        colour: of the Okabe-Ito palette, which stays apart for colour-blind readers.
        environment: the kind of environment that it can be installed in.
        mechanism: what forwards the packets: iptables, nftables, ebpf, or another name. None: whatever runs there,
            which is measured as it is and never switched.
        cni: the network plugin that it is a dataplane of, as its folder below steps/cluster/kube is called; None: of
            none in particular.
        direct_return: a Service's replies to a client outside go from the server's node straight to it, and not back
            through the node that it connected to; None: that isn't known.
        min_kernel: the oldest kernel that can have it, such as `5.13`. A cluster's nodes are held to it; in the lab the
            kernel itself is tried. None: any.
        unasked: measured when no dataplane is named.
    """

    name: str
    title: str
    colour: str
    environment: Kind
    mechanism: str | None
    cni: str | None = None
    direct_return: bool | None = False
    min_kernel: str | None = None
    unasked: bool = True

    @property
    def bpf(self) -> bool:
        """Whether eBPF programs forward the packets."""
        return self.mechanism == EBPF

    @property
    def is_switched(self) -> bool:
        """Whether measuring it takes a switch; else it is what runs there, whatever that is."""
        return self.mechanism is not None

    @property
    def module(self) -> str:
        """The name of the module that installs it: `ebpf_dsr` for `ebpf-dsr` and for `lab-ebpf-dsr`."""
        return self.name.removeprefix(f"{LAB}-").replace("-", "_")


AS_IS: Final = "as-is"
_CALICO: Final = "calico"

DATAPLANES: Final = (
    Dataplane("lab-iptables", "iptables (lab)", "#0072B2", LAB, IPTABLES),
    Dataplane("lab-nftables", "nftables (lab)", "#E69F00", LAB, NFTABLES),
    Dataplane("lab-ebpf", "eBPF (lab)", "#009E73", LAB, EBPF, min_kernel="5.10"),
    Dataplane("lab-ebpf-dsr", "eBPF + DSR (lab)", "#CC79A7", LAB, EBPF, direct_return=True, min_kernel="5.10"),
    Dataplane("iptables", "iptables", "#0072B2", KUBERNETES, IPTABLES, _CALICO),
    Dataplane("nftables", "nftables", "#E69F00", KUBERNETES, NFTABLES, _CALICO, min_kernel="5.13"),
    Dataplane("ebpf", "eBPF", "#009E73", KUBERNETES, EBPF, _CALICO, min_kernel="5.3.0"),
    Dataplane("ebpf-dsr", "eBPF + DSR", "#CC79A7", KUBERNETES, EBPF, _CALICO, direct_return=True, min_kernel="5.3.0"),
    Dataplane(AS_IS, "as it is", "#7F7F7F", KUBERNETES, None, direct_return=None, unasked=False),
)

BY_NAME: Final = {d.name: d for d in DATAPLANES}


def of_kind(kind: Kind) -> tuple[Dataplane, ...]:
    """The dataplanes that environments of a kind can have, in their order here."""
    return tuple(d for d in DATAPLANES if d.environment == kind)


@dataclass(frozen=True, slots=True)
class Arm:
    """A dataplane as one side of a comparison: `lab-iptables`, or with a label `lab-iptables+twin`.

    A label makes an identical twin, to see how far apart the same thing measures. `+burden=N` is a twin with N rules
    more in front of each packet: a known slow-down, to see whether the benchmark finds it.
    """

    name: str
    label: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Arm":
        """`NAME` or `NAME+LABEL`; nothing is looked up."""
        name, plus, label = text.partition("+")
        return cls(name, label if plus else None)

    @property
    def burden(self) -> int:
        """How many rules more each packet meets; 0 for all but a burdened twin."""
        if self.label is None or not self.label.startswith("burden="):
            return 0
        return int(self.label.removeprefix("burden="))

    def __str__(self) -> str:
        return self.name if self.label is None else f"{self.name}+{self.label}"
