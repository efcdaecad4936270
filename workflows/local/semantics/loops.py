"""Loops: what `withParam` expands to, named as Argo names it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.errors import Problem


@dataclass(frozen=True, slots=True)
class LoopItem:
    """One item of a loop: the suffix of its node's name, and the values of its tags."""

    suffix: str
    values: dict[str, str]


def expand_loop(items: Sequence[Mapping[str, str]]) -> list[LoopItem]:
    """The items of a loop over objects of texts."""
    found = []
    for index, item in enumerate(items):
        shown = ",".join(sorted(f"{key}:{value}" for key, value in item.items())).replace("(", "").replace(")", "")
        found.append(LoopItem(f"({index}:{shown})", {f"item.{key}": value for key, value in item.items()}))
    return found


def parse_items(text: str) -> list[dict[str, str]]:
    """The list in a `withParam` whose tags are replaced.

    Raises:
        Problem: it is no JSON list of objects whose values are texts.
    """
    try:
        items = json.loads(text)
    except json.JSONDecodeError:
        items = None
    if not isinstance(items, list):
        raise Problem(f"withParam value could not be parsed as a JSON list: it is {text[:200]!r}.")
    for index, item in enumerate(items):
        if not isinstance(item, dict) or not all(isinstance(value, str) for value in item.values()):
            raise Problem(f"item {index} of the loop is {str(item)[:200]}, but only objects of texts are supported.")
    return items
