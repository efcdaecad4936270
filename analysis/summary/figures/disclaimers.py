"""What figures are not, which stands beside every sentence that quotes them. Pure."""

from typing import Final

from analysis.domain import IMPORTED, LAB

LAB_DISCLAIMER: Final = (
    "Lab figures: network namespaces on one machine, not a cluster. The ratios hold on this host; they are not figures "
    "of Calico or Kubernetes, and the lab's eBPF, which does less than a product's, overstates the gain."
)

IMPORTED_DISCLAIMER: Final = (
    "Imported figures: another tool measured them. Which dataplane carried the traffic is not proven; the order of the "
    "trials and other load are known as far as the files say."
)


def disclaimer(*environments: str) -> str | None:
    """That of figures of these environments, each sentence once; None where all were measured on clusters."""
    kinds = {
        LAB_DISCLAIMER: LAB in environments,
        IMPORTED_DISCLAIMER: any(one.startswith(f"{IMPORTED}:") for one in environments),
    }
    return " ".join(text for text, holds in kinds.items() if holds) or None
