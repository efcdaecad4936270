"""The guard's check of a cluster's lock: whether it is free, held by a run that is alive or a person, or left behind.

Made by the standard library alone, since it happens every minute: the clients and models of a restore take a second of
CPU to import, and are imported where something is left. Where this check is in doubt, that restore judges anew.
"""

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

from steps.lease import ENDED, RENEWAL_S, RUN_LABEL, is_silent, last_sign, own_addresses

Object = dict[str, Any]

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_CONNECT_S: Final = 3.0
_TIMEOUT_S: Final = 10.0
_LARGEST_ANSWER_BYTES: Final = 64 * 2**20
_NOT_FOUND, _CONFLICT = 404, 409

LOCK: Final = "/api/v1/namespaces/kube-system/configmaps/dataplane-benchmark"
_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json"
"""A workflow without its nodes, which may be a megabyte. Argo repeats the phase in a label."""

_PHASE: Final = "workflows.argoproj.io/phase"


class GuardApiError(Exception):
    """The API server can't be asked, or refuses; a sentence."""


@dataclass(frozen=True, slots=True)
class LockStatus:
    """What a check of the lock found.

    Attributes:
        state: free: no lock; run: its workflow is alive; person: a person holds it; elsewhere: a workflow of another
            namespace does; left: a dead run left it, or that is for the restore to judge.
        held_s: how long the lock has been held, by the API server's clock.
        owner: who holds it, for a message.
    """

    state: Literal["free", "run", "person", "elsewhere", "left"]
    held_s: float = 0.0
    owner: str = ""


class _Connection(http.client.HTTPConnection):
    """HTTPS to an address, whose certificate must be the Service's: the API server has it for both."""

    def __init__(self, address: tuple[str, int], service: str, context: ssl.SSLContext) -> None:
        super().__init__(*address, timeout=_TIMEOUT_S)
        self._service, self._tls = service, context

    def connect(self) -> None:
        """Connect, and agree on TLS."""
        plain = socket.create_connection((self.host, self.port), _CONNECT_S)
        plain.settimeout(_TIMEOUT_S)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self._service)


