"""Where a deployment's results go: tables beside the raw documents that Argo keeps, with the same credentials."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from analysis.addresses import shown_address
from analysis.errors import BadInput
from analysis.store.urls import parse_url
from steps.tasks._pod import SECRET
from workflows.deployment import artifact_repository
from workflows.deployment.argo import Argo
from workflows.deployment.artifact_repository import ArtifactRepository, SecretKey
from workflows.deployment.user_client import SECRETS, UserClient

_S3: Final = "s3://"


@dataclass(frozen=True, slots=True)
class Stores:
    """Where the results go. `endpoint_url`: empty for Amazon's. `new`: an artifact repository to be made for Argo."""

    results: str
    endpoint_url: str
    region: str
    access: SecretKey | None
    secret: SecretKey | None
    new: Mapping[str, Any] | None
    notes: tuple[str, ...]


def decide_stores(client: UserClient, found: Argo, results: str, variables: Mapping[str, str] = os.environ) -> Stores:
    """Where tables and raw documents go: beside Argo's own artifacts, unless a person says otherwise.

    Raises:
        BadInput: the results are on no S3, or nothing says where they should go.
        Unsupported: Argo's artifact repository makes no sense.
    """
    if results and parse_url(results).local:
        raise BadInput(f"RESULTS is {results!r}: on a cluster it must be s3://BUCKET, since a pod's files go with it.")
    there = artifact_repository.find_repository(client, found.config, found.namespace)
    if there is not None:
        notes = _keys_missing(client, there)
        wanted = results or f"{_S3}{there.bucket}"
        if _bucket(wanted) != there.bucket:
            beside = f"{_S3}{there.bucket}, where Argo's artifacts are"
            notes += (f"Raw documents go to {beside}, and tables to {shown_address(wanted)}.",)
        return Stores(wanted, there.endpoint_url, there.region, there.access, there.secret, None, notes)
    if not results:
        raise BadInput(
            f"Argo has no artifact repository on S3 for namespace {client.namespace}, so nothing says where the "
            "results should go: give RESULTS=s3://BUCKET."
        )
    return _own_repository(client, results, variables)


def _own_repository(client: UserClient, results: str, variables: Mapping[str, str]) -> Stores:
    url, region = variables.get("AWS_ENDPOINT_URL", ""), variables.get("AWS_REGION", "")
    scheme, _, endpoint = url.rstrip("/").rpartition("://")
    keys = {f"{name}Secret": {"name": SECRET, "key": name.lower()} for name in ("accessKey", "secretKey")}
    has_keys = client.get(SECRETS, SECRET, client.namespace) is not None
    new = {
        "bucket": _bucket(results),
        "endpoint": endpoint or "s3.amazonaws.com",
        **({"insecure": True} if scheme == "http" else {}),
        **({"region": region} if region else {}),
        **(keys if has_keys else {"useSDKCreds": True}),
    }
    place = shown_address(results)
    note = f"Argo has no artifact repository on S3 for namespace {client.namespace}; it gets one in {place}"
    if not has_keys:
        note += (
            ", with the rights of the pods' own accounts. To give it keys instead, type "
            f"`kubectl -n {client.namespace} create secret generic {SECRET} --from-literal=accesskey=... "
            "--from-literal=secretkey=...` and deploy again"
        )
    return Stores(results, url, region, None, None, new, (f"{note}.",))


def _keys_missing(client: UserClient, there: ArtifactRepository) -> tuple[str, ...]:
    names = dict.fromkeys(key.secret for key in (there.access, there.secret) if key is not None)
    return tuple(
        f"Secret {client.namespace}/{name}, which {there.source} names for S3, is missing: no step can keep anything "
        "until it is there."
        for name in names
        if client.get(SECRETS, name, client.namespace) is None
    )


def _bucket(results: str) -> str:
    return parse_url(results).root.partition("/")[0]
