"""The address of a store: each part of it is taken literally, or refused by a sentence that names it.

Nothing is touched or reached yet. Credentials in an address are refused, and never part of a sentence.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from analysis.addresses import KEYS, open_home, shown_address
from analysis.errors import BadInput

if TYPE_CHECKING:
    from pyarrow import fs

S3_CONNECT_TIMEOUT_S: Final = 3
S3_SILENCE_S: Final = 5
S3_ATTEMPTS: Final = 2

_QUERY: Final = frozenset({"endpoint_override", "scheme", "region"})

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_NEARLY: Final = re.compile(r"(s3|s3a|s3n|arn|file|https?|gs):(?!//)", re.IGNORECASE)
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")

_KEYS_REMEDY: Final = (
    "give credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or by the file that AWS_SHARED_CREDENTIALS_FILE "
    "names"
)


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """Where a store is.

    `shown`: as it was given. `root`: the absolute path of a folder, or the bucket and the prefix within it. `options`:
    the query of an s3:// address.
    """

    shown: str
    local: bool
    root: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


def parse_url(url: str) -> StoreUrl:
    """What an address means.

    Args:
        url: a path, `file:///PATH` with %-escapes, or `s3://BUCKET/PREFIX` with %-escapes and a query of what pyarrow
            takes (`endpoint_override`, `scheme`, `region`).

    Raises:
        BadInput: it is none of these, it has credentials in it, or a part of it can't be taken as it is written.
    """
    if not url.strip():
        raise BadInput("RESULTS is empty; give a folder, file://... or s3://BUCKET/PREFIX")
    try:
        return _parsed(url)
    except _UnusableError as why:
        raise BadInput(f"RESULTS can't be {shown_address(url)!r}: {why}") from None


class _UnusableError(ValueError):
    """An address can't be taken as it is written; the message is a clause."""


def _parsed(url: str) -> StoreUrl:
    if "\0" in url or any("\ud800" <= letter <= "\udfff" for letter in url):
        raise _UnusableError("it has a byte in it that no address can hold")
    found = _SCHEME.match(url)
    scheme = found[1].lower() if found else ""
    if scheme == "s3":
        return _bucket(url)
    if scheme == "file":
        return StoreUrl(url, local=True, root=_absolute(_file_path(url)))
    if "://" in url:
        raise _UnusableError(f"{url.partition('://')[0]}:// is not known; give a folder, file:// or s3://")
    return StoreUrl(url, local=True, root=_absolute(_folder(url)))


