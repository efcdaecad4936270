"""Notifications: the verdict of a run as JSON, posted to the address of the deployment."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as UrllibTimeoutError

from analysis.errors import BadInput, Problem
from analysis.summary.summary import Summary

CONNECT_S: Final = 5.0
READ_S: Final = 10.0
ATTEMPTS: Final = 4
PAUSE: Final = wait_exponential(0.5)
_BAD: Final = 400
_MOVED: Final = 300
_BUSY: Final = frozenset({408, 429})
_SERVERS_FAULT: Final = 500


class _AgainError(Problem):
    """A failure that is worth another attempt."""


def message(
    run_id: str, environment: str, status: str, report: str, summary: Summary | None, *, restored: bool
) -> dict[str, Any]:
    """The document that is posted. Chat programs show its `text`.

    Args:
        run_id: the run's id.
        environment: the name under which its figures are stored.
        status: Argo's phase of the workflow.
        report: the address of its report in the store.
        summary: its summary, if it has one.
        restored: whether the cluster is as it was before.
    """
    headline = summary.headline if summary else f"The run ended as {status} before anything was analysed."
    alarm = f"{summary.alarm} " if summary and summary.alarm else ""
    warning = "" if restored else f" {environment} was NOT put back as it was."
    return {
        "text": f"{environment}: {alarm}{headline}{warning}",
        "run": run_id,
        "environment": environment,
        "status": status,
        "restored": restored,
        "outcome": summary.outcome if summary else None,
        "headline": summary.headline if summary else None,
        "regression": summary.alarm or None if summary else None,
        "notice": summary.notice if summary else None,
        "trials": summary.trials if summary else None,
        "trials_measured": summary.trials_measured if summary else None,
        "flags": [{"flag": f.flag, "count": f.trials, "meaning": f.meaning} for f in summary.flags] if summary else [],
        "failures": [{"reason": f.reason, "count": f.count} for f in summary.failures] if summary else [],
        "report": report if summary else None,
    }


def post(url: str, body: Mapping[str, Any], pause: Callable[[RetryCallState], float] = PAUSE) -> int:
    """Post it. Returns the answer's status.

    Args:
        url: where; http or https.
        body: what.
        pause: how long to wait between two attempts, in seconds.

    Raises:
        BadInput: the address is none.
        Problem: it was not taken; a sentence that names the host alone, since such addresses hold secrets.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:  # of brackets that don't match, and of ports that are none
        usable = None
    if not usable or not parts.hostname:
        raise BadInput("BENCHMARK_NOTIFY_URL is no address: write https://HOST/PATH.")
    attempts = Retrying(
        retry=retry_if_exception_type(_AgainError), stop=stop_after_attempt(ATTEMPTS), wait=pause, reraise=True
    )
    return attempts(_once, url, parts.hostname, json.dumps(body).encode())


def _once(url: str, host: str, body: bytes) -> int:
    try:
        with urllib3.PoolManager() as pool:
            answer = pool.request(
                "POST",
                url,
                body=body,
                headers={"Content-Type": "application/json", "User-Agent": "dataplane-benchmark"},
                timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S),
                retries=False,
                redirect=False,
            )
    except HTTPError as error:
        raise _AgainError(f"{host} could not be notified of the run: {_why(error)}.") from None
    status = int(answer.status)
    if status in _BUSY or status >= _SERVERS_FAULT:
        raise _AgainError(f"{host} could not be notified of the run: it answered {status}, {ATTEMPTS} times.")
    if status >= _BAD:
        raise Problem(f"{host} refused the notification of the run: it answered {status}; check BENCHMARK_NOTIFY_URL.")
    if status >= _MOVED:
        moved = urlsplit(answer.headers.get("Location", "")).hostname or "elsewhere"
        raise Problem(f"{host} sends on to {moved} ({status}), and a secret is not sent on: give the final address.")
    return status


def _why(error: HTTPError) -> str:
    cause = getattr(error, "reason", None) or error
    if isinstance(cause, UrllibTimeoutError) and not isinstance(cause, NewConnectionError):
        return f"it did not answer within {READ_S:g} s"
    return str(cause).rpartition(": ")[2] or type(cause).__name__
