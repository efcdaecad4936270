"""Kubeconfigs as people have them: each works as kubectl has it work, or is a sentence that names the file."""

import base64
import json
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from analysis.errors import BadInput, Unsupported
from steps.cluster.kube.api import connect, waiting
from steps.cluster.kube.api.credentials import kubeconfig, plugins
from steps.cluster.kube.api.errors import TransientError
from tests.steps.kube.api.kubeconfigs import EXEC_VERSION, certificate, document, written

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(9)
)


def plugin(command: str, *args: str, **more: object) -> dict[str, Any]:
    return {"exec": {"apiVersion": EXEC_VERSION, "command": command, "args": list(args), **more}}


def printing(status: object) -> dict[str, Any]:
    shown = json.dumps({"apiVersion": EXEC_VERSION, "kind": "ExecCredential", "status": status})
    return plugin("echo", shown)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("{", "can't be read"),
        ("- a\n- b\n", "it is a list and no mapping"),
        ("just words", "it is a str and no mapping"),
        (b"\xff\xfe\x00", "can't be read"),
        ("x: \x00", "can't be read"),
        ("[" * 5_000, "it is nested too deeply"),
        (BOMB, "its aliases stand for more than"),
        ("a: &a [*a]\n", "its aliases stand for more than"),
        ("x: !!python/object:os.system y", "can't be read"),
        ("x: !!timestamp y", "can't be read"),
        ("x: 2001-99-99", "can't be read"),
        ("x: " + "9" * 5_000, "can't be read"),
        (b"#" * (kubeconfig.LARGEST_BYTES + 1), "is larger than 4 MiB"),
        (document(contexts={"staging": {}}), "its contexts are no list"),
        (document(contexts=["staging"]), "entry 1 of its contexts has no name"),
        (document(clusters=[{"cluster": {}}]), "entry 1 of its clusters has no name"),
        (document(users=[{"name": "me", "user": "secret"}]), "user 'me' is no mapping"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_invalid_kubeconfig_is_a_problem(tmp_path: Path, content: object, says: str) -> None:
    variables = written(tmp_path, content)
    for call in (lambda: connect.connect("staging", variables), lambda: connect.find_access("", variables)):
        with pytest.raises(Unsupported) as caught:
            call()
        assert says in str(caught.value)
        assert f"the kubeconfig {variables['KUBECONFIG']}" in str(caught.value)
        assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cluster": {"server": ""}}, "cluster 'the-cluster' .* has server '', which is no address"),
        ({"cluster": {"server": ":::"}}, "which is no address: write https://NAME:PORT"),
        ({"cluster": {"server": "ftp://x"}}, "which is no address"),
        ({"cluster": {"server": "https://a b"}}, "which is no address"),
        ({"cluster": {"server": "https://x:99999"}}, "which is no address"),
        ({"cluster": {"server": ["x"]}}, "cluster 'the-cluster' .* is damaged: server: Input should be a valid string"),
        (
            {"cluster": {"certificate-authority": "no.crt"}},
            "names certificate-authority .*/no.crt, which can't be read",
        ),
        ({"cluster": {"certificate-authority": "."}}, "which can't be read: Is a directory"),
        ({"cluster": {"certificate-authority-data": "***"}}, "has certificate-authority-data that is no base64"),
        ({"cluster": {"certificate-authority-data": "aGVsbG8="}}, "has a certificate-authority that is none"),
        (
            {"cluster": {"insecure-skip-tls-verify": "perhaps"}},
            "insecure-skip-tls-verify: Input should be a valid bool",
        ),
        ({"user": {"client-certificate-data": "aGVsbG8=", "client-key-data": "aGVsbG8="}}, "has a client-certificate"),
        ({"user": {"tokenFile": "/no/such/token"}}, "names tokenFile /no/such/token, which can't be read"),
        ({"user": {"token": {"a": 1}}}, "user 'me' .* is damaged: token: "),
        ({"user": {"token": "se\u0663cret"}}, "the token of user 'me' .* has characters that no token can have"),
        ({"user": {"as-groups": "admins"}}, "user 'me' .* is damaged: as-groups: Input should be a valid list"),
        ({"user": {"auth-provider": {"name": "azure", "config": {}}}}, "auth-provider 'azure', which gave no token"),
        ({"user": {"auth-provider": {"name": "gcp"}}}, "context 'staging' .* can't be used: "),
        ({"user": {"auth-provider": {"name": "oidc", "config": {}}}}, "context 'staging' .* can't be used: "),
        (
            {
                "cluster": {"proxy-url": 0},
                "user": {"auth-provider": {"name": "gcp", "config": {"access-token": "x\n\n\u0663"}}},
            },
            "the token of user 'me' .* has characters that no token can have",
        ),
        ({"user": {"auth-provider": "x"}}, "user 'me' .* is damaged: auth-provider: "),
        ({"user": {"exec": {"command": "x"}}}, "user 'me' .* is damaged: exec.apiVersion: Field required"),
        ({"user": {"exec": {"command": "", "apiVersion": EXEC_VERSION}}}, "is damaged: exec.command: "),
        ({"user": plugin("x", env=[{"name": "A"}])}, "is damaged: exec.env.0.value: Field required"),
        (
            {"user": plugin("no-such-plugin", installHint="brew\ninstall it")},
            r"not on PATH: install it \(brew install it\)",
        ),
        ({"user": plugin("/")}, "it can't be started: Permission denied"),
        (
            {"user": plugin("sh", "-c", "echo expired >&2; exit 3")},
            "got no credentials: process returned 3. expired. Run",
        ),
        ({"user": plugin("echo", "hello")}, "got no credentials: failed to decode process output"),
        ({"user": plugin("echo", "[]")}, "got no credentials: "),
        ({"user": plugin("echo", "{}")}, "missing key 'apiVersion'"),
        ({"user": printing({})}, "it printed neither a token nor a certificate with its key"),
        ({"user": printing(None)}, "what it printed is no ExecCredential"),
        ({"user": printing({"token": "x", "expirationTimestamp": "soon"})}, "what it printed is no ExecCredential"),
        ({"contexts": [{"name": "staging", "context": {"cluster": "x"}}]}, "leads to cluster 'x', which is not there"),
        ({"contexts": [{"name": "staging"}]}, "leads to cluster '', which is not there"),
        (
            {"contexts": [{"name": "staging", "context": {"cluster": "the-cluster", "user": "you"}}]},
            "leads to user 'you', which is not there",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_invalid_kubeconfig_entry_is_named(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    variables = written(tmp_path, document(**changes))
    with pytest.raises(Unsupported, match=says) as caught:
        connect.connect("staging", variables)._transport._authorisation()
    assert str(variables["KUBECONFIG"]) in str(caught.value)


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1", "socks4a://x", "SOCKS5H://u:secret@x:1", "ftp://x", "http://["]
)
@pytest.mark.parametrize("source", ["kubeconfig", "environment"])
def test_unusable_proxy_url_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str, source: str
) -> None:
    if source == "environment":
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    variables = written(tmp_path, document(cluster={"proxy-url": proxy} if source == "kubeconfig" else None))
    with pytest.raises(Unsupported, match=r"staging: its proxy .* can't be used: .*name an HTTP proxy") as caught:
        connect.connect("staging", variables)
    assert "secret" not in str(caught.value)
    assert ("SOCKS" in str(caught.value)) == proxy.lower().startswith("socks")


def test_proxy_url_without_scheme_is_http(tmp_path: Path) -> None:
    way = connect.connect("staging", written(tmp_path, document(cluster={"proxy-url": "127.0.0.1:9"})))
    with pytest.raises(TransientError, match="its proxy can't be reached"):
        way._transport.once("GET", "/version", "the version")


def test_directory_or_unreadable_kubeconfig_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unsupported, match=f"the kubeconfig {tmp_path} can't be read: Is a directory"):
        connect.find_access("", {"KUBECONFIG": str(tmp_path)})
    with pytest.raises(Unsupported, match="can't be read: Not a directory"):
        connect.find_access("", {"KUBECONFIG": str(Path(written(tmp_path, document())["KUBECONFIG"], "below"))})

    def closed(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    variables = written(tmp_path, document())
    monkeypatch.setattr(Path, "open", closed)  # root may read every file, so a closed one can't be made for it
    with pytest.raises(Unsupported, match=f"the kubeconfig {variables['KUBECONFIG']} can't be read: Permission denied"):
        connect.find_access("", variables)


def test_kubeconfig_list_skips_missing_files_and_first_wins(tmp_path: Path) -> None:
    first = document(cluster={"server": "https://first"}) | {"current-context": ""}
    second = document(cluster={"server": "https://second"}) | {"current-context": "other"}
    second["contexts"] += [{"name": "other", "context": {"cluster": "the-cluster", "user": "me"}}]
    names = [written(tmp_path, content, name)["KUBECONFIG"] for name, content in {"a": first, "b": second}.items()]
    variables = {"KUBECONFIG": os.pathsep.join(["", str(tmp_path / "none"), *names])}
    way = connect.find_access("", variables)
    assert (way.context, way.configuration.host) == ("other", "https://first")
    with pytest.raises(Unsupported, match=f"there is no kubeconfig {tmp_path}/none "):
        connect.find_access("", {"KUBECONFIG": str(tmp_path / "none")})


@pytest.mark.parametrize("current", ["", None])
def test_missing_current_context_is_a_problem(tmp_path: Path, current: str | None) -> None:
    variables = written(tmp_path, document() | {"current-context": current})
    with pytest.raises(BadInput, match="has no current context: give CONTEXT=NAME; it has staging"):
        connect.find_access("", variables)
    assert connect.find_access("staging", variables).context == "staging"


def test_current_context_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    variables = written(tmp_path, document() | {"current-context": "gone"})
    with pytest.raises(BadInput, match=r"has no context 'gone', its current context: it has staging\.$"):
        connect.find_access("", variables)
    with pytest.raises(BadInput, match=r"has no context 'other': it has staging\.$"):
        connect.find_access("other", variables)


def test_broken_unused_context_is_ignored(tmp_path: Path) -> None:
    content = document()
    content["clusters"].append({"name": "broken", "cluster": {"server": 7, "certificate-authority": "/none"}})
    content["users"] += [{"name": "nobody", "user": None}, {"name": 5, "user": {"exec": []}}]
    content["contexts"].append({"name": "broken", "context": {"cluster": "broken", "user": "5"}})
    assert connect.find_access("staging", written(tmp_path, content)).configuration.host == "https://127.0.0.1:9"


def test_relative_paths_are_relative_to_the_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate(tmp_path)
    (tmp_path / "token").write_text("from-a-file\n")
    user = {"tokenFile": "token", "client-certificate": "tls.crt", "client-key": "./tls.key"}
    cluster = {"certificate-authority": "tls.crt", "tls-server-name": "elsewhere.example"}
    variables = written(tmp_path, document(cluster=cluster, user=user))
    monkeypatch.chdir("/")
    client = connect.connect("the-cluster", variables)
    assert client._transport._authorisation() == {"authorization": "Bearer from-a-file"}
    configuration = client._transport._configuration
    assert (configuration.ssl_ca_cert, configuration.key_file) == (str(tmp_path / "tls.crt"), str(tmp_path / "tls.key"))
    assert configuration.tls_server_name == "elsewhere.example"


def test_client_key_of_another_certificate_is_a_problem(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        certificate(tmp_path / name)
    user = {"client-certificate": "one/tls.crt", "client-key": "two/tls.key"}
    with pytest.raises(
        Unsupported, match=r"user 'me' .* has a client-certificate that can't be used with its client-key"
    ):
        connect.connect("staging", written(tmp_path, document(user=user)))


def test_impersonation_headers(tmp_path: Path) -> None:
    user = {"token": "x", "as": "jane", "as-uid": "7", "as-groups": ["a", "b"], "as-user-extra": {"Why Not": ["c"]}}
    way = connect.find_access("", written(tmp_path, document(user=user)))
    assert way.login.impersonation == (
        ("Impersonate-User", "jane"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-why-not", "c"),
    )


def test_exec_plugin_token_is_renewed_before_it_expires(tmp_path: Path) -> None:
    counted = tmp_path / "count"
    soon = (datetime.now(UTC) + timedelta(seconds=30)).isoformat()
    script = (
        f'echo x >> {counted}; printf \'{{"apiVersion": "{EXEC_VERSION}", "kind": "ExecCredential", "status": '
        f'{{"token": "t%d", "expirationTimestamp": "{soon}"}}}}\' $(wc -l < {counted}); [ ! -e {tmp_path}/broken ]'
    )
    client = connect.connect("staging", written(tmp_path, document(user=plugin("sh", "-c", script))))
    assert client._transport._authorisation() == {"authorization": "Bearer t2"}
    (tmp_path / "broken").touch()
    with pytest.raises(TransientError, match="got no credentials: process returned 1"):
        client._transport._authorisation()


def test_exec_plugin_client_certificate(tmp_path: Path) -> None:
    crt, key = (file.read_text() for file in certificate(tmp_path))
    user = printing({"clientCertificateData": crt, "clientKeyData": key})
    configuration = connect.find_access("", written(tmp_path, document(user=user))).configuration
    assert configuration.cert_file is not None
    assert Path(configuration.cert_file).read_text() == crt


def test_kubeconfig_that_is_a_pipe_is_read_and_what_fills_it_is_waited_for_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waiting, "SILENCE_S", 0.01)
    monkeypatch.setattr(kubeconfig, "DelayNotice", Announced)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: (Announced.shown.wait(10), pipe.write_text("current-context: prod\n")))
    writer.start()
    assert kubeconfig.read_kubeconfigs({"KUBECONFIG": str(pipe)}).current == "prod"
    writer.join()
    assert f"Waiting for the kubeconfig {pipe}, which is no ordinary file" in capsys.readouterr().err


class Announced(waiting.DelayNotice):
    """A notice that sets an event when it has said something."""

    shown = threading.Event()

    def now(self, sentence: str) -> None:
        super().now(sentence)
        self.shown.set()


def test_slow_exec_plugin_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    shown: list[str] = []

    def tell(_notice: waiting.DelayNotice, sentence: str) -> None:
        shown.append(sentence)
        go.open("w").close()  # the plugin waits for this

    monkeypatch.setattr(waiting, "SILENCE_S", 0.1)
    monkeypatch.setattr(waiting.DelayNotice, "now", tell)
    variables = written(tmp_path, document(user=plugin("sh", "-c", f"cat {go}; exit 1")))
    with pytest.raises(Unsupported, match="process returned 1"):
        connect.find_access("", variables)
    assert shown[0].startswith("Waiting for the plugin `sh -c cat ")
    assert shown[0].endswith(", which gets the credentials; Ctrl-C ends it.")


@pytest.mark.parametrize("script", ["cat {never}", "cat {never} & wait", "setsid cat {never} & exit 1"])
def test_hanging_exec_plugin_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """With whatever it started, which may outlive it and hold its output."""
    never = tmp_path / "never"
    os.mkfifo(never)
    monkeypatch.setattr(plugins, "ALONE_S", 0.3)
    monkeypatch.setattr(plugins, "AT_TERMINAL_S", 0.3)
    variables = written(tmp_path, document(user=plugin("sh", "-c", script.format(never=never))))
    with pytest.raises(Unsupported, match="did not end within 0 s and was ended; it may wait for input"):
        connect.find_access("", variables)
    found = psutil.process_iter(["cmdline"])
    assert [process for process in found if str(never) in (process.info["cmdline"] or [])] == []


def test_token_takes_precedence_over_exec_plugin_and_auth_provider(tmp_path: Path) -> None:
    user = {"token": "mine", "auth-provider": {"name": "azure"}, **plugin("no-such-plugin")}
    client = connect.connect("staging", written(tmp_path, document(user=user)))
    assert client._transport._authorisation() == {"authorization": "Bearer mine"}


def test_basic_authentication(tmp_path: Path) -> None:
    client = connect.connect("staging", written(tmp_path, document(user={"username": "me", "password": 5})))
    expected = base64.b64encode(b"me:5").decode()
    assert client._transport._authorisation() == {"authorization": f"Basic {expected}"}
