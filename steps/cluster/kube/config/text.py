"""One top-level key of one document in a YAML text, or in JSON, which YAML includes: read, or set on its own. Pure.

Every other character stays as it is. The parser's marks give the position of a value. Several edits are tried, the
smallest first, and the first whose result parses to the same documents with only that key changed is taken. Where none
does, the documents are serialised from their nodes: the scalars keep their text and their quotes, comments are lost.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

import yaml

Documents = list[yaml.Node]

_NULL: Final = "tag:yaml.org,2002:null"
_STRING: Final = "tag:yaml.org,2002:str"
_MERGE: Final = "tag:yaml.org,2002:merge"
_ALIAS: Final = re.compile(r"\s*:\s*(\*[^\s,\[\]{}]+)")
_WIDE: Final = 1 << 20
_DEEPEST_MERGE: Final = 20


class TextError(Exception):
    """The text can't be parsed, or one key of it can't be set without changing anything else. A clause, no sentence."""


def has(text: str, kind: str) -> bool:
    """Whether the text has a document of this kind."""
    try:
        _document(text, kind)
    except TextError:
        return False
    return True


def get(text: str, kind: str, key: str) -> str | None:
    """The scalar under a top-level key of the first document of this kind; None where it is absent or null.

    Of two equal keys the last one counts; merge keys are followed.

    Raises:
        TextError: the text can't be parsed, or has no such document.
    """
    return _scalar(_document(text, kind)[1], key)


def put(text: str, kind: str, key: str, value: str | None, *, like: str | None = None) -> str:
    """The text with that key of that document set to a string, or without it if None; nothing else changes.

    `like`: another text, whose spelling of the value is tried first.

    Raises:
        TextError: the text can't be parsed, has no such document, or can't be changed in that key alone.
    """
    index, root = _document(text, kind)
    before = _parse(text)
    spelling = _spelling(like, _document(like, kind)[1], key) if like is not None else None
    for changed in (*_edits(text, root, key, value, spelling), *_anew(text, index, key, value)):
        try:
            after = _parse(changed)
        except TextError:
            continue
        if _differ_only_in(key, value, index, before, after):
            return changed
    raise TextError(f"{key} can't be set in it without changing anything else")


def _document(text: str, kind: str) -> tuple[int, yaml.MappingNode]:
    """The first document of a kind, and which of all it is."""
    for index, document in enumerate(_parse(text)):
        if isinstance(document, yaml.MappingNode) and _scalar(document, "kind") == kind:
            return index, document
    raise TextError(f"it has no {kind}")


def _parse(text: str) -> Documents:
    try:
        return _compose(text)
    except TextError:
        if "\t" not in text:
            raise
        # The parser refuses tabs between tokens, which Kubernetes' accepts. A space for each keeps every position.
        return _compose(text.replace("\t", " "))


def _scalar(document: yaml.Node, key: str) -> str | None:
    found = _value(document, key, 0)
    return found.value if isinstance(found, yaml.ScalarNode) and found.tag != _NULL else None


def _spelling(text: str, document: yaml.Node, key: str) -> str | None:
    """A top-level scalar with its quotes; None where it is absent, an alias or of several lines."""
    pair = _pair(document, key)
    if pair is None or not isinstance(pair[1], yaml.ScalarNode) or _is_alias(*pair):
        return None
    found = text[pair[1].start_mark.index : pair[1].end_mark.index]
    return found if found and "\n" not in found else None


def _compose(text: str) -> Documents:
    try:
        return list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise TextError(f"it is no YAML: {getattr(error, 'problem', None) or type(error).__name__}{where}") from None


def _pair(document: yaml.Node, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    pairs = document.value if isinstance(document, yaml.MappingNode) else []
    own = [pair for pair in pairs if _is_key(pair[0], key)]
    return own[-1] if own else None


def _is_key(node: yaml.Node, key: str) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == key


def _value(document: yaml.Node, key: str, depth: int) -> yaml.Node | None:
    pair = _pair(document, key)
    if pair is not None or not isinstance(document, yaml.MappingNode) or depth > _DEEPEST_MERGE:
        return pair[1] if pair is not None else None
    for name, merged in document.value:
        if name.tag == _MERGE:
            for source in merged.value if isinstance(merged, yaml.SequenceNode) else [merged]:
                if (found := _value(source, key, depth + 1)) is not None:
                    return found
    return None


def _is_alias(key: yaml.Node, value: yaml.Node) -> bool:
    return bool(value.start_mark.index < key.end_mark.index)


def _edits(text: str, root: yaml.MappingNode, key: str, value: str | None, form: str | None) -> Iterator[str]:
    pair = _pair(root, key)
    if value is None:
        yield from _removals(text, root, pair) if pair is not None else [text]
        return
    like_json = root.flow_style and getattr(pair[0] if pair is not None else None, "style", None) == '"'
    plain = [value] if _is_plain(value) and not like_json else []
    forms = [*([form] if form is not None else []), *plain, _quoted(value)]
    line_end = "\r\n" if "\r\n" in text else "\n"
    for each in forms:
        if pair is None:
            yield _inserted(text, root, key, each, line_end)
            continue
        start, end = _span(text, *pair)
        yield text[:start] + each + text[end:]
        yield f"{text[:start]} {each}{text[end:]}"
        yield f"{text[:start]}{each}{line_end}{text[end:]}"  # what was a block of lines ended with its last one's end


def _span(text: str, key: yaml.Node, value: yaml.Node) -> tuple[int, int]:
    if _is_alias(key, value) and (alias := _ALIAS.match(text, key.end_mark.index)):
        return alias.span(1)
    return value.start_mark.index, value.end_mark.index


def _inserted(text: str, root: yaml.MappingNode, key: str, form: str, line_end: str) -> str:
    """A new first pair."""
    if not root.value:
        at = root.end_mark.index - 1
        return f"{text[:at]}{key}: {form}{text[at:]}"
    first = root.value[0][0]
    at = first.start_mark.index
    if root.flow_style:
        like_json = first.style == '"'
        name, value = (json.dumps(key), _quoted(form)) if like_json else (key, form)
        colon = ":" if text[first.end_mark.index + 1 : first.end_mark.index + 2] == '"' else ": "
        space = text[text.rindex("{", 0, at) + 1 : at]
        return f"{text[:at]}{name}{colon}{value},{space if space.isspace() else ' '}{text[at:]}"
    return f"{text[:at]}{key}: {form}{line_end}{' ' * first.start_mark.column}{text[at:]}"


def _removals(text: str, root: yaml.MappingNode, pair: tuple[yaml.Node, yaml.Node]) -> Iterator[str]:
    start, end = pair[0].start_mark.index, _span(text, *pair)[1]
    following = [key.start_mark.index for key, _value in root.value if key.start_mark.index > start]
    if following:
        yield text[:start] + text[following[0] :]
    line = text.rfind("\n", 0, start) + 1
    yield text[:line] + text[end:].partition("\n")[2]
    yield text[: text.rfind(",", 0, start)] + text[end:]


def _anew(text: str, index: int, key: str, value: str | None) -> Iterator[str]:
    try:
        documents = _compose(text)
    except TextError:
        return  # only by other spaces than it has, and those may be part of a value
    root = documents[index]
    own = [place for place, pair in enumerate(root.value) if _is_key(pair[0], key)]
    pair = (yaml.ScalarNode(_STRING, key), yaml.ScalarNode(_STRING, value or ""))
    others = [pair for pair in root.value if not _is_key(pair[0], key)]
    place = own[0] if own else 0
    root.value = others if value is None else [*others[:place], pair, *others[place:]]
    try:
        yield yaml.serialize_all(documents, Dumper=yaml.SafeDumper, allow_unicode=True, width=_WIDE)
    except (yaml.YAMLError, RecursionError):
        return


def _is_plain(value: str) -> bool:
    try:
        (node,) = _compose(value)
    except (TextError, ValueError):
        return False
    return isinstance(node, yaml.ScalarNode) and (node.tag, node.value, node.style) == (_STRING, value, None)


def _quoted(value: str) -> str:
    return value if value.startswith('"') else json.dumps(value, ensure_ascii=False)


def _differ_only_in(key: str, value: str | None, index: int, before: Documents, after: Documents) -> bool:
    def rest(documents: Documents) -> Documents:
        """All documents, the changed one without the key."""
        pairs = [pair for pair in documents[index].value if not _is_key(pair[0], key)]
        return [*documents[:index], yaml.MappingNode(documents[index].tag, pairs), *documents[index + 1 :]]

    if (
        len(before) != len(after)
        or not isinstance(after[index], yaml.MappingNode)
        or not _holds(after[index], key, value)
    ):
        return False
    return all(_same(old, new) for old, new in zip(rest(before), rest(after), strict=True))


def _holds(document: yaml.Node, key: str, value: str | None) -> bool:
    pair = _pair(document, key)
    if value is None:
        return pair is None
    held = pair[1] if pair is not None else None
    return isinstance(held, yaml.ScalarNode) and (held.tag, held.value) == (_STRING, value)


def _same(one: yaml.Node, other: yaml.Node) -> bool:
    """Whether two nodes are equal. Nodes that contain themselves, or that have many aliases, are compared once."""
    left, compared = [(one, other)], set()
    while left:
        mine, theirs = left.pop()
        if (id(mine), id(theirs)) in compared:
            continue
        compared.add((id(mine), id(theirs)))
        if type(mine) is not type(theirs) or mine.tag != theirs.tag:
            return False
        if isinstance(mine, yaml.ScalarNode):
            if mine.value != theirs.value:
                return False
            continue
        if len(mine.value) != len(theirs.value):
            return False
        for own, its in zip(mine.value, theirs.value, strict=True):
            left += zip(own, its, strict=True) if isinstance(mine, yaml.MappingNode) else [(own, its)]
    return True
