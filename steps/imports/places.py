"""Where a file's measurements stand in a run: by a pattern of its path, a mapping file, and what all have. Pure.

The pattern is that of a path below the folder given: `{dataplane}/{topology}/{visit}-{repetition}.json`. Each name in
braces takes some characters but no slash, and `*` any of them that nothing is taken from.
"""

import fnmatch
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Self

from pydantic import Field, ValidationError, field_validator

from analysis.errors import BadInput
from steps.strict_model import StrictModel, faults_of

FIELDS: Final = ("dataplane", "topology", "visit", "repetition", "run")

_MOST_PATTERN: Final = 500
_MOST_STARS: Final = 8
"""Each one more multiplies how long a path that does not match takes."""

_PART: Final = re.compile(r"\{([^{}]*)\}|(\*)")
_NUMBER: Final = re.compile(r"\d{1,9}")
_DIGITS: Final = re.compile(r"(\d+)")

MappedName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]
Title = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]+$")]


class NamedDataplane(StrictModel):
    """How a name in files is shown; `name`: under which it is stored, such as that of this project's catalogue."""

    name: MappedName | None = None
    title: Title | None = None
    colour: Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")] | None = None


class NamedTopology(StrictModel):
    """The same of a topology. `host_network`: it is between the nodes' own networks, with no dataplane in the path."""

    name: MappedName | None = None
    title: Title | None = None
    host_network: bool | None = None


class FilePlace(StrictModel):
    """What is so of all files whose path below the folder matches `file`, in which `*` also takes slashes."""

    file: Annotated[str, Field(min_length=1, max_length=_MOST_PATTERN)]
    dataplane: Title | None = None
    topology: Title | None = None
    visit: Annotated[int, Field(ge=1, le=10**9)] | Title | None = None
    repetition: Annotated[int, Field(ge=1, le=10**9)] | None = None
    run: Title | None = None


class MappingFile(StrictModel):
    """The mapping file."""

    pattern: str = ""
    dataplanes: Annotated[dict[str, NamedDataplane], Field(max_length=200)] = Field(default_factory=dict)
    topologies: Annotated[dict[str, NamedTopology], Field(max_length=200)] = Field(default_factory=dict)
    files: Annotated[tuple[FilePlace, ...], Field(max_length=10_000)] = ()

    @field_validator("dataplanes", "topologies", mode="before")
    @classmethod
    def _name_alone(cls, value: object) -> object:
        """`dts = "pod-to-pod"` is short for `dts = {name = "pod-to-pod"}`."""
        if not isinstance(value, dict):
            return value
        return {key: {"name": each} if isinstance(each, str) else each for key, each in value.items()}


NO_MAPPING: Final = MappingFile()


@dataclass(frozen=True, slots=True)
class ImportPlace:
    """Where a file stands, in the words of its path and the mapping; empty or None: neither of them says."""

    dataplane: str = ""
    topology: str = ""
    visit: str = ""
    repetition: int | None = None
    run: str = ""


@dataclass(frozen=True, slots=True)
class Places:
    """The rules by which files get their places.

    Attributes:
        pattern: of the files' paths below the folder; None: none was given.
        mapping: the mapping file.
        given: what is so of each file that neither of the two places: `dataplane`, `topology`, `run`.
    """

    pattern: re.Pattern[str] | None = None
    mapping: MappingFile = NO_MAPPING
    given: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, pattern: str, mapping: MappingFile, given: Mapping[str, str]) -> Self:
        """The rules of a pattern, a mapping and what was given for all.

        Raises:
            BadInput: the pattern is invalid.
        """
        text = pattern or mapping.pattern
        return cls(compile_pattern(text) if text else None, mapping, {k: v for k, v in given.items() if v})

    def place(self, path: str) -> ImportPlace | None:
        """The place of a file by its path below the folder; None: the pattern leaves it out."""
        found: dict[str, str] = dict(self.given)
        listed = [entry for entry in self.mapping.files if fnmatch.fnmatchcase(path, entry.file)]
        if self.pattern is not None:
            match = self.pattern.fullmatch(path)
            if match is None and not listed:
                return None
            found |= {name: text for name, text in match.groupdict().items() if text} if match else {}
        for entry in listed:
            found |= {name: str(value) for name in FIELDS if (value := getattr(entry, name)) is not None}
        return ImportPlace(
            dataplane=found.get("dataplane", ""),
            topology=found.get("topology", ""),
            visit=found.get("visit", ""),
            repetition=_whole(found.get("repetition", "")),
            run=found.get("run", ""),
        )


def compile_pattern(text: str) -> re.Pattern[str]:
    """A pattern of paths as a regular expression with a group for each name.

    Raises:
        BadInput: a name is unknown or stands twice, or the pattern is too long.
    """
    if len(text) > _MOST_PATTERN or text.count("*") > _MOST_STARS:
        raise BadInput(f"the pattern has more than {_MOST_PATTERN} characters, or more than {_MOST_STARS} stars")
    parts, seen, at = [], set(), 0
    for match in _PART.finditer(text):
        parts.append(re.escape(text[at : match.start()]))
        at = match.end()
        name = match[1]
        if match[2]:
            parts.append("[^/]*")
            continue
        if name not in FIELDS:
            known = ", ".join(map(_braced, FIELDS))
            raise BadInput(f"the pattern has {_braced(name)[:100]}, and what it can have is {known} and *")
        if name in seen:
            raise BadInput(f"the pattern has {{{name}}} twice")
        seen.add(name)
        parts.append(rf"(?P<{name}>\d{{1,9}})" if name == "repetition" else f"(?P<{name}>[^/]{{1,200}}?)")
    rest = text[at:]
    if "{" in rest or "}" in rest:
        raise BadInput(f"the pattern {text!r} has a brace without its other one")
    return re.compile("".join([*parts, re.escape(rest)]))


def read_mapping(data: bytes, name: str) -> MappingFile:
    """A mapping file.

    Raises:
        BadInput: it is no TOML, or does not fit.
    """
    try:
        return MappingFile.model_validate(tomllib.loads(data.decode()))
    except ValidationError as error:
        raise BadInput(f"the mapping {name} does not fit: {'; '.join(faults_of(error)[:5])}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"the mapping {name} is no TOML: {str(error)[:200]}") from None


def natural(text: str) -> tuple[object, ...]:
    """The key by which names with numbers are sorted as a reader would: run2 before run10. No two names have one."""
    parts = _DIGITS.split(text)[:20]
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts), text


def _braced(name: str) -> str:
    return f"{{{name}}}"


def _whole(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) and int(text) > 0 else None
