"""From a context of a kubeconfig to a client configuration: address, trust and credentials, checked before any call."""

import base64
import binascii
import os
import re
import shlex
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from analysis.addresses import shown_address
from analysis.console.excerpts import excerpt
from analysis.errors import Problem, Unsupported
from steps.cluster.kube.api.credentials.kubeconfig import (
    ChosenContext,
    ClusterFields,
    Kubeconfig,
    NamedEntry,
    UserFields,
)
from steps.cluster.kube.api.credentials.plugins import Credential, Credentials, plugin_command
from steps.cluster.kube.api.identity import Identity

if TYPE_CHECKING:
    from kubernetes.client import Configuration

_LONGEST: Final = 500
"""Characters of a message of the kubernetes package."""


def log_in(kubeconfig: Kubeconfig, chosen: ChosenContext) -> "tuple[Configuration, Identity]":
    """The client configuration of a context. Runs the user's credential plugin, if there is one; makes no call.

    Raises:
        Unsupported: an entry can't be used; the message names it and its file.
    """
    from kubernetes.client import Configuration  # noqa: PLC0415 - half a second, for those who connect

    cluster = chosen.cluster.fields(ClusterFields)
    _check_server(chosen.cluster, cluster)
    user = chosen.user.fields(UserFields) if chosen.user else UserFields()
    configuration: Configuration = Configuration()
    credentials = None
    if chosen.user and user.provider and not _has_static(user):
        _load_by_provider(kubeconfig, chosen, chosen.user, user.provider.name, configuration)
        configuration.proxy = cluster.proxy_url or configuration.proxy
        configuration.tls_server_name = cluster.tls_server_name
    else:
        body = _user_body(chosen.user, user)
        if chosen.user and user.plugin and not _has_static(user):
            credentials = Credentials(chosen.user, user.plugin, chosen.cluster)
            body |= _from_plugin(credentials.get())
        _load(chosen, _cluster_body(chosen.cluster, cluster), body, configuration)
    if credentials:
        configuration.refresh_api_key_hook = credentials.renew  # type: ignore[assignment]
    if configuration.host.startswith("https"):
        _check_trust(chosen, configuration)
    return configuration, _login(chosen, user)


def _has_static(user: UserFields) -> bool:
    return bool(user.token or user.token_file)


def _login(chosen: ChosenContext, user: UserFields) -> Identity:
    if chosen.user is None:
        return Identity(
            f"context {chosen.name!r}, which names no user",
            f"name one: `kubectl config set-context {shlex.quote(chosen.name)} --user=...`",
        )
    renew = f"run `{plugin_command(user.plugin)}` by hand to see the account" if user.plugin else "log in anew"
    return Identity(chosen.user.called, renew, tuple(_impersonation(user)))


def _impersonation(user: UserFields) -> list[tuple[str, str]]:
    """The headers that kubectl sends; the API server refuses groups without a user."""
    headers = [
        ("Impersonate-User", user.impersonated),
        ("Impersonate-Uid", user.impersonated_uid),
        *(("Impersonate-Group", group) for group in user.impersonated_groups or []),
        *(
            (f"Impersonate-Extra-{re.sub(r'[^A-Za-z0-9_.-]', '-', key).lower()}", value)
            for key, values in (user.impersonated_extra or {}).items()
            for value in values
        ),
    ]
    return [(name, value) for name, value in headers if value]


def _check_server(entry: NamedEntry, cluster: ClusterFields) -> None:
    try:
        url = parse_url(cluster.server)
        usable = url.scheme in {None, "http", "https"} and url.host
    except (LocationParseError, ValueError):
        usable = None
    if not usable or any(c.isspace() or not c.isprintable() for c in cluster.server):
        raise Unsupported(
            f"{entry.called} has server {shown_address(cluster.server)!r}, which is no address: write https://NAME:PORT."
        )


def _file(entry: NamedEntry, key: str, name: str | None, data: str | None) -> str | None:
    """The path of a readable file that an entry names; None if the entry has inline data."""
    if data or not name:
        return None
    path = os.path.normpath(entry.file.absolute().parent / name)
    try:
        with Path(path).open("rb"):
            return path
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise Unsupported(f"{entry.called} names {key} {path}, which can't be read: {why}: correct it.") from None


