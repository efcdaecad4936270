"""Kubeconfigs: found, read, merged as kubectl merges them, and checked.

Every entry needs a name; only the chosen context, its cluster and its user are checked field by field, so that a
damaged entry of another cluster does no harm.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analysis.console.excerpts import excerpt
from analysis.console.notices import print_notice
from analysis.errors import BadInput, Unsupported
from steps.cluster.kube.api.waiting import DelayNotice
from steps.strict_model import faults_of

LARGEST_BYTES: Final = 4 * 2**20
"""Of one kubeconfig; a hundred clusters with certificates take a tenth of that."""

_MOST_NODES: Final = 200_000
"""Values in one kubeconfig with all aliases expanded, since a few lines can expand to billions."""

_LISTS: Final = ("clusters", "contexts", "users")
_SHOWN_NAMES: Final = 20


class _Fields(BaseModel):
    """The fields of an entry that this project uses; others are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True, populate_by_name=True)


class ContextFields(_Fields):
    """The cluster and the user."""

    cluster: str = ""
    user: str | None = None


class ClusterFields(_Fields):
    """The address of an API server, and its certificate authority."""

    server: str = ""
    authority: str | None = Field(None, alias="certificate-authority")
    authority_data: str | None = Field(None, alias="certificate-authority-data")
    insecure: bool | None = Field(None, alias="insecure-skip-tls-verify")
    tls_server_name: str | None = Field(None, alias="tls-server-name")
    proxy_url: str | None = Field(None, alias="proxy-url")


class PluginVariable(_Fields):
    """One environment variable of a plugin."""

    name: str
    value: str


class Plugin(_Fields):
    """A program that prints credentials."""

    command: str = Field(min_length=1)
    api_version: str = Field(alias="apiVersion")
    args: list[str] | None = None
    env: list[PluginVariable] | None = None
    install_hint: str | None = Field(None, alias="installHint")


class Provider(_Fields):
    """A login method built into kubectl until 1.26."""

    name: str = ""


class UserFields(_Fields):
    """Credentials and impersonation."""

    token: str | None = None
    token_file: str | None = Field(None, alias="tokenFile")
    certificate: str | None = Field(None, alias="client-certificate")
    certificate_data: str | None = Field(None, alias="client-certificate-data")
    key: str | None = Field(None, alias="client-key")
    key_data: str | None = Field(None, alias="client-key-data")
    username: str | None = None
    password: str | None = None
    plugin: Plugin | None = Field(None, alias="exec")
    provider: Provider | None = Field(None, alias="auth-provider")
    impersonated: str | None = Field(None, alias="as")
    impersonated_uid: str | None = Field(None, alias="as-uid")
    impersonated_groups: list[str] | None = Field(None, alias="as-groups")
    impersonated_extra: dict[str, list[str]] | None = Field(None, alias="as-user-extra")


F = TypeVar("F", bound=_Fields)


@dataclass(frozen=True, slots=True)
class NamedEntry:
    """A named entry, and its file, to whose folder paths are relative."""

    kind: str
    name: str
    body: Mapping[str, Any]
    file: Path

    @property
    def called(self) -> str:
        """For a message: `cluster 'prod' of the kubeconfig /home/me/.kube/config`."""
        return f"{self.kind} {self.name!r} of the kubeconfig {self.file}"

    def fields(self, kind: type[F]) -> F:
        """The used fields.

        Raises:
            Unsupported: one has the wrong type.
        """
        try:
            return kind.model_validate(self.body)
        except ValidationError as error:
            raise Unsupported(f"{self.called} is damaged: {'; '.join(faults_of(error))}: correct it.") from None


@dataclass(frozen=True, slots=True)
class ChosenContext:
    """A context with its cluster and user. `user`: None if the context names none."""

    name: str
    cluster: NamedEntry
    user: NamedEntry | None


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """All files merged: the first entry of each name counts, and the first current context."""

    files: tuple[Path, ...]
    clusters: Mapping[str, NamedEntry]
    contexts: Mapping[str, NamedEntry]
    users: Mapping[str, NamedEntry]
    current: str

    @property
    def called(self) -> str:
        """For a message: `the kubeconfig /home/me/.kube/config`."""
        return "the kubeconfig " + os.pathsep.join(map(str, self.files))

    @property
    def names(self) -> str:
        """The contexts, for a message."""
        names = sorted(self.contexts)
        rest = len(names) - _SHOWN_NAMES
        return (", ".join(names[:_SHOWN_NAMES]) + (f" and {rest} more" if rest > 0 else "")) or "none"

    def choose(self, context: str) -> ChosenContext:
        """The context of that name; the current one if it is empty.

        Raises:
            BadInput: there is no such context, or no current one.
            Unsupported: its cluster or its user does not exist.
        """
        name = context or self.current
        if not name:
            raise BadInput(f"{self.called} has no current context: give CONTEXT=NAME; it has {self.names}.")
        if name not in self.contexts:
            current = "" if context else ", its current context"
            raise BadInput(f"{self.called} has no context {name!r}{current}: it has {self.names}.")
        entry = self.contexts[name]
        fields = entry.fields(ContextFields)
        if fields.cluster not in self.clusters:
            raise Unsupported(
                f"{entry.called} leads to cluster {fields.cluster!r}, which is not there: add it, or correct it."
            )
        if fields.user and fields.user not in self.users:
            raise Unsupported(
                f"{entry.called} leads to user {fields.user!r}, which is not there: add it, or log in anew."
            )
        return ChosenContext(name, self.clusters[fields.cluster], self.users[fields.user] if fields.user else None)

    def context_of(self, environment: str) -> str:
        """The context of an environment's name, or else the first one of a cluster of that name.

        Raises:
            BadInput: there is neither.
        """
        if environment in self.contexts:
            return environment
        for name, entry in self.contexts.items():
            if entry.body.get("cluster") == environment:
                return name
        raise BadInput(
            f"environment {environment!r} is neither the lab nor a context of {self.called}: it has {self.names}. "
            "Name the context of the cluster that is to be measured."
        )


