"""One HTTP call to a cluster's API, repeated through trouble.

A switch of the dataplane may cut this very connection, so that every call survives that: connections refused, cut or
silent, 429 with its Retry-After, and 5xx are tried again until patience is over.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Final, TypeVar

import urllib3
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay
from tenacity.wait import wait_random_exponential
from urllib3.exceptions import HTTPError

from steps.cluster.kube.faults import NOT_FOUND, TransientError, refused, unreachable

if TYPE_CHECKING:
    from kubernetes.client import Configuration

PATIENCE_S: Final = 120.0
"""How long a call is tried again: longer than the 30 to 43 s that nodes need to come back in a rollout."""

CONNECT_S: Final = 5.0
READ_S: Final = 30.0
_BAD: Final = 400
_LONGEST_PAUSE_S: Final = 5.0
_LONGEST_ASKED_S: Final = 30.0

R = TypeVar("R")


class Transport:
    """HTTP to one API server. `where` names the cluster in sentences."""

    def __init__(self, configuration: "Configuration", where: str, patience_s: float) -> None:
        from kubernetes.client.rest import RESTClientObject  # noqa: PLC0415 - half a second, for those who connect

        self.where = where
        self._patience_s = patience_s
        self._configuration = configuration
        self._pool: urllib3.PoolManager = RESTClientObject(configuration).pool_manager

    def call(
        self, method: str, path: str, what: str, body: object = None, *, content: str = "", missing: bool = False
    ) -> bytes | None:
        """The answer's body. None for 404 where `missing` is an answer. Tried again while there is hope.

        Raises:
            ApiError: the API refused; ConflictError and ExpiredError among them.
            DeniedError: we may not.
            TransientError: patience is over.
        """

        def once() -> bytes | None:
            response = self.once(method, path, what, body, content=content, missing=missing)
            if response is None:
                return None
            with closing(response):
                return self.guarded(what, response.read)

        return self._retrying(once)

    def header(self, path: str, what: str, name: str) -> str | None:
        """One header of the answer to a GET."""

        def once() -> str | None:
            response = self.once("GET", path, what)
            if response is None:
                return None
            with closing(response):
                response.drain_conn()
                return response.headers.get(name)

        return self._retrying(once)

    def lines(self, path: str, what: str, read_s: float) -> Iterator[bytes]:
        """The lines of an answer as they come; raises TransientError when it breaks. Not tried again."""
        response = self.once("GET", path, what, read_s=read_s)
        if response is None:
            return
        with closing(response):
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
        *,
        content: str = "",
        missing: bool = False,
        read_s: float = READ_S,
    ) -> urllib3.BaseHTTPResponse | None:
        """One request, one answer whose body is still to be read; None for 404 where `missing` is an answer."""
        headers = {"Accept": "application/json", "User-Agent": "dataplane-benchmark", **self._authorisation()}
        if body is not None:
            headers["Content-Type"] = content or "application/json"
        response = self.guarded(
            what,
            lambda: self._pool.request(
                method,
                self._configuration.host.rstrip("/") + path,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_S, read=read_s),
                retries=False,
                preload_content=False,
            ),
        )
        if response.status < _BAD:
            return response
        with closing(response):
            if response.status == NOT_FOUND and missing:
                response.drain_conn()
                return None
            text = self.guarded(what, response.read)
        raise refused(self.where, what, method, response.status, text, response.headers.get("Retry-After"))

    def guarded(self, what: str, attempt: Callable[[], R]) -> R:
        """The attempt's result, a broken connection as a sentence."""
        try:
            return attempt()
        except (HTTPError, OSError) as error:
            raise unreachable(self.where, what, error) from None

    def _authorisation(self) -> dict[str, str]:
        bearer = self._configuration.auth_settings().get("BearerToken")
        return {str(bearer["key"]): str(bearer["value"])} if bearer else {}

    def _retrying(self, once: Callable[[], R]) -> R:
        attempts = Retrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_delay(self._patience_s),
            wait=_pause,
            sleep=time.sleep,
            reraise=True,
        )
        return attempts(once)


_backoff = wait_random_exponential(multiplier=0.2, max=_LONGEST_PAUSE_S)


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after_s if isinstance(error, TransientError) else None
    return _backoff(state) if asked is None else min(asked, _LONGEST_ASKED_S)
