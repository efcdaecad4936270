"""HTTP calls to a cluster's API, with retries.

A switch of the dataplane may interrupt this very connection. So connections that are refused, closed or silent, 429
with its Retry-After, and 5xx are retried until the patience ends. A notice is printed at the first retry, and when an
answer takes long. At a prompt the first call of all is not retried if no server accepts the connection.

A pod reaches the API server by a Service, and on the way back from eBPF no Service works from Felix's end of eBPF until
kube-proxy returns. A connection that breaks then could not be made anew, and nobody in the cluster could end that
state. So calls go on by the server's own addresses, whose certificate must be that of the Service's address.
"""

import copy
import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

import urllib3
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay
from urllib3 import HTTPHeaderDict
from urllib3.exceptions import HTTPError

from analysis.addresses import shown_address
from analysis.console.excerpts import excerpt
from analysis.console.notices import print_notice
from analysis.errors import Problem, Unsupported
from steps.cluster.kube.api.errors import TransientError, refused, unreachable
from steps.cluster.kube.api.identity import Identity
from steps.cluster.kube.api.retries import BACKOFF
from steps.cluster.kube.api.waiting import DelayNotice, Say

if TYPE_CHECKING:
    from kubernetes.client import Configuration

PATIENCE_S: Final = 120.0
"""How long a call is retried: longer than the 30 to 43 s that nodes need in a rollout."""

CONNECT_S: Final = 5.0
READ_S: Final = 30.0
_LONGEST_RETRY_AFTER_S: Final = 30.0
_JSON: Final = "application/json"

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """How a cluster is reached.

    Attributes:
        configuration: of the kubernetes package: its first address, and the credentials.
        login: the identity of the caller.
        context: of the kubeconfig, for the commands in messages; in a pod that of the deployment; empty: unknown.
        others: further addresses of the API server, tried in turn where one does not answer.
    """

    configuration: "Configuration"
    login: Identity = field(default_factory=Identity)
    context: str = ""
    others: tuple[str, ...] = ()


