"""How a run went, as it recorded it: why it stopped, what it did not visit again and what it repeated. Pure."""

from collections.abc import Iterator
from typing import Any

from analysis import formatting
from analysis.stats.run import StoredRun


def stopped(about: StoredRun) -> str:
    """Why a run measured no more rounds, and which other rounds are judged with its own; empty: not recorded."""
    budget_s, earlier = about.parameters.get("budget_s"), about.parameters.get("continues")
    lasting = f" of {formatting.duration(budget_s)}" if budget_s else ""
    why = {
        "decided": "it stopped because everything was decided",
        "budget": f"it stopped because its budget{lasting} was spent",
        "rounds": "it had all its rounds",
    }.get(about.parameters.get("stopped") or "", "")
    return "; ".join(filter(None, [why, f"judged together with the rounds of {earlier}" if earlier else ""]))


def course_notes(about: StoredRun) -> Iterator[str]:
    """A sentence on the dataplanes that were not visited in every round, and one for each visit that was off."""
    decided, last = about.parameters.get("decided_after"), about.parameters.get("rounds_run")
    found = decided.items() if decided and last else ()
    early = [f"{_title(about, name)} after round {after}" for name, after in found if after < last]
    if early:
        yield f"Decided on every path, and so not visited again: {formatting.listing(early)}."
    entries: list[Any] = about.parameters.get("repeats") or []
    for entry in entries:
        if {"visit", "dataplane", "round", "reason"} <= entry.keys():
            again = entry.get("repeated_as")
            done = f"was repeated as visit {again}, which counts; both are kept" if again else "could not be repeated"
            where = f"Visit {entry['visit']} ({_title(about, entry['dataplane'])}, round {entry['round']})"
            yield formatting.sentences(f"{where} {done}: {entry['reason']}")


def _title(about: StoredRun, name: str) -> str:
    return next((arm.title for arm in (*about.arms, *about.skipped) if arm.name == name), str(name))
