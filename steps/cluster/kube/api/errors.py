"""What can go wrong between here and a cluster's API, as sentences."""

import ssl
from http.client import BadStatusLine, RemoteDisconnected
from typing import Final

from urllib3.exceptions import (
    DecodeError,
    HTTPError,
    IncompleteRead,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as UrllibTimeoutError

from analysis.errors import Problem, Unsupported
from steps.cluster.kube.api.denials import BETWEEN, Status, explain
from steps.cluster.kube.api.identity import Identity

UNAUTHORISED: Final = 401
NOT_FOUND: Final = 404
CONFLICT: Final = 409
GONE: Final = 410
TOO_MANY: Final = 429
_REPEATABLE: Final = frozenset({TOO_MANY, 408, 500, 502, 503, 504})
_LONGEST_TEXT: Final = 300
_REFUSALS: Final = 400

NO_DRY_RUN: Final = "does not support dry run"
"""What the API server says where an admission webhook can't be asked without effect: then it is not asked."""


class ApiError(Problem):
    """The API refused a call. `status` is the HTTP status; 0 if the answer made no sense."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class DeniedError(Unsupported):
    """401 or 403, or a policy's refusal: these credentials, or anybody, may not do this."""


class ConflictError(ApiError):
    """Somebody else was faster: the object is there already, or changed since it was read."""


class ExpiredError(ApiError):
    """The version that a watch or a list goes on from is too old: begin again."""


class TransientError(ApiError):
    """It may go well the next time.

    `retry_after_s`: when the server asks to come back, if it does. `absent`: nothing at all was there to answer, which
    a first call should take for an answer.
    """

    def __init__(
        self, message: str, status: int = 0, retry_after_s: float | None = None, *, absent: bool = False
    ) -> None:
        super().__init__(message, status)
        self.retry_after_s = retry_after_s
        self.absent = absent


def refused(
    where: str,
    what: str,
    method: str,
    status: int,
    body: bytes,
    retry_after: str | None,
    *,
    path: str = "",
    login: Identity | None = None,
) -> Problem:
    """The error that an answer's status means.

    Args:
        where: the cluster.
        what: what was asked about, such as `DaemonSet kube-proxy`.
        method: of the request.
        status: of the answer.
        body: of the answer; a Status object as a rule.
        retry_after: that header.
        path: of the request.
        login: as whom it was made.
    """
    found, login = Status.parse(body), login or Identity()
    said = _shortened(found.message or "no reason was given").rstrip(".") + "."
    if status == UNAUTHORISED:
        return DeniedError(
            f"{where}: the API server doesn't accept the credentials of {login.who} ({said.rstrip('.')}): "
            f"{login.renew}."
        )
    if why := explain(found, status, path, login):
        return DeniedError(f"{where}: not allowed: {why}")
    text = f"{where}: {method} of {what} failed with status {status}: {said}"
    if status < _REFUSALS:
        text = f"{where}: {method} of {what} was redirected elsewhere (status {status}). {BETWEEN}"
    if status == CONFLICT:
        return ConflictError(text, status)
    if status == GONE:
        return ExpiredError(text, status)
    if status in _REPEATABLE:
        return TransientError(text, status, _seconds(retry_after))
    return ApiError(text, status)


def unreachable(where: str, what: str, error: HTTPError | OSError) -> Problem:
    """The error that a broken connection means: worth another try, unless no try can make TLS agree."""
    cause = getattr(error, "reason", None) or error
    if isinstance(error, SSLError) or isinstance(cause, SSLError):
        return _no_trust(where, what, error if isinstance(error, SSLError) else cause)
    absent = False
    if isinstance(cause, ProxyError):
        detail, absent = f"its proxy can't be reached ({_shortened(_reason(cause.original_error))})", True
    elif isinstance(cause, NameResolutionError):
        detail, absent = f"its name can't be resolved ({_shortened(str(cause).partition(': ')[2])})", True
    elif isinstance(cause, NewConnectionError):  # a refusal, though urllib3 counts it among the timeouts
        detail, absent = _shortened(_reason(cause)), True
    elif isinstance(cause, UrllibTimeoutError):
        detail = "it did not answer in time"
    else:
        detail = _broken(cause)
    return TransientError(f"{where}: the API server can't be reached for {what}: {detail}.", absent=absent)


def _broken(error: BaseException) -> str:
    """What became of a connection that was there; urllib3 keeps the real error behind a word of its own."""
    inner = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], BaseException) else error
    if isinstance(error, DecodeError):
        return str(error.args[0]).rstrip(".")
    if isinstance(inner, RemoteDisconnected | IncompleteRead):
        return "the connection was closed in the middle of an answer, or without one"
    if isinstance(inner, BadStatusLine):
        return "what answers there does not speak HTTP: is the scheme of its address right"
    return _shortened(getattr(inner, "strerror", None) or str(inner)) or "the connection broke"


def _reason(error: BaseException) -> str:
    """Without the connection's own name, which says nothing to a person."""
    return str(error).rpartition("connection: ")[2] or str(error)


def _no_trust(where: str, what: str, error: BaseException) -> Problem:
    """A handshake that was cut may go well the next time; a certificate that isn't trusted stays so."""
    cause = error.args[0] if error.args and isinstance(error.args[0], BaseException) else error
    said = _shortened(str(getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or cause))
    if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
        return TransientError(f"{where}: the API server can't be reached for {what}: TLS was cut ({said}).")
    if isinstance(cause, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(cause):
        return Unsupported(
            f"{where}: the API server's certificate is not trusted ({said}): correct the kubeconfig's "
            "certificate-authority, its server's name, or its tls-server-name."
        )
    return Unsupported(
        f"{where}: the API server and this program can't agree on TLS ({said}): is the server's port in the kubeconfig "
        "the API server's, and is the client certificate its own?"
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _seconds(retry_after: str | None) -> float | None:
    try:
        return None if retry_after is None else max(0.0, float(retry_after))
    except ValueError:  # a date: the usual pauses will do
        return None