def _data(entry: NamedEntry, key: str, data: str | None) -> str | None:
    if not data:
        return None
    try:
        base64.b64decode(re.sub(r"\s", "", data), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unsupported(
            f"{entry.called} has {key}-data that is no base64 ({error}): correct it, or log in anew."
        ) from None
    return data


def _cluster_body(entry: NamedEntry, cluster: ClusterFields) -> dict[str, Any]:
    key = "certificate-authority"
    checked = {
        key: _file(entry, key, cluster.authority, cluster.authority_data),
        f"{key}-data": _data(entry, key, cluster.authority_data),
    }
    return _without_empty(cluster.model_dump(by_alias=True) | checked)


def _user_body(entry: NamedEntry | None, user: UserFields) -> dict[str, Any]:
    if entry is None:
        return {}
    certificate, key = "client-certificate", "client-key"
    checked = {
        certificate: _file(entry, certificate, user.certificate, user.certificate_data),
        f"{certificate}-data": _data(entry, certificate, user.certificate_data),
        key: _file(entry, key, user.key, user.key_data),
        f"{key}-data": _data(entry, key, user.key_data),
        "tokenFile": _file(entry, "tokenFile", user.token_file, user.token),
    }
    return _without_empty(user.model_dump(by_alias=True, include={"token", "username", "password"}) | checked)


def _without_empty(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value not in {None, ""}}


def _from_plugin(found: Credential) -> dict[str, Any]:
    if found.token:
        return {"token": found.token}
    parts = {"client-certificate-data": found.certificate or "", "client-key-data": found.key or ""}
    return {key: base64.b64encode(text.encode()).decode() for key, text in parts.items()}


def _load(chosen: ChosenContext, cluster: dict[str, Any], user: dict[str, Any], configuration: "Configuration") -> None:
    from kubernetes.config import load_kube_config_from_dict  # noqa: PLC0415

    document = {
        "current-context": chosen.name,
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": chosen.name, "context": {"cluster": "cluster", "user": "user"}}],
    }
    _load_kubeconfig(
        chosen,
        lambda: load_kube_config_from_dict(document, context=chosen.name, client_configuration=configuration),  # type: ignore[no-untyped-call]
    )


def _load_by_provider(
    kubeconfig: Kubeconfig, chosen: ChosenContext, user: NamedEntry, provider: str, configuration: "Configuration"
) -> None:
    """From the file itself, since the provider writes renewed tokens to it."""
    from kubernetes.config import load_kube_config  # noqa: PLC0415

    files = os.pathsep.join(map(str, kubeconfig.files))
    _load_kubeconfig(
        chosen,
        lambda: load_kube_config(config_file=files, context=chosen.name, client_configuration=configuration),  # type: ignore[no-untyped-call]
    )
    if "BearerToken" not in configuration.api_key and not configuration.cert_file:
        raise Unsupported(
            f"{user.called} logs in by the auth-provider {provider!r}, which gave no token; kubectl has had "
            "none of them since 1.26: log in anew by the provider's plugin, such as kubelogin."
        )


def _load_kubeconfig(chosen: ChosenContext, load: Callable[[], object]) -> None:
    """Turn any error of the kubernetes package into a sentence."""
    try:
        load()
    except Problem:
        raise
    except Exception as error:  # noqa: BLE001 - the package documents no errors
        message = excerpt(error, _LONGEST).rstrip(".") or type(error).__name__
        files = chosen.cluster.file
        raise Unsupported(
            f"context {chosen.name!r} of the kubeconfig {files} can't be used: {message}: correct it."
        ) from None


def _check_trust(chosen: ChosenContext, configuration: "Configuration") -> None:
    """Let OpenSSL read the certificates now: its later error would name neither entry nor file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if configuration.ssl_ca_cert:
        try:
            context.load_verify_locations(cafile=configuration.ssl_ca_cert)
        except (OSError, ValueError) as error:
            raise Unsupported(
                f"{chosen.cluster.called} has a certificate-authority that is none ({_why(error)})."
            ) from None
    if configuration.cert_file and chosen.user:
        try:
            context.load_cert_chain(configuration.cert_file, configuration.key_file, password="")
        except (OSError, ValueError) as error:
            raise Unsupported(
                f"{chosen.user.called} has a client-certificate that can't be used with its client-key "
                f"({_why(error)}): log in anew."
            ) from None


def _why(error: Exception) -> str:
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)
