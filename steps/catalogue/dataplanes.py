"""The dataplanes: one entry each. Everything that shows a dataplane reads its title and colour from here.

A new one is an entry here and, where this project installs it, the module that `implementation` names.
"""

import re
from dataclasses import dataclass
from typing import Final

from steps.options import nearest, shown

MOST_RULES: Final = 100_000
"""Of a burdened twin: loading them takes some 2 s on each of the lab's nodes, and 110 MB while it lasts."""

_LABEL: Final = re.compile(r"[A-Za-z0-9._=-]{1,40}")


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


def arm_fault(name: str, environment: str, kind: str) -> str | None:
    """What is wrong with an arm as typed, as a sentence; None if nothing is.

    Args:
        name: the arm.
        environment: the environment's name.
        kind: what it is: lab, or kubernetes.
    """
    here = [d.name for d in DATAPLANES if d.environment == kind]
    arm = Arm.parse(name)
    known = BY_NAME.get(arm.name)
    if known is None:
        return f"unknown dataplane {shown(arm.name)}: {nearest(arm.name, here)}"
    if known.environment != kind:
        return (
            f"dataplane {arm.name} belongs to {known.environment}, and environment {shown(environment)} is "
            f"{'the lab' if kind == 'lab' else 'a Kubernetes cluster'}: choose from {', '.join(here)}"
        )
    if arm.label is not None and _LABEL.fullmatch(arm.label) is None:
        return f"label of dataplane {shown(name)} must be letters, digits and ._=-, 40 at most: write {arm.name}+twin"
    return burden_fault(name)


def burden_fault(name: str) -> str | None:
    """What is wrong with the number of rules that a burdened twin asks for; None if nothing is."""
    arm = Arm.parse(name)
    if arm.label is None or not arm.label.startswith("burden"):
        return None
    rules = arm.label.removeprefix("burden=")
    if rules == arm.label or not (rules.isascii() and rules.isdigit() and rules.strip("0")):
        return f"dataplane {shown(name)} must say how many rules: write {arm.name}+burden=100"
    if len(rules.lstrip("0")) > len(str(MOST_RULES)) or int(rules) > MOST_RULES:
        return f"dataplane {name!r} must have a burden of at most {MOST_RULES} rules"
    return None
