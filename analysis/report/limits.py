"""The limitations of a run's figures, which every report prints."""

from collections.abc import Mapping
from typing import Any, Final

from analysis.stats.run import StoredRun

_LAB_MAY: Final = (
    "These are real paths of the Linux kernel; the evidence shows for each visit which one carried the traffic.",
    "The ratios between dataplanes hold for this machine, within their intervals.",
    "They show the asymmetry of direct server return, and the cost of connecting with this many Services.",
)
_LAB_MUST_NOT: Final = (
    (
        "They are not figures of Calico or of Kubernetes, and must not be quoted as such: the lab's eBPF has no TCP "
        "state, timeouts, fragments or full policy, so it overstates the gain."
    ),
    "They do not predict throughput or loss on a wire: nodes and link are one machine's memory.",
    "CPU figures are the whole machine's, since both nodes share its cores.",
    (
        "Absolute values must not be compared between machines or days: they drift by a tenth in an hour. Ratios of "
        "one machine may be."
    ),
    "Retransmits, jitter and the loss of unlimited UDP do not distinguish dataplanes here.",
)
_CLUSTER_MAY: Final = (
    "The figures hold for this cluster: its nodes, its network, and the versions listed here.",
    "The evidence shows for each visit which dataplane carried the traffic.",
)
_CLUSTER_MUST_NOT: Final = (
    "They must not be carried over to other hardware, kernels, versions or encapsulations without measuring there.",
    "Other load on the nodes or the network at the time is part of the figures; flags mark what was detected.",
)
_EBPF_STAYS: Final = (
    "The run puts back the API objects and not the nodes: their kernels keep what eBPF left "
    "(kernel.unprivileged_bpf_disabled until a reboot; rp_filter, accept_local, bpf_jit_harden and the mounts of bpffs "
    "and cgroups may differ), also in the visits that came after one of eBPF."
)
_IMPORTED_MAY: Final = (
    "The figures are those of the files, in this project's units; each trial names the file that it was read from.",
    "They may be compared among each other as far as what is unknown permits, and with other runs as those of any run.",
)
_IMPORTED_MUST_NOT: Final = (
    "They are no proof that the dataplane which is named was the one that forwarded the packets.",
    "They must not be carried over to other hardware, kernels, versions or encapsulations without measuring there.",
)
_METHOD: Final = (
    (
        "Each round visits every dataplane once, in random order; differences are taken inside a round, so that drift "
        "from round to round falls out. The unit of replication is the visit: repetitions inside one visit share the "
        "effects of its switch and count once."
    ),
    (
        "The noise of a comparison is estimated from its own rounds and from the other comparisons, which count the "
        "more the more alike their noise proves (moderated variances; Smyth 2004). Figures are compared by their "
        "logarithms, UDP loss in percentage points."
    ),
    (
        "All intervals of the differences that the first page may quote hold the truth together in 95 % of runs, "
        "whenever the run stops, so that the clearest one may be quoted as well. A metric that the first page never "
        "quotes has 5 % of its own. In a run that continues another, which has spent 5 % before, it is 93 % of runs."
    ),
    (
        "There are three outcomes. A difference: its interval leaves zero out. The same within a margin: the whole "
        "interval is inside the margin, which is a factor: one of 10 % goes from −9.1 % to +10 %, whichever of the two "
        "is named first. Undecided: anything else, with the interval that the true difference is in."
    ),
    (
        "Node to node is no neutral control. A dataplane changes the chains and connection tracking that the host's "
        "own traffic passes too, so a figure relative to node to node hides what both have in common."
    ),
    "A failed trial is a row with its reason; it is never counted as zero.",
)
_IMPORTED_ROUNDS: Final = (
    "Visits that the import gave the same name form a round, and differences are taken inside a round. The unit of "
    "replication is the visit: repetitions inside one visit count once. Visits without a name are one a dataplane."
)

CONTRAST_METHOD: Final = (
    (
        "Rounds of A and of B are no pairs: a contrast is the difference of two independent means. A ratio to the "
        "baseline is taken inside each round of its own run, so that drift falls out, and is then compared between "
        "the sides."
    ),
    (
        "With several runs a side each run is one value, a night, and the noise is the scatter inside the sides. With "
        "one run a side it is how far nights of that environment scatter, where seven comparable ones are stored; else "
        "the scatter of its visits, which says nothing of how one moment differs from another."
    ),
    (
        "Variances of ratios are moderated by those of the others, as inside a run; those of figures themselves are "
        "not, since the drift of a machine is common to all of them. Margins and outcomes are those of a run's own "
        "comparisons."
    ),
    "All intervals of the quoted metrics hold the truth together in 95 % of comparisons.",
    "Figures are compared by their logarithms, UDP loss in percentage points.",
)


def limitations(about: StoredRun) -> dict[str, tuple[str, ...]]:
    """Heading -> sentences."""
    if about.imported is not None:
        return _imported(about.imported)
    must_not = _LAB_MUST_NOT if about.is_lab else _CLUSTER_MUST_NOT
    if not about.is_lab and any(arm.bpf for arm in about.arms):
        must_not = (*must_not, _EBPF_STAYS)
    return {
        "What these figures may be used for": _LAB_MAY if about.is_lab else _CLUSTER_MAY,
        "What they must not be used for": must_not,
        "How they were computed": _METHOD,
    }


def _imported(facts: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Those of a run that another tool measured; `facts`: what the import recorded."""
    found = {
        "What is unknown of these figures": _sentences(facts.get("unknown")),
        "What these figures may be used for": _IMPORTED_MAY,
        "What they must not be used for": _IMPORTED_MUST_NOT,
        "How they were computed": (_IMPORTED_ROUNDS, *_METHOD[1:]),
        "Files that could not be used": _sentences(facts.get("faults")),
    }
    return {heading: sentences for heading, sentences in found.items() if sentences}


def _sentences(recorded: object) -> tuple[str, ...]:
    return tuple(str(each) for each in recorded) if isinstance(recorded, list) else ()
