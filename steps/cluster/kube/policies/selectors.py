"""Whether labels are selected: by Kubernetes' label selectors, and by Calico's selector expressions. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final

Object = dict[str, Any]
Labels = Mapping[str, str]

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<sign>&&|\|\||==|!=|!|\(|\)|\{|\}|,)
         |(?P<text>"[^"]*"|'[^']*')
         |(?P<word>not\s+in\b|starts\s+with\b|ends\s+with\b|[A-Za-z0-9_./-]+))""",
    re.VERBOSE,
)


def matches(selector: Object | None, labels: Labels) -> bool:
    """Whether a Kubernetes label selector selects these labels; an empty one selects all, none at all nothing."""
    if selector is None:
        return False
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_holds(each, labels) for each in selector.get("matchExpressions") or [])


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


def selects(expression: str | None, labels: Labels) -> bool | None:
    """Whether one of Calico's expressions, such as `all()` or `app == 'x' && !has(y)`, selects these labels.

    None: it is one that this program can't read. No expression selects everything.
    """
    try:
        parser = _Parser(expression or "", labels)
        return parser.whole()
    except (IndexError, ValueError):
        return None


class _Parser:
    """Recursive descent: `||` binds least, then `&&`, then `!`."""

    def __init__(self, text: str, labels: Labels) -> None:
        self._labels = labels
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
        return key in self._labels

    def _compared(self, key: str) -> bool:
        value = self._labels.get(key)
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

    def _text(self) -> str:
        token = self._next()
        if token[0] not in "'\"":
            raise ValueError(token)
        return token[1:-1]
