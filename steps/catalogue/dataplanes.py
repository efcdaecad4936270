"""The dataplanes: one entry each, with everything that other modules need to know of a dataplane.

A new one is an entry here and the module of the same name that installs it: in steps/cluster/lab/dataplanes for the
lab, in the folder `dataplanes` of its network plugin for a cluster.
"""

from dataclasses import dataclass
from typing import Final

from steps.catalogue.environments import KUBERNETES, LAB, EnvironmentKind

IPTABLES: Final = "iptables"
NFTABLES: Final = "nftables"
EBPF: Final = "ebpf"


@dataclass(frozen=True, slots=True)
class Dataplane:
    """How the nodes forward packets.

    Attributes:
        colour: of the Okabe-Ito palette, which colour-blind readers can distinguish.
        environment: the kind of environment that it can be installed in.
        mechanism: what forwards the packets: iptables, nftables, ebpf, or another name. None: whatever runs there,
            which is never switched.
        cni: its network plugin, by the name of the folder below steps/cluster/kube; None: any.
        direct_return: a Service's replies to an outside client go straight from the server's node, and not back
            through the node that the client connected to; None: unknown.
        min_kernel: the oldest kernel that supports it, such as `5.13`, checked on a cluster's nodes; the lab tries its
            kernel instead. None: any.
        by_default: measured when no dataplane is named.
    """

    name: str
    title: str
    colour: str
    environment: EnvironmentKind
    mechanism: str | None
    cni: str | None = None
    direct_return: bool | None = False
    min_kernel: str | None = None
    by_default: bool = True

    @property
    def bpf(self) -> bool:
        """Whether eBPF programs forward the packets."""
        return self.mechanism == EBPF

    @property
    def is_switched(self) -> bool:
        """Whether measuring it takes a switch; otherwise it is whatever runs there."""
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
    Dataplane(AS_IS, "as it is", "#7F7F7F", KUBERNETES, None, direct_return=None, by_default=False),
)

BY_NAME: Final = {d.name: d for d in DATAPLANES}


def of_kind(kind: EnvironmentKind) -> tuple[Dataplane, ...]:
    """The dataplanes that environments of a kind can have, in their order here."""
    return tuple(d for d in DATAPLANES if d.environment == kind)


@dataclass(frozen=True, slots=True)
class Arm:
    """A dataplane as one side of a comparison: `lab-iptables`, or with a label `lab-iptables+twin`.

    A label makes an identical twin, which shows how far apart two measurements of the same thing are. `+burden=N` is a
    twin with N more rules in front of each packet: a known slow-down that the benchmark should find.
    """

    name: str
    label: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Arm":
        """Parse `NAME` or `NAME+LABEL`, of a dataplane that need not exist."""
        name, plus, label = text.partition("+")
        return cls(name, label if plus else None)

    @property
    def burden(self) -> int:
        """How many more rules each packet meets; 0 for all but a burdened twin."""
        if self.label is None or not self.label.startswith("burden="):
            return 0
        return int(self.label.removeprefix("burden="))

    def __str__(self) -> str:
        return self.name if self.label is None else f"{self.name}+{self.label}"
