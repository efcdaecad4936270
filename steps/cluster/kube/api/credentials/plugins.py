"""Credential plugins: run, checked, and run again before the credentials expire.

The kubernetes package runs them too, but only logs a failure and continues without credentials, to which the API server
answers "system:anonymous is forbidden". So this module runs them by that package's own class.
"""

import secrets
import sys
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analysis.console.excerpts import excerpt
from analysis.console.notices import print_notice
from analysis.errors import Unsupported
from steps.cluster.kube.api.credentials.kubeconfig import NamedEntry, Plugin
from steps.cluster.kube.api.errors import TransientError
from steps.cluster.kube.api.waiting import DelayNotice, after
from steps.strict_model import faults_of

if TYPE_CHECKING:
    from kubernetes.client import Configuration

_AHEAD: Final = timedelta(minutes=1)
"""How long before their expiry credentials are renewed."""

_LONGEST: Final = 500
"""Characters of a plugin's output in a message."""

MARK: Final = "DATAPLANE_BENCHMARK_PLUGIN"
"""An environment variable that marks a plugin and all processes that it starts, even those that outlive it."""

ALONE_S: Final = 60.0
"""The longest run of a plugin without a terminal."""

AT_TERMINAL_S: Final = 600.0
"""The longest run of a plugin at a terminal, where a user may have to log in by a browser first."""


class Credential(BaseModel):
    """The status of an ExecCredential."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    token: str | None = None
    certificate: str | None = Field(None, alias="clientCertificateData")
    key: str | None = Field(None, alias="clientKeyData")
    expires: datetime | None = Field(None, alias="expirationTimestamp")


@dataclass(slots=True)
class Credentials:
    """The credentials that a user's plugin prints, renewed by running it again."""

    user: NamedEntry
    plugin: Plugin
    cluster: NamedEntry
    found: Credential = field(default_factory=Credential)

    def get(self) -> Credential:
        """Run the plugin.

        Raises:
            Unsupported: it is missing, failed, or printed no credentials.
        """
        found = self._checked(self._run())
        if not found.token and not (found.certificate and found.key):
            raise self._failed("it printed neither a token nor a certificate with its key")
        self.found = found
        return found

    def renew(self, configuration: "Configuration") -> None:
        """The hook that the client configuration calls before each request.

        Raises:
            TransientError: the plugin fails, though it succeeded before.
        """
        expires = self.found.expires
        if expires is None or not self.found.token:
            return
        at = expires if expires.tzinfo else expires.replace(tzinfo=UTC)
        if datetime.now(UTC) < at - _AHEAD:
            return
        try:
            configuration.api_key["BearerToken"] = f"Bearer {self.get().token}"
        except Unsupported as problem:
            raise TransientError(str(problem)) from None

    def _run(self) -> object:
        from kubernetes.config import ConfigException  # noqa: PLC0415 - half a second, for those who connect
        from kubernetes.config.exec_provider import ExecProvider  # noqa: PLC0415
        from kubernetes.config.kube_config import ConfigNode  # noqa: PLC0415

        called = dict(self.user.body["exec"]) | {"command": self.plugin.command, "args": self.plugin.args}
        bound = TimeLimit()
        mark = {"name": MARK, "value": bound.mark}
        called["env"] = [*(each.model_dump() for each in self.plugin.env or []), mark]
        node = ConfigNode("exec", called)  # type: ignore[no-untyped-call]
        cluster = ConfigNode("cluster", dict(self.cluster.body))  # type: ignore[no-untyped-call]
        where = str(self.user.file.absolute().parent)
        sentence = f"Waiting for {self._called}, which gets the credentials; Ctrl-C ends it."
        try:
            with DelayNotice(print_notice).watched(sentence), bound.enforced():
                return ExecProvider(node, where, cluster).run()  # type: ignore[no-untyped-call]
        except FileNotFoundError:
            hint = f" ({' '.join(self.plugin.install_hint.split())})" if self.plugin.install_hint else ""
            raise self._failed(f"it is not installed, or not on PATH: install it{hint}") from None
        except OSError as error:
            raise self._failed(f"it can't be started: {error.strerror or error}") from None
        except (ConfigException, TypeError, ValueError, AttributeError, KeyError) as error:
            if bound.is_over:
                raise self._failed(
                    f"it did not end within {bound.seconds:.0f} s and was ended; it may wait for input"
                ) from None
            raise self._failed(str(error).removeprefix("exec: ")) from None

    def _checked(self, status: object) -> Credential:
        try:
            return Credential.model_validate(status)
        except ValidationError as error:
            raise self._failed(f"what it printed is no ExecCredential: {'; '.join(faults_of(error))}") from None

    @property
    def _called(self) -> str:
        return f"the plugin `{plugin_command(self.plugin)}` of {self.user.called}"

    def _failed(self, why: str) -> Unsupported:
        output = excerpt(why, _LONGEST).rstrip(".")
        return Unsupported(f"{self._called} got no credentials: {output}. Run it by hand to see more, or log in anew.")


class TimeLimit:
    """A time limit for one plugin and the processes that it starts.

    Attributes:
        seconds: the limit.
        mark: the value of MARK in their environment.
        is_over: whether they were killed.
    """

    def __init__(self) -> None:
        streams = (sys.stdin, sys.stdout, sys.stderr)
        at_terminal = any(stream is not None and stream.isatty() for stream in streams)
        self.seconds = AT_TERMINAL_S if at_terminal else ALONE_S
        self.mark = secrets.token_hex(16)
        self.is_over = False

    def enforced(self) -> AbstractContextManager[None]:
        """Kill the processes if the block takes longer."""
        return after(self.seconds, self._end)

    def _end(self) -> None:
        import psutil  # noqa: PLC0415 - only when a plugin hangs

        self.is_over = True
        for process in psutil.process_iter(["environ"]):
            if (process.info["environ"] or {}).get(MARK) == self.mark:
                with suppress(psutil.Error):
                    process.kill()


def plugin_command(plugin: Plugin) -> str:
    """The command line of a plugin, for a message."""
    return excerpt(" ".join([plugin.command, *(plugin.args or [])]), _LONGEST)
