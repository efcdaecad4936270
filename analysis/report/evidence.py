"""The evidence of a run: by dataplane, each sign and each list of changes once, with the visits that had it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis import formatting
from analysis.charts import ChartData

_Found = dict[str, list[int]]
"""The visits of each moment at which a sign was seen."""


def evidence(data: ChartData) -> list[dict[str, Any]]:
    """The signs and changes of each dataplane that was asked for, in the order of the first visits.

    Returns:
        `dataplane`, `extent` (how many visits they are of), `signs` (`when`, `node`, `text`, `indicates`), and
        `changes` (`when`, `text`).
    """
    found = data.query(
        """select visit, dataplane_requested as dataplane, evidence, changes from visits
           where run_id = $run_id and (len(evidence) > 0 or len(changes) > 0) order by visit"""
    )
    sides: dict[str, list[dict[str, Any]]] = {}
    for row in found:
        sides.setdefault(row["dataplane"] or "–", []).append(row)
    return [_side(dataplane, rows) for dataplane, rows in sides.items()]


def _side(dataplane: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    by_place: dict[tuple[str, str], dict[tuple[str, str], _Found]] = {}
    changes: _Found = {}
    for row in rows:
        for sign in row["evidence"] or ():
            place = sign["node"] or "–", str(sign["looked_at"])
            content = str(sign["seen"]), _indicated(sign["indicates"])
            moments = by_place.setdefault(place, {}).setdefault(content, {})
            visits = moments.setdefault(sign["moment"] or "at an unknown time", [])
            visits += [] if row["visit"] in visits else [row["visit"]]
        if row["changes"]:
            changes.setdefault("\n".join(row["changes"]), []).append(row["visit"])
    every = [row["visit"] for row in rows]
    with_signs = [row["visit"] for row in rows if row["evidence"]]
    signs = [
        {"when": _when(moments, with_signs), "node": node, "text": f"{looked_at}: {seen}", "indicates": indicated}
        for (node, looked_at), found in by_place.items()
        for (seen, indicated), moments in found.items()
    ]
    return {
        "dataplane": dataplane,
        "extent": f"{formatting.count(len(signs), 'sign')} of {_visits(every)}",
        "signs": signs,
        "changes": [{"when": _visits(visits), "text": text} for text, visits in changes.items()],
    }


def _when(moments: _Found, every: list[int]) -> str:
    """`before and after`; with the visits where not every one had it: `after, in visits 3 and 7`."""
    by_visits: dict[tuple[int, ...], list[str]] = {}
    for moment, visits in moments.items():
        by_visits.setdefault(tuple(visits), []).append(moment)
    return "; ".join(
        formatting.listing(named) + ("" if list(visits) == every else f", in {_visits(visits)}")
        for visits, named in by_visits.items()
    )


def _visits(visits: Iterable[int]) -> str:
    numbers = [str(visit) for visit in visits]
    return f"visit{'s' if len(numbers) > 1 else ''} {formatting.listing(numbers)}"


def _indicated(indicates: Sequence[str] | None) -> str:
    if indicates is None:
        return "no indication"
    return formatting.listing(list(indicates)) or "no known dataplane"