def filesystem(address: StoreUrl) -> "fs.FileSystem":
    """The file system that an address lies in.

    Raises:
        BadInput: pyarrow does not take what the query says, or AWS_ENDPOINT_URL has credentials in it.
    """
    from pyarrow import fs  # noqa: PLC0415 - a second's import, which a run on one machine does without

    if address.local:
        return fs.LocalFileSystem()
    query = address.options
    endpoint = query.get("endpoint_override") or _environment("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    scheme = query.get("scheme")
    if endpoint and "@" in endpoint:
        raise BadInput(f"AWS_ENDPOINT_URL can't have credentials before its host; {_KEYS_REMEDY}")
    if endpoint and "://" in endpoint:
        scheme, _, endpoint = endpoint.rstrip("/").partition("://")
    options: dict[str, Any] = {
        "endpoint_override": endpoint,
        "scheme": scheme or "https",
        "region": query.get("region") or _environment("AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1",
        "connect_timeout": S3_CONNECT_TIMEOUT_S,
        "request_timeout": S3_SILENCE_S,
        "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=S3_ATTEMPTS),
        "allow_delayed_open": True,
    }
    try:
        return fs.S3FileSystem(**options)
    except (OSError, ValueError) as error:
        raise BadInput(f"RESULTS can't be {address.shown!r}: {error}") from error


def _folder(url: str) -> str:
    """The path that a person typed, `~` opened as a shell does."""
    if _NEARLY.match(url):
        scheme = url.partition(":")[0]
        if scheme.lower() == "arn":
            raise _UnusableError(f"it is an ARN; give s3://BUCKET/PREFIX, or ./{shown_address(url)} for a folder")
        raise _UnusableError(
            f"{scheme}: lacks its two slashes, as in {scheme}://...; a folder of that name is ./{shown_address(url)}"
        )
    return open_home(url, "RESULTS")


def _absolute(path: str) -> str:
    # POSIX leaves the meaning of two leading slashes to the system; here it is that of one.
    return str(Path(re.sub(r"^//+", "/", path)).absolute())


def _file_path(url: str) -> str:
    """The path of a file:// address."""
    host, slash, path = url.partition("://")[2].partition("/")
    if host not in {"", "localhost"}:
        raise _UnusableError("file:// takes a path on this machine, as in file:///srv/results")
    if not slash:
        raise _UnusableError("the path is missing, as in file:///srv/results")
    return "/" + _unescaped(path)


def _bucket(url: str) -> StoreUrl:
    rest, _, query = url.partition("://")[2].partition("?")
    bucket, _, prefix = rest.partition("/")
    if "@" in bucket or (":" in bucket and "@" in url):
        # Not even without the secret: where a password has a slash or a question mark, no part is surely none of it.
        raise BadInput(f"RESULTS can't have credentials before the bucket, as in s3://KEY:SECRET@...; {_KEYS_REMEDY}")
    if bucket.lower() == "arn" or bucket.lower().startswith("arn:"):
        raise _UnusableError(f"it is an ARN; give s3://BUCKET/PREFIX{_of_arn(bucket, prefix)}")
    if not bucket:
        raise _UnusableError("the bucket is missing, as in s3://BUCKET/PREFIX")
    if ":" in bucket:
        raise BadInput(
            "RESULTS can't have a colon in its bucket: give the service's host and port by AWS_ENDPOINT_URL, and "
            f"s3://BUCKET/PREFIX; {_KEYS_REMEDY}"
        )
    if not _BUCKET.fullmatch(bucket):
        letter = next((letter for letter in bucket if not _BUCKET.fullmatch(f"a{letter}")), bucket[0])
        raise _UnusableError(
            "a bucket's name has letters, digits, dots, dashes and underscores, begins with one of the first two, "
            f"and takes no {letter!r} there"
        )
    parts = _unescaped(prefix).strip("/").split("/")
    if len(parts) > 1 and "" in parts:
        raise _UnusableError("its prefix has two slashes in a row")
    if odd := [part for part in parts if part in {".", ".."}]:
        raise _UnusableError(f"a bucket has no folders, so that {odd[0]!r} leads nowhere")
    root = "/".join([bucket, *filter(None, parts)])
    return StoreUrl(url, local=False, root=root, options=_query(query))


def _of_arn(bucket: str, prefix: str) -> str:
    name = bucket.rpartition(":")[2]
    plain = bucket.lower().startswith("arn:aws") and bucket.count(":") == 5 and _BUCKET.fullmatch(name)  # noqa: PLR2004
    if not plain or bucket.lower().split(":")[3:5] != ["", ""]:
        return ", and of an access point its alias as the bucket"
    return ", here " + shown_address(f"s3://{name}" + (f"/{prefix}" if prefix else ""))


def _query(query: str) -> dict[str, str]:
    """What a query says, + taken literally: secret keys have it, and none has a space."""
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        key, equals, value = part.partition("=")
        if unquote(key).lower() in KEYS:
            raise BadInput(
                f"RESULTS can't have keys in its query, where logs and process lists show them; {_KEYS_REMEDY}"
            )
        if key not in _QUERY:
            known = ", ".join(sorted(_QUERY))
            named = f"{key!r}" if re.fullmatch(r"[a-z_]{1,30}", key) else "what it has"
            raise BadInput(f"RESULTS can't have {named} in its query; known are {known}")
        if not equals:
            raise _UnusableError(f"{key} in its query has no value, as in {key}=VALUE")
        plain = _unescaped(value)
        if "@" in plain:
            raise BadInput(f"RESULTS can't have credentials in its {key}; {_KEYS_REMEDY}")
        if found.setdefault(key, plain) != plain:
            raise _UnusableError(f"its query has two values of {key}")
    return found


def _unescaped(text: str) -> str:
    """Text without its %-escapes; a % that begins none stands for itself."""
    try:
        plain = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _UnusableError("its %-escapes are no UTF-8") from None
    if "\0" in plain:
        raise _UnusableError("%00 can't be in a name")
    return plain


def _environment(*names: str) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)
