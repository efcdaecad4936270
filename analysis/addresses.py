"""Addresses in messages and documents: without user info, keys and tokens, and without control characters."""

import ipaddress
import os
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from analysis.console.sanitizing import strip_controls
from analysis.errors import BadInput

KEYS: Final = frozenset({"access_key", "secret_key"})
"""The parts of a query by which an s3:// address would hold credentials."""

_HIDDEN: Final = "***"
_PUBLIC: Final = frozenset({"endpoint_override", "region", "scheme"})
"""The parts of a query whose values are shown."""

_USER: Final = re.compile(r"~[^/]*")
_DNS_NAME: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_SECRET: Final = re.compile(
    r"((?:[a-z0-9_.-]*[_.-])?(?:key|secret|token|password|passwd|pwd|signature|credential)[a-z0-9_.-]*)=[^&\s]*",
    re.IGNORECASE,
)


def shown_address(address: str) -> str:
    """An address as it may be shown and stored.

    Of a URL's query only the region, the scheme and the endpoint are shown. Where it is not clear which part of a text
    is a password, more is hidden than that.
    """
    text = strip_controls(address).replace("\n", " ").replace("\t", " ")
    scheme, separator, rest = text.partition("://")
    if not separator or (scheme.lower() == "file" and rest.startswith("/")):  # a path, in which ? and @ are letters
        return _without_secrets(text)
    login, rest = _without_login(rest)
    place, mark, query = rest.partition("?")
    shown_query = "&".join(map(_shown_part, query.split("&")))
    return f"{scheme}://{login}{_without_secrets(place)}{mark}{shown_query}"


def open_home(path: str, variable: str) -> str:
    """A path that a person typed, with its `~` opened as a shell does. `variable`: what it is the value of.

    Raises:
        BadInput: it is the home of nobody.
    """
    opened = os.path.expanduser(path)  # noqa: PTH111 - pathlib would open ./~x too, and raises RuntimeError
    if (user := _USER.match(opened)) is not None:
        shown = shown_address(path)
        raise BadInput(
            f"{variable} can't be {shown!r}: {user[0]} is nobody's home here; what is called so is ./{shown}"
        )
    return opened


def site_problem(sentence: str) -> str:
    """A sentence on an address or a file of a store, on those of a site: the remedy is another SITE."""
    return sentence.replace("RESULTS", "SITE")


def _without_secrets(text: str) -> str:
    return _SECRET.sub(rf"\1={_HIDDEN}", text)


def _without_login(rest: str) -> tuple[str, str]:
    """The sign for user info, and the address without it; all is hidden where a password has no clear end."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" not in rest or not ("@" in authority or ":" in authority):
        return "", rest
    if ":" not in authority:
        return f"{_HIDDEN}@", rest[authority.rindex("@") + 1 :]
    before, mark, query = rest.partition("?")
    if mark and "@" in before and "@" in query:
        return _HIDDEN, ""
    return f"{_HIDDEN}@", rest.rpartition("@")[2] if "@" in query else before.rpartition("@")[2] + mark + query


def _shown_part(part: str) -> str:
    """A part of a query, its value hidden unless it is known to be none of a secret."""
    name, equals, value = part.partition("=")
    if not part or (equals and name in _PUBLIC and "@" not in unquote(value)):
        return part
    return f"{name}={_HIDDEN}" if name in KEYS else _HIDDEN


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where a document is posted. `host` may be shown; the URL and the login, `USER:PASSWORD`, are secrets."""

    host: str
    url: str = field(repr=False)
    login: str | None = field(default=None, repr=False)


def parse_webhook(url: str, variable: str) -> Webhook:
    """A webhook's address, its host in ASCII and its login apart.

    Raises:
        BadInput: the address can't be used; the sentence has no part of it, but the variable that has it.
    """
    unusable = BadInput(f"{variable} is no address: write https://HOST/PATH, without spaces and control characters.")
    if any(letter.isspace() or not letter.isprintable() for letter in url):
        raise unusable
    try:
        parts = urlsplit(url)
        host, port = _ascii_host(parts.hostname or ""), parts.port
        place = f"[{host}]" if ":" in host else host
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + ("?" if parts.query else "")
        query = quote(parts.query, safe="/?%:@!$&'()*+,;=~[]")
    except ValueError:  # unmatched brackets, a port that is no number, a name that can't be encoded
        raise unusable from None
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        raise unusable
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}" if "@" in parts.netloc else None
    return Webhook(host, f"{parts.scheme}://{place}{f':{port}' if port else ''}{path}{query}", login)


def _ascii_host(host: str) -> str:
    """A host as an address, or as a name in IDNA; empty if it is neither. Raises ValueError likewise."""
    if ":" in host:
        return str(ipaddress.IPv6Address(host))
    name = host.encode("idna").decode("ascii")
    return name if _DNS_NAME.fullmatch(name) else ""


def shown_host(url: str) -> str:
    """The host of a URL whose path may be a secret; empty if it has none."""
    try:
        return _ascii_host(urlsplit(url).hostname or "")
    except ValueError:
        return ""
