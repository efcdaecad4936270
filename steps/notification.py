"""Notifications: the verdict of a run as JSON, posted to the address of the deployment."""

import json
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any, Final

import urllib3
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError
from urllib3.exceptions import TimeoutError as UrllibTimeoutError

from analysis.addresses import Webhook, parse_webhook, shown_host
from analysis.console.sanitizing import strip_controls
from analysis.errors import Problem
from analysis.summary.answer import wording
from analysis.summary.run import at_scale
from analysis.summary.run.markdown import to_markdown
from analysis.summary.run.summary import Summary

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
    run_id: str,
    environment: str,
    status: str,
    report: str,
    summary: Summary | None,
    *,
    restored: bool,
    unread: str = "",
) -> dict[str, Any]:
    """The document that is posted. Chat programs show its `text`: the answer, a line for each dataplane, and how sure.

    `environment`: the name under which its figures are stored. `status`: Argo's phase of the workflow. `report`: the
    address of its report in the store. `restored`: whether the cluster is as it was before. `unread`: why it is unknown
    whether it has a summary, as a clause; empty: it is known.
    """
    unread = f"Its summary can't be read: {unread.rstrip('.')}." if unread else ""
    ended = (
        f"The run ended as {status}. {unread}" if unread else f"The run ended as {status} before anything was analysed."
    )
    headline = summary.headline if summary else ended
    alarm = f"{summary.alarm} " if summary and summary.alarm else ""
    warning = "" if restored else f" {environment} was NOT put back as it was."
    return {
        "text": strip_controls("\n".join([f"{environment}: {alarm}{headline}{warning}", *_details(summary)])),
        "run": run_id,
        "environment": environment,
        "status": status,
        "restored": restored,
        "outcome": summary.outcome if summary else None,
        "headline": summary.headline if summary else None,
        "answer": wording.document(summary.answer) if summary and summary.answer else None,
        "at_scale": [group.sentence for group in at_scale.groups_of(summary)] if summary else [],
        "markdown": to_markdown(summary, report) if summary else None,
        "regression": summary.alarm or None if summary else None,
        "notice": summary.notice if summary else unread or None,
        "trials": summary.trials if summary else None,
        "trials_measured": summary.trials_measured if summary else None,
        "flags": [{"flag": f.flag, "count": f.trials, "meaning": f.meaning} for f in summary.flags] if summary else [],
        "failures": [{"reason": f.reason, "count": f.count} for f in summary.failures] if summary else [],
        "report": report if summary else None,
    }


def guard_message(environment: str, sentence: str, *, run: str | None, restored: bool) -> dict[str, Any]:
    """The document that the guard posts: of a run that died, or of a person who has held the cluster for long."""
    text = strip_controls(f"{environment}: {sentence}")
    return {"text": text, "run": run, "environment": environment, "status": "guard", "restored": restored}


def _details(summary: Summary | None) -> list[str]:
    if summary is None or summary.answer is None or not summary.answer.kinds:
        return []
    certainty = summary.answer.certainty
    sure = " ".join(filter(None, [f"How sure: {certainty.basis}", certainty.advice, certainty.command]))
    scale = at_scale.first_sentence(at_scale.groups_of(summary))
    return [*filter(None, [scale]), *wording.digest(summary.answer), sure]


def post(url: str, body: Mapping[str, Any], pause: Callable[[RetryCallState], float] = PAUSE) -> int:
    """Post a document, and return the status of the answer.

    `url`: http or https; a user and a password in it are sent as basic authentication. `pause`: the seconds between two
    attempts.

    Raises:
        BadInput: the address can't be used.
        Problem: the document was not accepted; the sentence has the host alone, since such addresses are secrets.
    """
    target = parse_webhook(url, "BENCHMARK_NOTIFY_URL")
    attempts = Retrying(
        retry=retry_if_exception_type(_AgainError), stop=stop_after_attempt(ATTEMPTS), wait=pause, reraise=True
    )
    return attempts(_once, target, json.dumps(body).encode())


def _once(target: Webhook, body: bytes) -> int:
    host = target.host
    headers = {"Content-Type": "application/json", "User-Agent": "dataplane-benchmark"}
    if target.login is not None:
        headers["Authorization"] = f"Basic {b64encode(target.login.encode()).decode()}"  # UTF-8, as RFC 7617 has it
    try:
        with urllib3.PoolManager() as pool:
            answer = pool.request(
                "POST",
                target.url,
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S),
                retries=False,
                redirect=False,
                preload_content=False,  # nothing of the answer's body is needed, however long it is
            )
            status, location = int(answer.status), answer.headers.get("Location", "")
            answer.close()
    except (HTTPError, HTTPException, OSError, ValueError) as error:
        raise _AgainError(f"{host} could not be notified of the run: {_reason(error)}.") from None
    if status in _BUSY or status >= _SERVERS_FAULT:
        raise _AgainError(f"{host} could not be notified of the run: it answered {status}, {ATTEMPTS} times.")
    if status >= _BAD:
        raise Problem(f"{host} refused the notification of the run: it answered {status}; check BENCHMARK_NOTIFY_URL.")
    if status >= _MOVED:
        raise Problem(
            f"{host} redirects to {shown_host(location) or 'another address'} ({status}), and secrets are not sent on: "
            "give the final address in BENCHMARK_NOTIFY_URL."
        )
    return status


def _reason(error: BaseException) -> str:
    """Why an exchange failed, from the system's own words: a library's may quote the address."""
    cause: object = getattr(error, "reason", None) or error
    if isinstance(cause, UrllibTimeoutError) and not isinstance(cause, NewConnectionError):
        return f"it did not answer within {READ_S:g} s"
    seen = [cause, *getattr(cause, "args", ()), getattr(cause, "__cause__", None), getattr(cause, "__context__", None)]
    for each in seen:
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({each.verify_message})"
        if isinstance(each, OSError) and each.strerror:
            return f"[Errno {each.errno}] {each.strerror}" if each.errno else str(each.strerror)
    if isinstance(cause, NameResolutionError):
        return "its name can't be resolved"
    return f"the exchange failed ({type(cause).__name__})"
