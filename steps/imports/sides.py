"""What the dataplanes and topologies of an import are stored and shown as, by what their files call them. Pure.

Two that the files call differently never have one name, unless the mapping gives it to both. What a name is made of
leaves out case and signs, and all of a text without Latin letters and digits; so it can be that of another text, and
then it ends in a digest of its own.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from steps.catalogue import dataplanes, topologies
from steps.imports.places import MappingFile, NamedDataplane, NamedTopology
from steps.imports.values import first_line, slug

_DIGEST: Final = 6
_LONGEST: Final = 63
_MOST_DOUBTS: Final = 20
_SHOWN: Final = 4


@dataclass(frozen=True, slots=True)
class ImportedName:
    """A dataplane or a topology as stored and shown. `colour` and `host_network`: of one of the two; None: unknown."""

    name: str
    title: str
    colour: str | None = None
    host_network: bool | None = None


@dataclass(frozen=True, slots=True)
class _Names:
    """The names of texts; `alike`: of each that would have the name of others, had they no digest, all of these."""

    of: Mapping[str, str]
    alike: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class ImportedNames:
    """All dataplanes and topologies of an import."""

    mapping: MappingFile
    dataplanes: _Names
    topologies: _Names

    @classmethod
    def of(cls, mapping: MappingFile, dataplanes: Iterable[str], topologies: Iterable[str]) -> Self:
        """Those that the files call so, in whichever order."""
        return cls(
            mapping,
            _names(dataplanes, {text: side.name for text, side in mapping.dataplanes.items()}, "dataplane"),
            _names(topologies, {text: side.name for text, side in mapping.topologies.items()}, "topology"),
        )

    def dataplane(self, text: str) -> ImportedName:
        """A dataplane as its files call it: by the mapping, else by the catalogue, else by its name alone."""
        mapped = self.mapping.dataplanes.get(text, NamedDataplane())
        name = self.dataplanes.of[text]
        known = dataplanes.BY_NAME.get(name)
        title = known.title if known is not None else mapped.name or text
        if text in self.dataplanes.alike:
            title = text
        return ImportedName(
            name, mapped.title or title, colour=mapped.colour or (known.colour if known is not None else None)
        )

    def topology(self, text: str) -> ImportedName:
        """A topology as its files call it, likewise."""
        mapped = self.mapping.topologies.get(text, NamedTopology())
        name = self.topologies.of[text]
        known = topologies.BY_NAME.get(name)
        title = known.title if known is not None else (mapped.name or text).replace("-", " ")
        if text in self.topologies.alike:
            title = text
        host_network = mapped.host_network
        if host_network is None:
            host_network = known.host_network if known is not None else False
        return ImportedName(name, mapped.title or title, host_network=host_network)

    @property
    def order(self) -> list[str]:
        """The names of the mapping's dataplanes, in its order, of which the first is the baseline."""
        found = (self.dataplanes.of[text] for text in self.mapping.dataplanes if text in self.dataplanes.of)
        return list(dict.fromkeys(found))

    @property
    def doubts(self) -> list[str]:
        """What is unknown of names that are much alike, as sentences for the report."""
        kinds = (("dataplane", self.dataplanes), ("topology", self.topologies))
        return [_doubt(kind, group) for kind, names in kinds for group in dict.fromkeys(names.alike.values())][
            :_MOST_DOUBTS
        ]


def _doubt(kind: str, alike: Sequence[str]) -> str:
    shown = [repr(first_line(text)) for text in alike[:_SHOWN]]
    last = f"{len(alike) - _SHOWN} more" if len(alike) > _SHOWN else shown.pop()
    return (
        f"Whether {', '.join(shown)} and {last} are one {kind} is unknown, so each counts as one of its own. "
        "If they are one, give them the same name in the mapping."
    )


def _names(texts: Iterable[str], mapped: Mapping[str, str | None], kind: str) -> _Names:
    """A name for each text: the mapping's, else itself where it can be one, else one made of it that no other has.

    Args:
        texts: what files call dataplanes or topologies.
        mapped: the names that the mapping gives.
        kind: which of the two, as the beginning of a name of which nothing else is left.
    """
    called = sorted(set(texts))
    found = {text: mapped.get(text) or text for text in called if mapped.get(text) or text == slug(text)}
    taken = set(found.values())
    for text in called:
        if not found.get(text):
            found[text] = _made(text, taken, kind)
            taken.add(found[text])
    return _Names(found, _alike(text for text in called if not mapped.get(text)))


def _alike(texts: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        found[slug(text)].append(text)
    return {text: tuple(group) for plain, group in found.items() if plain and len(group) > 1 for text in group}


def _made(text: str, taken: set[str], kind: str) -> str:
    """A name made of a text, which none has of those that are taken."""
    plain = slug(text)
    if plain and plain not in taken:
        return plain
    digest = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()
    longer = (f"{(plain or kind)[: _LONGEST - n - 1].rstrip('-.')}-{digest[:n]}" for n in range(_DIGEST, len(digest)))
    return next(name for name in longer if name not in taken)
