"""The dataplanes: one entry each. Everything that shows a dataplane reads its title and colour from here.

A new one is an entry here and, where this project installs it, the module that `implementation` names.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Dataplane:
    """How the nodes forward packets.

    `environment`: lab, or kubernetes. `colour`: of the Okabe-Ito palette, which stays apart for colour-blind readers.
    `needs_root`: an ordinary user's namespaces can't have it. `implementation`: the module that installs it, if any.
    `unasked`: measured when no dataplane is named. `direct_return`: a Service's replies to a client outside go from the
    server's node straight to it, and not back through the node that it connected to; None: that isn't known.
    """

    name: str
    title: str
    colour: str
    environment: str
    needs_root: bool = False
    implementation: str | None = None
    unasked: bool = True
    direct_return: bool | None = False


DATAPLANES: Final = (
    Dataplane(
        "lab-iptables", "iptables (lab)", "#0072B2", "lab", implementation="steps.cluster.lab.dataplanes.iptables"
    ),
    Dataplane(
        "lab-nftables", "nftables (lab)", "#E69F00", "lab", implementation="steps.cluster.lab.dataplanes.nftables"
    ),
    Dataplane(
        "lab-ebpf",
        "eBPF (lab)",
        "#009E73",
        "lab",
        needs_root=True,
        implementation="steps.cluster.lab.dataplanes.ebpf",
    ),
    Dataplane(
        "lab-ebpf-dsr",
        "eBPF + DSR (lab)",
        "#CC79A7",
        "lab",
        needs_root=True,
        implementation="steps.cluster.lab.dataplanes.ebpf_dsr",
        direct_return=True,
    ),
    Dataplane("iptables", "iptables", "#0072B2", "kubernetes"),
    Dataplane("nftables", "nftables", "#E69F00", "kubernetes"),
    Dataplane("ebpf", "eBPF", "#009E73", "kubernetes"),
    Dataplane("ebpf-dsr", "eBPF + DSR", "#CC79A7", "kubernetes", direct_return=True),
    Dataplane("as-is", "as it is", "#7F7F7F", "kubernetes", unasked=False, direct_return=None),
)

BY_NAME: Final = {d.name: d for d in DATAPLANES}


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