class PodApi:
    """The API server of the cluster that this pod runs in, with the rights of its service account.

    In the middle of a switch no Service answers, not even the API server's; then its own addresses do.
    """

    def __init__(self, variables: Mapping[str, str], account: Path = _ACCOUNT) -> None:
        self._service = variables.get("KUBERNETES_SERVICE_HOST", "")
        own = [each.rpartition(":") for each in own_addresses(variables)]
        addresses = [(host.strip("[]"), int(port)) for host, _, port in own if port.isdecimal()]
        self._addresses = [(self._service, int(variables.get("KUBERNETES_SERVICE_PORT", "443"))), *addresses]
        self._account = account
        self._now = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
        try:
            self.namespace = (account / "namespace").read_text(encoding="ascii").strip()
            self._context = ssl.create_default_context(cafile=str(account / "ca.crt"))
        except OSError as error:
            raise GuardApiError(f"this pod has no service account ({error.strerror}): deploy it anew.") from None

    @property
    def now(self) -> datetime:
        """The API server's clock at its last answer."""
        return self._now

    def get(self, path: str, accept: str = "application/json") -> Object | None:
        """One object; None: there is none. Raises GuardApiError, as the others do."""
        return self._call("GET", path, {"Accept": accept})

    def patch(self, path: str, body: Object) -> None:
        """A merge patch."""
        kind = {"Content-Type": "application/merge-patch+json", "Accept": "application/json"}
        self._call("PATCH", f"{path}?fieldManager=dataplane-benchmark", kind, json.dumps(body))

    def delete(self, path: str, uid: str) -> None:
        """Delete an object of this uid, if there still is one."""
        options = {"gracePeriodSeconds": 1, "preconditions": {"uid": uid}}
        kind = {"Content-Type": "application/json", "Accept": "application/json"}
        self._call("DELETE", path, kind, json.dumps(options))

    def _call(self, method: str, path: str, headers: dict[str, str], body: str | None = None) -> Object | None:
        try:
            # read for each call, since the kubelet renews it
            token = (self._account / "token").read_text(encoding="ascii").strip()
            connection = self._connected()
        except (OSError, ValueError) as error:
            raise GuardApiError(f"the API server can't be reached ({type(error).__name__}).") from None
        try:
            connection.request(method, path, body, {**headers, "Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            text = answer.read(_LARGEST_ANSWER_BYTES)
            gone = {_CONFLICT} if method == "DELETE" else set()  # it has another uid
            refused = answer.status not in {200, 201, 202, _NOT_FOUND} | gone
            if not refused:
                self._now = parsedate_to_datetime(answer.headers["Date"])
            found: Object | None = json.loads(text) if answer.status != _NOT_FOUND else None
        except (OSError, http.client.HTTPException, ValueError, TypeError, RecursionError) as error:
            raise GuardApiError(f"the API server gave no answer to {method} {path} ({type(error).__name__}).") from None
        finally:
            connection.close()
        if refused:
            raise GuardApiError(f"the API server refused {method} {path} with status {answer.status}.")
        return found

    def _connected(self) -> http.client.HTTPConnection:
        """A connection to the first address that accepts one; that one is tried first from then on."""
        for address in tuple(self._addresses):
            connection = _Connection(address, self._service, self._context)
            try:
                connection.connect()
            except OSError:
                connection.close()
                if address == self._addresses[-1]:
                    raise
                continue
            self._addresses.sort(key=lambda each: each != address)
            return connection
        raise OSError


def check_lock(api: PodApi) -> LockStatus:
    """Check once; renew the lock of a run whose pods are at work, since its measuring steps may not call the API.

    Raises:
        GuardApiError: the API server can't be asked.
    """
    found = api.get(LOCK)
    if found is None:
        return LockStatus("free")
    try:
        data = found["data"]
        name, namespace, person, uid = _owner(data["owner"])
        taken_at = _moment(data["taken_at"])
        renewed_at = _moment(data.get("renewed_at") or data["taken_at"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return LockStatus("left")
    held_s = (api.now - taken_at).total_seconds()
    if name is None:
        return LockStatus("person", held_s, person or "somebody")
    if namespace != api.namespace:
        return LockStatus("elsewhere", held_s, f"workflow {namespace}/{name}")
    alive = runs(api, name, uid) and _renewed(api, name, renewed_at, found["metadata"]["uid"])
    return LockStatus("run" if alive else "left", held_s, name)


def _owner(text: str) -> tuple[str | None, str | None, str | None, str | None]:
    """The workflow, its namespace, the person and the uid of a lock's owner; raises ValueError and its like."""
    owner = json.loads(text)
    name, namespace, person, uid = owner["workflow"], owner["namespace"], owner["person"], owner.get("uid")
    if not all(each is None or isinstance(each, str) for each in (name, namespace, person, uid)):
        raise TypeError
    if name is not None and namespace is None:
        raise ValueError
    return name, namespace, person, uid


def _moment(text: str) -> datetime:
    """A time of a lock; raises ValueError for one without a zone, which can't be compared."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError
    return moment


def _renewed(api: PodApi, name: str, renewed_at: datetime, lock_uid: str) -> bool:
    """Whether the run of this name gave a sign of life lately; if so, its lock is renewed."""
    if api.now - renewed_at < timedelta(seconds=RENEWAL_S):
        return True
    pods = api.get(f"/api/v1/namespaces/{api.namespace}/pods?labelSelector={quote(f'{RUN_LABEL}={name}', safe='')}")
    sign = last_sign(renewed_at, (pods or {}).get("items") or [], api.now)
    if is_silent(sign, api.now):
        return False
    if sign > renewed_at:
        api.patch(LOCK, {"metadata": {"uid": lock_uid}, "data": {"renewed_at": sign.isoformat()}})
    return True


def runs(api: PodApi, name: str, uid: object) -> bool:
    """Whether Argo's record has the workflow as one that has not ended."""
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{api.namespace}/workflows/{quote(name, safe='')}"
    found = api.get(path, _METADATA)
    if found is None or (uid is not None and found["metadata"].get("uid") != uid):
        return False
    phase = (found.get("status") or {}).get("phase") or (found["metadata"].get("labels") or {}).get(_PHASE)
    return phase not in ENDED
