"""Errors of calls to a cluster's API, as sentences."""

import ssl
from http import HTTPStatus
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

from analysis.console.excerpts import excerpt
from analysis.errors import Problem, Unsupported
from steps.cluster.kube.api.denials import BETWEEN, ApiStatus, explain
from steps.cluster.kube.api.identity import Identity
from steps.settings.environment import with_context

_REPEATABLE: Final = frozenset({408, 429, 500, 502, 503, 504})

NO_DRY_RUN: Final = "does not support dry run"
"""In the message of a refused dry run, where an admission webhook has side effects."""


class ApiError(Problem):
    """The API refused a call. `status` is the HTTP status; 0 if the answer was not Kubernetes'."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class DeniedError(Unsupported):
    """401, 403 or a policy's refusal: the credentials lack the permission, or nobody has it."""


class ConflictError(ApiError):
    """The object exists already, or changed since it was read."""


class ExpiredError(ApiError):
    """The version that a watch or a list continues from is too old: begin again."""


class TransientError(ApiError):
    """The call may succeed when it is repeated.

    `retry_after_s`: the server's Retry-After. `absent`: no server accepted the connection, so a first call shall fail.
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
    context: str = "",
) -> Problem:
    """The error that an answer's status means.

    `what`: the object, such as `DaemonSet kube-proxy`. `body`: of the answer; usually a Status object. `path`: of the
    request. `context`: the kubeconfig's, which the commands of a remedy get; empty: unknown.
    """
    found, login = ApiStatus.parse(body), login or Identity()
    reason = excerpt(found.message or "no reason was given").rstrip(".")
    if status == HTTPStatus.UNAUTHORIZED:
        return DeniedError(
            f"{where}: the API server doesn't accept the credentials of {login.who} ({reason}): "
            f"{with_context(login.renew, context)}."
        )
    if why := explain(found, status, path, login):
        return DeniedError(f"{where}: not allowed: {with_context(why, context)}")
    text = f"{where}: {method} of {what} failed with status {status}: {reason}."
    if status < HTTPStatus.BAD_REQUEST:
        text = f"{where}: {method} of {what} was redirected elsewhere (status {status}). {BETWEEN}"
    if status == HTTPStatus.CONFLICT:
        return ConflictError(text, status)
    if status == HTTPStatus.GONE:
        return ExpiredError(text, status)
    if status in _REPEATABLE:
        return TransientError(text, status, _seconds(retry_after))
    return ApiError(text, status)


def unreachable(where: str, what: str, error: HTTPError | OSError) -> Problem:
    """The error that a broken connection means: transient, unless TLS can never be agreed on."""
    cause = getattr(error, "reason", None) or error
    if isinstance(error, SSLError) or isinstance(cause, SSLError):
        return _tls_error(where, what, error if isinstance(error, SSLError) else cause)
    absent = False
    if isinstance(cause, ProxyError):
        detail, absent = f"its proxy can't be reached ({excerpt(_reason(cause.original_error))})", True
    elif isinstance(cause, NameResolutionError):
        detail, absent = f"its name can't be resolved ({excerpt(str(cause).partition(': ')[2])})", True
    elif isinstance(cause, NewConnectionError):  # a refusal, though urllib3 counts it among the timeouts
        detail, absent = excerpt(_reason(cause)), True
    elif isinstance(cause, UrllibTimeoutError):
        detail = "it did not answer in time"
    else:
        detail = _broken(cause)
    return TransientError(f"{where}: the API server can't be reached for {what}: {detail}.", absent=absent)


def _broken(error: BaseException) -> str:
    """Why an established connection broke; urllib3 wraps the real error."""
    inner = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], BaseException) else error
    if isinstance(error, DecodeError):
        return str(error.args[0]).rstrip(".")
    if isinstance(inner, RemoteDisconnected | IncompleteRead):
        return "the connection was closed during the answer or before it"
    if isinstance(inner, BadStatusLine):
        return "the server there does not speak HTTP: is the scheme of its address right"
    return excerpt(getattr(inner, "strerror", None) or inner) or "the connection broke"


def _reason(error: BaseException) -> str:
    """Without the name of the connection object."""
    return str(error).rpartition("connection: ")[2] or str(error)


def _tls_error(where: str, what: str, error: BaseException) -> Problem:
    """An interrupted handshake is transient; an untrusted certificate is not."""
    cause = error.args[0] if error.args and isinstance(error.args[0], BaseException) else error
    reason = excerpt(getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or cause)
    if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
        return TransientError(f"{where}: the API server can't be reached for {what}: TLS was interrupted ({reason}).")
    if isinstance(cause, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(cause):
        return Unsupported(
            f"{where}: the API server's certificate is not trusted ({reason}): correct the kubeconfig's "
            "certificate-authority, its server's name, or its tls-server-name."
        )
    return Unsupported(
        f"{where}: the API server and this program can't agree on TLS ({reason}): is the server's port in the "
        "kubeconfig the API server's, and is the client certificate its own?"
    )


def _seconds(retry_after: str | None) -> float | None:
    try:
        return None if retry_after is None else max(0.0, float(retry_after))
    except ValueError:  # a date: the usual pauses apply
        return None
