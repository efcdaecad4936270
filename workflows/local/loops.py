"""Loops: what `withItems` and `withParam` expand to, named as Argo names it, and what their outputs add up to."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.errors import Problem
from workflows.local.nodes import Node


@dataclass(frozen=True, slots=True)
class Item:
    """One pass of a loop: what is appended to the task's name, and the values of its tags."""

    suffix: str
    values: dict[str, str]


def as_text(value: object) -> str:
    """A JSON value as a tag shows it: texts bare, everything else as Go writes JSON (keys sorted, no spaces)."""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _described(item: object) -> str:
    if isinstance(item, dict):
        return ",".join(sorted(f"{key}:{as_text(value)}" for key, value in item.items()))
    if isinstance(item, list):
        return "[" + " ".join(as_text(value) for value in item) + "]"
    return as_text(item)


def expand(items: Sequence[object]) -> list[Item]:
    """The passes of a loop over items that are texts, numbers, truth values, lists or objects.

    Raises:
        Problem: an item is null, which no tag can show.
    """
    passes = []
    for index, item in enumerate(items):
        if item is None:
            raise Problem(f"item {index} of the loop is null; items are texts, numbers, lists or objects.")
        values = {"item": as_text(item)}
        if isinstance(item, dict):
            values |= {f"item.{key}": as_text(value) for key, value in item.items()}
        shown = _described(item).replace("(", "").replace(")", "")
        passes.append(Item(f"({index}:{shown})", values))
    return passes


def parse_items(text: str) -> list[Any]:
    """The list that a `withParam` holds once its tags are replaced.

    Raises:
        Problem: it is no JSON list.
    """
    try:
        items = json.loads(text)
    except json.JSONDecodeError as error:
        raise Problem(f"withParam value could not be parsed as a JSON list: {error}; it is {text[:200]!r}.") from error
    if not isinstance(items, list):
        raise Problem(f"withParam value could not be parsed as a JSON list: it is {text[:200]!r}.")
    return items


def _list_of(values: Sequence[str]) -> str:
    """All as JSON values where all are JSON, else all as texts."""
    try:
        return as_text([json.loads(value) for value in values])
    except json.JSONDecodeError:
        return as_text(list(values))


def aggregate(task: str, passes: Iterable[Node]) -> dict[str, str]:
    """The outputs of a loop: lists over the passes that succeeded, as tags of `tasks.TASK`.

    A single output of which no pass succeeded is absent, as on Argo, where whoever waits for it waits for ever.
    """
    succeeded = [node.outputs for node in passes if node.phase == "Succeeded"]
    given = [{k: v for k, v in o.parameters.items() if v is not None} for o in succeeded if o.parameters]
    tags = {f"tasks.{task}.outputs.parameters": as_text(given)}
    for name in dict.fromkeys(key for outputs in given for key in outputs):
        tags[f"tasks.{task}.outputs.parameters.{name}"] = _list_of([o[name] for o in given if name in o])
    try:
        results = [json.loads(o.result) for o in succeeded if o.result is not None]
    except json.JSONDecodeError:
        return tags
    return tags | {f"tasks.{task}.outputs.result": as_text(results)}
