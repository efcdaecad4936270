"""Why the API server refused a call: from a Status to a sentence with the remedy that fits.

RBAC, admission plugins (Pod Security, ResourceQuota, LimitRange), policies and webhooks all answer with reason
Forbidden, and a webhook may answer with any status; only the message distinguishes them. The messages are those of
Kubernetes 1.35, unchanged for years.
"""

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from analysis.console.excerpts import excerpt
from steps.cluster.kube.api.identity import Identity
from steps.settings.environment import DEPLOY_AGAIN

_LONGEST: Final = 500
"""Characters of a message."""


@dataclass(frozen=True, slots=True)
class ApiStatus:
    """The message of a refused call. `genuine`: the body was a Status, and not a proxy's page."""

    message: str
    genuine: bool = True

    @classmethod
    def parse(cls, body: bytes) -> "ApiStatus":
        """From the body of an answer."""
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or found.get("kind") != "Status":
            message = found.get("message") if isinstance(found, dict) else None
            return cls(excerpt(message or body.decode(errors="replace"), _LONGEST), genuine=False)
        return cls(excerpt(found.get("message") or "", _LONGEST))


@dataclass(frozen=True, slots=True)
class Denial:
    """One reason for a refusal.

    Attributes:
        pattern: recognises it in the message.
        remedy: what to do: a format of {namespace}, the call's; {who} and {renew}, the login's; the pattern's groups.
    """

    pattern: re.Pattern[str]
    remedy: str


_DEPLOY: Final = f"Have an administrator {DEPLOY_AGAIN}, or use another account."

ENFORCED: Final = "pod-security.kubernetes.io/enforce"
"""The label of a namespace with its Pod Security level."""

POD_SECURITY: Final = (
    "Namespace {namespace} enforces the Pod Security level {level}, and the benchmark measures the nodes' own network: "
    f"have an administrator type `kubectl label namespace {{namespace}} {ENFORCED}=privileged --overwrite`, or deploy "
    "into another namespace."
)
"""The remedy where a namespace admits no pod in the nodes' network."""

DENIALS: Final = (
    Denial(
        re.compile(r'User "system:anonymous"'),
        "The call had no credentials that the API server knows: {who} gives none; {renew}.",
    ),
    Denial(
        re.compile(r'User ".*?" cannot impersonate resource'),
        "{who} acts as somebody else: take `as` and `as-groups` out of it, or have an administrator allow that.",
    ),
    Denial(
        re.compile(r'user ".*?" \(.*?\) is attempting to grant RBAC permissions not currently held'),
        "Nobody may grant more than they have themselves: have a cluster administrator type the same `make deploy`.",
    ),
    Denial(re.compile(r'User ".*?" cannot \S+ (resource|path) '), _DEPLOY),
    Denial(re.compile(r'violates PodSecurity "(?P<level>[^":]+)'), POD_SECURITY),
    Denial(
        re.compile(r"(exceeded quota|failed quota|status unknown for quota): (?P<quota>[^\s,:]+)"),
        "See `kubectl -n {namespace} describe resourcequota {quota}`: have it raised, delete what is in the way, or "
        "deploy into another namespace.",
    ),
    Denial(
        re.compile(r"\[?((maximum|minimum) \S+ usage per \S+ is|\S+ max limit to request ratio per )"),
        "A LimitRange of namespace {namespace} is why: see `kubectl -n {namespace} describe limitrange`, and have it "
        "changed, or deploy into another namespace.",
    ),
    Denial(
        re.compile(r'admission webhook "(?P<webhook>[^"]+)" denied the request'),
        "That webhook is a policy of this cluster: have namespace {namespace} exempted from {webhook} by the owner of "
        "it, or deploy into another namespace.",
    ),
    Denial(
        re.compile(r"ValidatingAdmissionPolicy '(?P<policy>[^']+)'"),
        "See `kubectl describe validatingadmissionpolicy {policy}`: have namespace {namespace} exempted, or deploy "
        "into another namespace.",
    ),
    Denial(
        re.compile(r"unable to validate against any security context constraint"),
        "On OpenShift a service account needs a constraint for this: have an administrator type `oc adm policy "
        "add-scc-to-group privileged system:serviceaccounts:{namespace}`.",
    ),
    Denial(
        re.compile(r"unable to create new content in namespace \S+ because it is being terminated"),
        "Namespace {namespace} is being deleted: wait until it is gone, and deploy anew.",
    ),
    Denial(
        re.compile(r"error looking up service account (?P<account>\S+?):"),
        f"Service account {{account}} is not there: {DEPLOY_AGAIN}.",
    ),
)
"""Patterns match at the start of the reason only: behind it a webhook may quote anything."""

_ELSE: Final = "An admission plugin of the cluster refuses it, not its access control: an administrator knows which."
BETWEEN: Final = (
    "That is no answer of Kubernetes, so something in between gave it: look at proxy-url in the kubeconfig, at "
    "HTTPS_PROXY, and at the server's address."
)
_REASON: Final = re.compile(r"^(?:\S+ (?:\"[^\"]*\" )?is )?forbidden: ")
"""What stands before the reason: `pods "x" is forbidden: `."""

_NAMESPACE: Final = re.compile(r"/namespaces/([^/?]+)")


def explain(status: ApiStatus, code: int, path: str, login: Identity) -> str | None:
    """What was refused, why, and what to do, as sentences; None if the refusal is no denial.

    `path`: of the request, which has the namespace.
    """
    if not status.genuine:
        return f"{_ended(status.message)} {BETWEEN}" if code == HTTPStatus.FORBIDDEN else None
    found = _NAMESPACE.search(path)
    known = {"namespace": found[1] if found else "?", "who": login.who, "renew": login.renew}
    reason = _REASON.sub("", status.message)
    for denial in DENIALS:
        matched = denial.pattern.match(reason)
        if matched and code < HTTPStatus.INTERNAL_SERVER_ERROR:
            remedy = denial.remedy.format(**known, **matched.groupdict())
            return f"{_ended(status.message)} {remedy[0].upper()}{remedy[1:]}"
    return f"{_ended(status.message)} {_ELSE}" if code == HTTPStatus.FORBIDDEN else None


def _ended(message: str) -> str:
    return (message or "no reason was given").rstrip(".") + "."
