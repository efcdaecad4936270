"""One key of the document of a certain kind, in a text that is JSON or YAML as Kubernetes' programs read it. Pure.

They take what begins as JSON for JSON and all else for YAML; a text of several documents may hold others as well.
"""

from steps.cluster.kube.config import json_text, yaml_text
from steps.cluster.kube.config.errors import TextError


def has(text: str, kind: str) -> bool:
    """Whether the text holds a document of this kind."""
    try:
        return _index(text, kind) is not None
    except TextError:
        return False


def get(text: str, kind: str, key: str) -> str | None:
    """What the first document of this kind holds under a top-level key; None: nothing, or null.

    Raises:
        TextError: the text can't be parsed, or holds no such document.
    """
    if json_text.is_object(text):
        _demand(text, kind)
        return json_text.get(text, key)
    return yaml_text.get(yaml_text.parse(text)[_demand(text, kind)], key)


def put(text: str, kind: str, key: str, value: str | None, *, like: str | None = None) -> str:
    """The text with that key of that document set to a string, or without it if None; nothing else changes.

    Args:
        text: JSON or YAML.
        kind: of the document.
        key: a top-level key.
        value: what it should hold.
        like: another text, whose way to write the value is taken where it has the same.

    Raises:
        TextError: the text can't be parsed, holds no such document, or can't be changed in that alone.
    """
    index = _demand(text, kind)
    if json_text.is_object(text):
        return json_text.put(text, key, value)
    return yaml_text.put(text, index, key, value, _written(like, kind, key) if like is not None else None)


def _written(text: str, kind: str, key: str) -> str | None:
    if json_text.is_object(text):
        return None
    return yaml_text.written(text, yaml_text.parse(text)[_demand(text, kind)], key)


def _demand(text: str, kind: str) -> int:
    index = _index(text, kind)
    if index is None:
        raise TextError(f"it holds no {kind}")
    return index


def _index(text: str, kind: str) -> int | None:
    if json_text.is_object(text):
        return 0 if json_text.get(text, "kind") == kind else None
    documents = yaml_text.parse(text)
    return next((at for at, document in enumerate(documents) if yaml_text.get(document, "kind") == kind), None)
