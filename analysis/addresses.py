"""Where a store is: what its address means. Nothing is touched or reached yet."""

import os
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from pyarrow import fs

from analysis.errors import BadInput

S3_CONNECT_TIMEOUT_S: Final = 3
S3_SILENCE_S: Final = 5
S3_ATTEMPTS: Final = 2


def local_path(url: str) -> str:
    """The path of a file:// address.

    Raises:
        BadInput: it is no path on this machine.
    """
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"}:
        raise BadInput(f"RESULTS can't be {url!r}: file:// takes a path on this machine, as in file:///srv/results")
    if not parts.path:
        raise BadInput(f"RESULTS can't be {url!r}: the path is missing, as in file:///srv/results")
    return unquote(parts.path)


def s3(url: str) -> tuple[fs.S3FileSystem, str]:
    """The file system of an s3:// address, and the bucket with the prefix in it.

    Raises:
        BadInput: it can't be understood.
    """
    parts = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    known = {"endpoint_override", "scheme", "region", "access_key", "secret_key"}
    if unknown := sorted(set(query) - known):
        raise BadInput(f"RESULTS can't have {unknown[0]!r} in its query; known are {', '.join(sorted(known))}")
    if not parts.hostname:
        raise BadInput(f"RESULTS can't be {url!r}: the bucket is missing, as in s3://BUCKET/PREFIX")
    endpoint = query.get("endpoint_override") or _environment("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    scheme = query.get("scheme")
    if endpoint and "://" in endpoint:
        scheme, _, endpoint = endpoint.rstrip("/").partition("://")
    options: dict[str, Any] = {
        "endpoint_override": endpoint,
        "scheme": scheme or "https",
        "region": query.get("region") or _environment("AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1",
        "access_key": query.get("access_key"),
        "secret_key": query.get("secret_key"),
        "connect_timeout": S3_CONNECT_TIMEOUT_S,
        "request_timeout": S3_SILENCE_S,
        "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=S3_ATTEMPTS),
        "allow_delayed_open": True,
    }
    try:
        filesystem = fs.S3FileSystem(**options)
    except (OSError, ValueError) as error:
        raise BadInput(f"RESULTS can't be {url!r}: {error}") from error
    return filesystem, f"{parts.hostname}/{unquote(parts.path).strip('/')}".rstrip("/")


def _environment(*names: str) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)
