"""What can go wrong between here and a cluster's API, as sentences."""

import json
from typing import Final

from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError, SSLError
from urllib3.exceptions import TimeoutError as UrllibTimeoutError

from analysis.errors import Problem, Unfit

UNAUTHORISED: Final = 401
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
CONFLICT: Final = 409
GONE: Final = 410
TOO_MANY: Final = 429
_REPEATABLE: Final = frozenset({TOO_MANY, 408, 500, 502, 503, 504})
_LONGEST_TEXT: Final = 300


class ApiError(Problem):
    """The API refused a call. `status` is the HTTP status; 0 if the answer made no sense."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class DeniedError(Unfit):
    """Who we are may not do this."""


class ConflictError(ApiError):
    """Somebody else was faster: the object is there already, or changed since it was read."""


class ExpiredError(ApiError):
    """The version that a watch or a list goes on from is too old: begin again."""


class TransientError(ApiError):
    """It may go well the next time. `retry_after_s`: when the server asks to come back, if it does."""

    def __init__(self, message: str, status: int = 0, retry_after_s: float | None = None) -> None:
        super().__init__(message, status)
        self.retry_after_s = retry_after_s


def refused(where: str, what: str, method: str, status: int, body: bytes, retry_after: str | None) -> Problem:
    """The error that an answer's status means.

    Args:
        where: the cluster.
        what: what was asked about, such as `DaemonSet kube-proxy`.
        method: of the request.
        status: of the answer.
        body: of the answer; a Status object as a rule.
        retry_after: that header.
    """
    said = _said(body)
    if status == FORBIDDEN:
        return DeniedError(
            f"{where}: not allowed: {said} Have an administrator type `make deploy` "
            "or `kubectl apply -k workflows/manifests`, or use another account."
        )
    if status == UNAUTHORISED:
        return DeniedError(f"{where}: the API server doesn't accept our credentials ({said}): renew them.")
    text = f"{where}: {method} of {what} failed with status {status}: {said}"
    if status == CONFLICT:
        return ConflictError(text, status)
    if status == GONE:
        return ExpiredError(text, status)
    if status in _REPEATABLE:
        return TransientError(text, status, _seconds(retry_after))
    return ApiError(text, status)


def unreachable(where: str, what: str, error: HTTPError | OSError) -> Problem:
    """The error that a broken connection means: worth another try, unless it is a certificate that isn't trusted."""
    cause = getattr(error, "reason", None) or error
    if isinstance(error, SSLError) or isinstance(cause, SSLError):
        return Unfit(f"{where}: the API server's certificate is not trusted ({cause}): correct the kubeconfig's CA.")
    if isinstance(cause, NameResolutionError):
        detail = f"its name can't be resolved ({cause})"
    elif isinstance(cause, NewConnectionError):  # a refusal, though urllib3 counts it among the timeouts
        detail = _shortened(str(cause).rpartition("connection: ")[2])
    elif isinstance(cause, UrllibTimeoutError):
        detail = "it did not answer in time"
    else:
        detail = _shortened(str(cause)) or type(cause).__name__
    return TransientError(f"{where}: the API server can't be reached for {what}: {detail}.")


def _said(body: bytes) -> str:
    try:
        message = json.loads(body).get("message")
    except (ValueError, AttributeError):
        message = body.decode(errors="replace").strip()
    return _shortened(str(message or "no reason was given")).rstrip(".") + "."


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _seconds(retry_after: str | None) -> float | None:
    try:
        return None if retry_after is None else max(0.0, float(retry_after))
    except ValueError:  # a date: the usual pauses will do
        return None