class ApiTransport:
    """HTTP to one API server.

    Args:
        access: to it.
        where: the cluster's name in messages.
        patience_s: how long a call is retried.
        at_prompt: a user waits, so the first call fails at once if nothing answers.
        say: called with a sentence for each delay.
    """

    def __init__(
        self,
        access: ClusterAccess,
        where: str,
        patience_s: float = PATIENCE_S,
        *,
        at_prompt: bool = False,
        say: Say = print_notice,
    ) -> None:
        self.where, self.context = where, access.context
        self._login = access.login
        self._patience_s = patience_s
        self._at_prompt = at_prompt
        self._say = say
        self._answered = False
        self.throttled = 0
        """How many requests the API server's limits refused with 429."""
        self._configuration = configuration = access.configuration
        direct = copy.copy(configuration)
        direct.tls_server_name = configuration.tls_server_name or urlsplit(configuration.host).hostname
        self._ways = [(configuration.host.rstrip("/"), _pool(configuration, where))]
        self._ways += [(other, _pool(direct, where)) for other in access.others]

    def patient(self, patience_s: float) -> "ApiTransport":
        """The same connections with another patience."""
        other = copy.copy(self)
        other._patience_s = patience_s  # noqa: SLF001 - a copy of this very object
        return other

    def call(
        self,
        method: str,
        path: str,
        what: str,
        body: object = None,
        *,
        content: str = "",
        missing: bool = False,
        accept: str = _JSON,
    ) -> bytes | None:
        """The body of the answer; None for 404 with `missing`. Transient errors are retried.

        Raises:
            ApiError: the API refused; ConflictError and ExpiredError among them.
            DeniedError: the permission is missing.
            TransientError: the patience ended.
        """

        def once() -> bytes | None:
            with closing(self.once(method, path, what, body, content, accept, missing=missing)) as response:
                if response.status == HTTPStatus.NOT_FOUND:
                    response.drain_conn()
                    return None
                return self.guarded(what, response.read)

        return self._retrying(what, once)

    def header(self, path: str, what: str, name: str) -> str | None:
        """One header of the answer to a GET."""

        def once() -> str | None:
            with closing(self.once("GET", path, what)) as response:
                response.drain_conn()
                return response.headers.get(name)

        return self._retrying(what, once)

    def lines(self, path: str, what: str, read_s: float) -> Iterator[bytes]:
        """The lines of an answer as they arrive; no retries.

        Raises:
            TransientError: the connection broke.
        """
        with closing(self.once("GET", path, what, read_s=read_s)) as response:
            rest = b""
            chunks = response.stream(65_536, decode_content=True)
            while True:
                chunk = self.guarded(what, lambda: next(chunks, None))
                if chunk is None:
                    return
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line for line in whole if line.strip())

    def once(
        self,
        method: str,
        path: str,
        what: str,
        body: object = None,
        content: str = "",
        accept: str = _JSON,
        *,
        missing: bool = False,
        read_s: float = READ_S,
    ) -> urllib3.BaseHTTPResponse:
        """One request, and its answer with the body unread, also a 404 with `missing`."""
        headers = HTTPHeaderDict(self._login.impersonation)
        headers.update({"Accept": accept, "User-Agent": "dataplane-benchmark", **self._authorisation()})
        if body is not None:
            headers["Content-Type"] = content or _JSON
        host, pool = self._ways[0]
        try:
            response = self.guarded(
                what,
                lambda: pool.request(
                    method,
                    host + path,
                    body=None if body is None else json.dumps(body).encode(),
                    headers=headers,
                    timeout=urllib3.Timeout(connect=CONNECT_S, read=read_s),
                    retries=False,
                    preload_content=False,
                ),
            )
        except Problem as problem:
            if self._ways[0][0] == host:  # else another thread has turned to the next one
                self._ways = [*self._ways[1:], self._ways[0]]
            if len(self._ways) == 1 or isinstance(problem, TransientError):
                raise
            raise TransientError(str(problem)) from None  # of the certificate at this address: another may fit
        self._answered = True
        # the API server sends no redirects
        if response.status < HTTPStatus.MULTIPLE_CHOICES or (missing and response.status == HTTPStatus.NOT_FOUND):
            return response
        with closing(response):
            text = self.guarded(what, response.read)
        after = response.headers.get("Retry-After")
        raise refused(
            self.where,
            what,
            method,
            response.status,
            text,
            after,
            path=path,
            login=self._login,
            context=self.context,
        )

    def guarded(self, what: str, attempt: Callable[[], R]) -> R:
        """The result of the attempt; a broken connection becomes a Problem."""
        try:
            return attempt()
        except (HTTPError, OSError) as error:
            raise unreachable(self.where, what, error) from None

    def _authorisation(self) -> dict[str, str]:
        bearer = self._configuration.auth_settings().get("BearerToken")
        value = str(bearer["value"]).strip() if bearer else ""
        if not (value.isascii() and value.isprintable()):
            raise Unsupported(
                f"{self.where}: the token of {self._login.who} has characters that no token can have: log in anew."
            )
        return {"authorization": value} if value else {}

    def _retrying(self, what: str, once: Callable[[], R]) -> R:
        notice = DelayNotice(self._say)

        def hopeless(error: BaseException) -> bool:
            return self._at_prompt and not self._answered and isinstance(error, TransientError) and error.absent

        def notify(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome is not None else None
            self.throttled += isinstance(error, TransientError) and error.status == HTTPStatus.TOO_MANY_REQUESTS
            notice.now(f"{str(error).rstrip('.')}. {self._trying}")

        attempts = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, TransientError) and not hopeless(error)),
            stop=stop_after_delay(self._patience_s),
            wait=_pause,
            sleep=time.sleep,
            before_sleep=notify,
            reraise=True,
        )
        with notice.watched(f"{self.where}: the API server has not answered yet for {what}. {self._trying}"):
            try:
                return attempts(once)
            except TransientError as error:
                if not hopeless(error):
                    raise
                address = shown_address(self._configuration.host)
                raise Unsupported(
                    f"{error} Its address is {address}: is that right, is the cluster up, and can it be reached from "
                    "here?"
                ) from None

    @property
    def _trying(self) -> str:
        return f"Trying for {self._patience_s:.0f} s{'; Ctrl-C ends it' if self._at_prompt else ''}."


def _pool(configuration: "Configuration", where: str) -> urllib3.PoolManager:
    """The connections, through the proxy if there is one.

    Raises:
        Unsupported: the proxy can't be used.
    """
    from kubernetes.client.rest import RESTClientObject  # noqa: PLC0415 - half a second, for those who connect

    proxy = configuration.proxy
    if proxy and "://" not in proxy:  # as curl and Go read it
        proxy = configuration.proxy = f"http://{proxy}"
    try:
        with warnings.catch_warnings(action="ignore"):  # the error below names missing SOCKS support
            pool: urllib3.PoolManager = RESTClientObject(configuration).pool_manager
    except (ImportError, HTTPError, AssertionError, OSError, ValueError) as error:
        if not proxy:
            raise Unsupported(f"{where}: the API server can't be called: {excerpt(error)}.") from None
        socks = proxy.lower().startswith("socks")
        why = "SOCKS proxies are unavailable here" if socks else "it is no address of one"
        raise Unsupported(
            f"{where}: its proxy {shown_address(proxy)} can't be used: {why}: name an HTTP proxy by proxy-url in "
            "the kubeconfig or by HTTPS_PROXY, or reach the API server by a forwarded port."
        ) from None
    return pool


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    retry_after_s = error.retry_after_s if isinstance(error, TransientError) else None
    return BACKOFF(state) if retry_after_s is None else min(retry_after_s, _LONGEST_RETRY_AFTER_S)
