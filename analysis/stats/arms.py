"""The dataplanes of a stored run, as it recorded them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from analysis import formatting
from analysis.domain import LAB, OKABE_ITO

_COLOUR: Final = re.compile(r"#[0-9A-Fa-f]{6}")
"""Colours are written into the page's style, so nothing else may be taken for one."""


@dataclass(frozen=True, slots=True)
class RunArm:
    """A dataplane of a run: name, title and colour as recorded.

    `twin`: a labelled copy of another arm, drawn hollow in its colour. `skipped`: why it was left out, if it was.
    `bpf`: whether it forwards by eBPF programs.
    """

    name: str
    title: str
    colour: str
    twin: bool = False
    skipped: str | None = None
    bpf: bool = False


def recorded_arms(parameters: Mapping[str, Any], visited: Sequence[str]) -> list[RunArm]:
    """The dataplanes in the order requested, then those that were visited but not recorded."""
    recorded = parameters.get("dataplanes") or []
    entries = [entry if isinstance(entry, dict) else {"name": entry} for entry in recorded]
    entries += [{"name": name} for name in visited if name not in {entry["name"] for entry in entries}]
    skipped = skipped_reasons(parameters)
    arms: list[RunArm] = []
    for entry in entries:
        name = str(entry["name"])
        base, _, label = name.partition("+")
        sibling = next((arm for arm in arms if arm.name.partition("+")[0] == base), None)
        colour = _colour(entry.get("colour"), sibling, len(arms))
        title = entry.get("title") or name
        if label and label not in title:
            title = f"{title} +{label}"
        reason = None if name in visited else skipped.get(name) or skipped.get(base)
        bpf = entry.get("bpf")
        # runs stored before this was recorded are recognised by name
        bpf = bpf if isinstance(bpf, bool) else base.removeprefix(f"{LAB}-").startswith("ebpf")
        arms.append(RunArm(name, title, colour, twin=sibling is not None, skipped=reason, bpf=bpf))
    return arms


def _colour(recorded: str | None, sibling: RunArm | None, place: int) -> str:
    """The recorded colour, else its twin's, else the next of the palette."""
    if recorded and _COLOUR.fullmatch(recorded):
        return recorded
    return sibling.colour if sibling else OKABE_ITO[place % len(OKABE_ITO)]


def skipped_reasons(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The dataplanes and topologies that preflight left out -> the reason."""
    found = parameters.get("skipped") or []
    reasons = [formatting.sentences(each.get("reason") or "no reason is known", each.get("remedy")) for each in found]
    return {str(each.get("subject")): reason for each, reason in zip(found, reasons, strict=True)}
