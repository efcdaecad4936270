"""Whether labels are selected: by Kubernetes' label selectors, and by Calico's selector expressions. Pure."""

import re
from collections.abc import Mapping
from typing import Final

from steps.cluster.kube.api.objects import Object

Labels = Mapping[str, str]

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<sign>&&|\|\||==|!=|!|\(|\)|\{|\}|,)
         |(?P<text>"[^"]*"|'[^']*')
         |(?P<word>not\s+in\b|starts\s+with\b|ends\s+with\b|[A-Za-z0-9_./-]+))""",
    re.VERBOSE,
)

_INHERITED: Final = ("pcns.", "pcsa.")
"""Prefixes of the labels that Calico gives a pod from its namespace and its service account."""


def matches(selector: Object | None, labels: Labels, *, are_all: bool = True) -> bool | None:
    """Whether a Kubernetes label selector selects these labels; an empty one selects everything, None nothing.

    `are_all`: there are no other labels; otherwise None is returned if it depends on unknown ones.
    """
    if selector is None:
        return False
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    expressions: list[Object] = selector.get("matchExpressions") or []
    parts = [(key, labels.get(key) == value) for key, value in wanted.items()]
    parts += [(str(each.get("key")), _holds(each, labels)) for each in expressions]
    if not all(holds for key, holds in parts if are_all or key in labels):
        return False
    return True if are_all or all(key in labels for key, _ in parts) else None


def _holds(expression: Object, labels: Labels) -> bool:
    key, values = expression.get("key"), expression.get("values") or []
    there = key in labels
    match expression.get("operator"):
        case "In":
            return there and labels[str(key)] in values
        case "NotIn":
            return not there or labels[str(key)] not in values
        case "Exists":
            return there
        case "DoesNotExist":
            return not there
    return False


def selects(expression: str | None, labels: Labels, *, are_all: bool = True) -> bool | None:
    """Whether one of Calico's expressions, such as `all()` or `app == 'x' && !has(y)`, selects these labels.

    An empty expression selects everything. None: the expression can't be parsed, or depends on unknown labels.
    `are_all`: there are no other labels, except those of a pod's namespace and service account.
    """
    try:
        parser = _Parser(expression or "", labels)
        selected = parser.whole()
    except (IndexError, ValueError):
        return None
    inherited = any(key.startswith(_INHERITED) for key in parser.absent)
    return None if inherited or (parser.absent and not are_all) else selected


class _Parser:
    """Recursive descent: `||` binds least, then `&&`, then `!`."""

    def __init__(self, text: str, labels: Labels) -> None:
        self._labels = labels
        self.absent: set[str] = set()
        self._tokens: list[str] = []
        position = 0
        while text[position:].strip():
            found = _TOKEN.match(text, position)
            if found is None:
                raise ValueError(text)
            self._tokens.append(" ".join(found[0].split()) if found["word"] else found[0].strip())
            position = found.end()

    def whole(self) -> bool:
        if not self._tokens:
            return True
        value = self._either()
        if self._tokens:
            raise ValueError(self._tokens[0])
        return value

    def _next(self) -> str:
        return self._tokens.pop(0)

    def _took(self, token: str) -> bool:
        if self._tokens and self._tokens[0] == token:
            self._next()
            return True
        return False

    def _must(self, token: str) -> None:
        if not self._took(token):
            raise ValueError(token)

    def _either(self) -> bool:
        value = self._both()
        while self._took("||"):
            other = self._both()
            value = value or other
        return value

    def _both(self) -> bool:
        value = self._one()
        while self._took("&&"):
            other = self._one()
            value = value and other
        return value

    def _one(self) -> bool:
        if self._took("!"):
            return not self._one()
        if self._took("("):
            value = self._either()
            self._must(")")
            return value
        key = self._next()
        if self._took("("):
            return self._called(key)
        return self._compared(key)

    def _called(self, name: str) -> bool:
        if name in {"all", "global"}:
            self._must(")")
            return name == "all"
        if name != "has":
            raise ValueError(name)
        key = self._next()
        self._must(")")
        return self._value(key) is not None

    def _compared(self, key: str) -> bool:
        value = self._value(key)
        operator = self._next()
        if operator in {"in", "not in"}:
            self._must("{")
            texts = []
            while not self._took("}"):
                texts.append(self._text())
                self._took(",")
            return (value in texts) is (operator == "in")
        text = self._text()
        match operator:
            case "==":
                return value == text
            case "!=":
                return value != text
            case "contains":
                return value is not None and text in value
            case "starts with":
                return value is not None and value.startswith(text)
            case "ends with":
                return value is not None and value.endswith(text)
        raise ValueError(operator)

    def _value(self, key: str) -> str | None:
        if key not in self._labels:
            self.absent.add(key)
        return self._labels.get(key)

    def _text(self) -> str:
        token = self._next()
        if token[0] not in "'\"":
            raise ValueError(token)
        return token[1:-1]