def read_kubeconfigs(variables: Mapping[str, str]) -> Kubeconfig:
    """All files that KUBECONFIG names, or else ~/.kube/config. Missing files are ignored, as in kubectl.

    Raises:
        Unsupported: there is none, or one can't be read.
    """
    named = [part for part in variables.get("KUBECONFIG", "").split(os.pathsep) if part]
    paths = [Path(os.path.expanduser(part)) for part in named or ["~/.kube/config"]]  # noqa: PTH111 - never raises
    found = {path: _document(path) for path in paths if _exists(path)}
    if not found:
        wanted = os.pathsep.join(map(str, paths))
        source = "KUBECONFIG names it" if named else "KUBECONFIG is not set"
        raise Unsupported(
            f"there is no way to a cluster: there is no kubeconfig {wanted} ({source}): set KUBECONFIG to one, or "
            "log in to the cluster by its provider's program."
        )
    merged: dict[str, dict[str, NamedEntry]] = {kind: {} for kind in _LISTS}
    current = ""
    for path, document in found.items():
        for kind in _LISTS:
            for entry in _entries(path, document, kind):
                merged[kind].setdefault(entry.name, entry)
        current = current or str(document.get("current-context") or "")
    return Kubeconfig(tuple(found), merged["clusters"], merged["contexts"], merged["users"], current)


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    return True


def _unreadable(path: Path, error: Exception) -> Unsupported:
    message = excerpt(getattr(error, "strerror", None) or error)
    return Unsupported(f"the kubeconfig {path} can't be read: {message}: correct it, or set KUBECONFIG to another.")


def _document(path: Path) -> dict[str, Any]:
    """One file, of a bounded size. It may be a pipe with a slow writer, such as a shell's `<(...)`."""
    waiting = f"Waiting for the kubeconfig {path}, which is no ordinary file, to be written; Ctrl-C ends it."
    try:
        with DelayNotice(print_notice).watched(waiting), path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(data) > LARGEST_BYTES:
        raise Unsupported(
            f"the kubeconfig {path} is larger than {LARGEST_BYTES // 2**20} MiB: set KUBECONFIG to another."
        )
    try:
        document = yaml.safe_load(data.decode())  # the loader in C crashes on deep nesting
    except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from None
    except RecursionError:
        raise _unreadable(path, ValueError("it is nested too deeply")) from None
    if document is None:
        raise Unsupported(f"the kubeconfig {path} is empty: set KUBECONFIG to another, or log in anew.")
    if not isinstance(document, dict):
        raise _unreadable(
            path, ValueError(f"it is a {type(document).__name__} and no mapping of clusters and contexts")
        )
    _refuse_bomb(path, document)
    return document


def _refuse_bomb(path: Path, document: object) -> None:
    """Count the values with all aliases expanded."""
    waiting, count = [document], 0
    while waiting:
        value = waiting.pop()
        count += 1
        if count > _MOST_NODES:
            raise _unreadable(path, ValueError(f"its aliases stand for more than {_MOST_NODES} values"))
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _entries(path: Path, document: dict[str, Any], kind: str) -> list[NamedEntry]:
    listed = document.get(kind) or []
    if not isinstance(listed, list):
        raise _unreadable(path, ValueError(f"its {kind} are no list"))
    entries = []
    singular = kind.removesuffix("s")
    for place, each in enumerate(listed, start=1):
        name = each.get("name") if isinstance(each, dict) else None
        if name is None or isinstance(name, dict | list):
            raise _unreadable(path, ValueError(f"entry {place} of its {kind} has no name"))
        body = each.get(singular)
        if body is not None and not isinstance(body, dict):
            raise _unreadable(path, ValueError(f"{singular} {str(name)!r} is no mapping"))
        entries.append(NamedEntry(singular, str(name), body or {}, path))
    return entries
