"""Where a deployment's results go: tables beside the raw documents that Argo keeps, with the same credentials."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from analysis.addresses import shown_address
from analysis.errors import BadInput
from analysis.store.storage.urls import parse_url
from steps.cluster.kube.api.objects import Object
from steps.tasks.shared.pod import SECRET
from workflows.deployment import artifact_repository
from workflows.deployment.argo import Argo
from workflows.deployment.artifact_repository import SecretKey
from workflows.deployment.user_client import SECRETS, UserClient, build_secret, is_deployed

_S3: Final = "s3://"


@dataclass(frozen=True, slots=True)
class ResultStore:
    """The store of a deployment.

    Attributes:
        results: s3://BUCKET[/PREFIX].
        endpoint_url: empty: Amazon's.
        region: empty: the S3 client's default.
        access: the key's id; None: in the Secret of the benchmark's own.
        secret: likewise, the secret key.
        repository: Argo's artifact repository that the deployment must add; None: the namespace has one.
        secrets: Argo's credentials for S3, as Secrets of the deployment's own namespace.
    """

    results: str
    endpoint_url: str = ""
    region: str = ""
    access: SecretKey | None = None
    secret: SecretKey | None = None
    repository: Mapping[str, Any] | None = None
    secrets: tuple[Object, ...] = ()
    notes: tuple[str, ...] = ()


def choose_store(
    client: UserClient, found: Argo, results: str, *, owned: bool = False, variables: Mapping[str, str] = os.environ
) -> ResultStore:
    """The store: `results`, or else the bucket of Argo's artifacts.

    `client`: its namespace is the workflows'. `owned`: whether that is the deployment's own, so that Argo's credentials
    are copied there. `variables`: of the S3 client, where Argo has no artifact repository.

    Raises:
        BadInput: `results` is not on S3, or is empty and Argo has no artifact repository.
        Unsupported: the configuration of Argo's artifact repository is invalid.
    """
    if results and parse_url(results).local:
        raise BadInput(f"RESULTS is {results!r}: on a cluster it must be s3://BUCKET, since a pod's files go with it.")
    there = artifact_repository.find_repository(client, found.config, found.namespace)
    if there is None:
        return _with_own_repository(client, results, variables)
    keys: dict[str, list[str]] = {}
    for each in (there.access, there.secret):
        if each is not None:
            keys.setdefault(each.name, []).append(each.key)
    secrets = _copied(client, found.namespace, keys) if owned and client.namespace != found.namespace else []
    notes = [
        f"Secret {client.namespace}/{name}, which {there.source} names for S3, is missing: no step can store anything "
        "until it exists."
        for name in keys.keys() - {secret["metadata"]["name"] for secret in secrets}
        if client.get(SECRETS, name, client.namespace) is None
    ]
    wanted = results or f"{_S3}{there.bucket}"
    if _bucket(wanted) != there.bucket:
        beside = f"{_S3}{there.bucket}, where Argo's artifacts are"
        notes.append(f"Raw documents go to {beside}, and tables to {shown_address(wanted)}.")
    return ResultStore(
        wanted,
        there.endpoint_url,
        there.region,
        access=there.access,
        secret=there.secret,
        secrets=tuple(secrets),
        notes=tuple(notes),
    )


def _copied(client: UserClient, source: str, keys: Mapping[str, list[str]]) -> list[Object]:
    """These keys of Argo's Secrets, for the client's namespace; not over a Secret that the user created there."""
    copies: list[Object] = []
    for name, wanted in keys.items():
        there = client.get(SECRETS, name, client.namespace)
        original = client.get(SECRETS, name, source)
        ours = there is None or is_deployed(there)
        if ours and original is not None and set(wanted) <= set(original.get("data") or {}):
            copies.append(build_secret(client.namespace, name, {key: original["data"][key] for key in wanted}))
    return copies


def _with_own_repository(client: UserClient, results: str, variables: Mapping[str, str]) -> ResultStore:
    without = f"Argo has no artifact repository on S3 for namespace {client.namespace}"
    if not results:
        raise BadInput(f"{without}, so the store must be named: give RESULTS=s3://BUCKET.")
    url, region = variables.get("AWS_ENDPOINT_URL", ""), variables.get("AWS_REGION", "")
    scheme, _, endpoint = url.rstrip("/").rpartition("://")
    keys = {f"{name}Secret": {"name": SECRET, "key": name.lower()} for name in ("accessKey", "secretKey")}
    has_keys = client.get(SECRETS, SECRET, client.namespace) is not None
    repository = {
        "bucket": _bucket(results),
        "endpoint": endpoint or "s3.amazonaws.com",
        **({"insecure": True} if scheme == "http" else {}),
        **({"region": region} if region else {}),
        **(keys if has_keys else {"useSDKCreds": True}),
    }
    note = f"{without}; the deployment adds one in {shown_address(results)}"
    if not has_keys:
        note += (
            ", with the rights of the pods' own accounts. To give it keys instead, type "
            f"`{client.kubectl} -n {client.namespace} create secret generic {SECRET} --from-literal=accesskey=... "
            "--from-literal=secretkey=...` and deploy again"
        )
    return ResultStore(results, url, region, repository=repository, notes=(f"{note}.",))


def _bucket(results: str) -> str:
    return parse_url(results).root.partition("/")[0]
