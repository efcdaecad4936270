"""What cannot be known of an imported run, as sentences for its report. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Final

from steps.imports.readers import k8s_netperf

Row = Mapping[str, object]

_PROOF: Final = (
    "Which dataplane carried the traffic is not proven: no sign of it was looked at, and the names of the dataplanes "
    "are those that the import gave."
)
_QUIET: Final = (
    "Other load on the nodes and the network at the time is unknown, and so is the throughput of the host network "
    "beside each trial, unless the files have it as a path of its own."
)
_NO_VISITS: Final = (
    "How often a dataplane was set up anew is unknown: all files of a dataplane count as one visit, so that there is "
    "no interval and no verdict. Name the visits ({visit} in the pattern, or the mapping) where the files are of "
    "several."
)
_NAMED_VISITS: Final = (
    "The visits are those that the import named. Whether each dataplane was set up anew for them is unknown; if it was "
    "not, the intervals are too narrow."
)
_NO_ORDER: Final = (
    "In which order the dataplanes were measured is unknown, so that a drift of machines or network may look like a "
    "difference between them."
)
_IN_TURN: Final = (
    "By the times in the files the dataplanes took turns; whether their order was drawn at random is unknown, so that "
    "something of a drift may remain in the differences."
)
_ONE_AFTER_ANOTHER: Final = (
    "By the times in the files each dataplane was measured as a whole before the next, so that a drift of machines or "
    "network in between is part of every difference."
)


def unknown_sentences(tables: Mapping[str, Iterable[Row]], tools: Iterable[str]) -> list[str]:
    """The sentences on a run with these rows, from files of these tools."""
    visits = list(tables["visits"])
    found = [_PROOF, _NAMED_VISITS if any(visit["round"] is not None for visit in visits) else _NO_VISITS]
    if len({visit["dataplane_requested"] for visit in visits}) > 1:
        found.append(_order(visits, tables["trials"]))
    found.append(_QUIET)
    if "k8s-netperf" in tools:
        found.append(k8s_netperf.MEANS)
    return found


def _order(visits: Iterable[Row], trials: Iterable[Row]) -> str:
    dataplane = {visit["visit"]: visit["dataplane_requested"] for visit in visits}
    times: dict[object, list[datetime]] = defaultdict(list)
    for trial in trials:
        began = trial["started_at"]
        if not isinstance(began, datetime):
            if trial["outcome"] == "failed":
                continue
            return _NO_ORDER
        times[dataplane[trial["visit"]]].append(began)
    if len(times) == 1:
        return _NO_ORDER
    spans = sorted((min(found), max(found)) for found in times.values())
    apart = all(before[1] <= after[0] for before, after in pairwise(spans))
    return _ONE_AFTER_ANOTHER if apart else _IN_TURN
