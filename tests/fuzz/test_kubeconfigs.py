"""Kubeconfigs, damaged at random: each leads to a client or to a sentence, and none to a traceback or a long wait."""

import copy
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from analysis.errors import Problem
from steps.cluster.kube.api import connect
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.transport import ApiTransport
from tests.fuzz import inputs
from tests.steps.kube.api.kubeconfigs import EXEC_VERSION, certificate, document, written

VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**30, "", " ", "x" * 5_000, "\u0663", "\x07", "a\nb", "..", "/", "~", [], {}, [None],
    {"a": {"b": []}}, [[]], "https://", "socks5://x", "http://[", "***", "aGVsbG8=", "2001-01-01",
    float("inf"), b"\xff",
)  # fmt: skip
WORDS = (
    "&a", "*a", "? ", "- ", "{", "}", "[", "]", ": ", "\t", "\x00", "\ufeff", "!!binary ", "!!timestamp x", "<<: *a",
    "---\n", "...\n", "%YAML 9.9\n", "'", '"', "|\n", "\u2028", "\U0001f600", "\ud7ff",
)  # fmt: skip
PLUGIN = {"apiVersion": EXEC_VERSION, "command": "/no/such/plugin", "args": ["x"], "env": [{"name": "A", "value": "b"}]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kubeconfigs")
    certificate(path)
    (path / "token").write_text("from-a-file\n")
    return path


def sound(random: Random) -> dict[str, Any]:
    """One of the kinds that people have."""
    users: tuple[dict[str, Any], ...] = (
        {"token": "secret"},
        {"tokenFile": "token"},
        {"client-certificate": "tls.crt", "client-key": "tls.key"},
        {"username": "me", "password": "x"},
        {"exec": PLUGIN},
        {"auth-provider": {"name": "oidc", "config": {"id-token": "a.b.c", "idp-issuer-url": "http://127.0.0.1:9"}}},
        {"auth-provider": {"name": "gcp", "config": {"access-token": "x"}}},
        {"token": "x", "as": "jane", "as-groups": ["a"], "as-user-extra": {"b": ["c"]}},
    )
    cluster = {
        "certificate-authority": "tls.crt",
        "tls-server-name": "x",
        "insecure-skip-tls-verify": False,
        "proxy-url": "http://127.0.0.1:9",
    }
    made = copy.deepcopy(document(cluster=cluster, user=random.choice(users)))
    made["contexts"].append({"name": "other", "context": {"cluster": "none", "user": "none", "namespace": "x"}})
    return made


def places(value: object) -> list[tuple[Any, Any]]:
    """Every place in a document that can hold another value: the container and its key."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            found += [(value, key), *places(value[key])]
    return found


def mutated_values(random: Random) -> str:
    made = sound(random)
    for _ in range(random.randint(1, 3)):
        container, key = random.choice(places(made))
        if isinstance(container, dict) and random.random() < 0.2:
            del container[key]
        elif isinstance(container, list) and random.random() < 0.2:
            container.append(copy.deepcopy(container[key]))
        else:
            container[key] = copy.deepcopy(random.choice(VALUES))
    return str(yaml.safe_dump(made, allow_unicode=True))


def mutated_text(random: Random) -> bytes:
    text = yaml.safe_dump(sound(random))
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(text) + 1)
        match random.randrange(4):
            case 0:
                text = text[:at]
            case 1:
                text = text[:at] + random.choice(WORDS) + text[at:]
            case 2:
                text = text[:at] + text[at + random.randrange(40) :]
            case _:
                text = text[:at] + text[at : at + 60] * random.randint(2, 5) + text[at + 60 :]
    data = bytearray(text.encode())
    if data and random.random() < 0.3:
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data)


def test_any_kubeconfig_is_read_or_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)

    def led_to(random: Random, variables: dict[str, str]) -> object:
        try:
            if random.random() < 0.5:
                client = connect.connect("staging", variables)
            else:
                way = connect.find_access(random.choice(["", "staging", "other"]), variables)
                client = Client(ApiTransport(way, "prod"), "bench")
            client._transport._authorisation()
        except Problem as problem:
            return problem
        return client

    def try_one(random: Random) -> inputs.Outcome:
        kind = random.choice(["sound", "values", "values", "text", "text"])
        content: object = sound(random)
        if kind != "sound":
            content = mutated_values(random) if kind == "values" else mutated_text(random)
        found = led_to(random, written(folder, content))
        if isinstance(found, Problem):
            assert 20 < len(str(found)) < 8_000
        return kind, "a client" if isinstance(found, Client) else type(found).__name__

    counts = inputs.run("kubeconfigs", try_one, ci=300)
    assert {end for _, end in counts} >= {"a client", "Unsupported"} or counts.total() < 100
