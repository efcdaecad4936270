"""kube-proxy's configuration as JSON and as YAML: its mode alone is switched, and restored byte for byte."""

import json

import pytest
import yaml

from analysis.errors import Problem
from steps.cluster.kube.plugins.calico import restore
from steps.cluster.kube.plugins.calico.inventory import kube_proxy
from tests.steps.kube.fakes.api import direct_client
from tests.steps.kube.fakes.calico import CONFIG, Calico
from tests.steps.kube.switching import around, put_back, switch

HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
JSON = json.dumps({"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": ""})

MERGED = f"b: &b {{mode: iptables}}\n<<: *b\n{HEAD}"

TEXTS: dict[str, tuple[str, str | None]] = {
    "json": (JSON, JSON.replace('"mode": ""', '"mode": "nftables"')),
    "json of many lines": (
        '{\n\t"kind": "KubeProxyConfiguration",\n\t"conntrack": {"mode": 1.50}\n}\n',
        '{\n\t"mode": "nftables",\n\t"kind": "KubeProxyConfiguration",\n\t"conntrack": {"mode": 1.50}\n}\n',
    ),
    "json without spaces": (
        '{"kind":"KubeProxyConfiguration","mode":null}',
        '{"kind":"KubeProxyConfiguration","mode":"nftables"}',
    ),
    "json twice": (
        '{"mode": "iptables", "kind": "KubeProxyConfiguration", "mode": "iptables"}',
        '{"mode": "iptables", "kind": "KubeProxyConfiguration", "mode": "nftables"}',
    ),
    "no mode": (f"# head\n{HEAD}conntrack: {{mode: x}}\n", f"# head\nmode: nftables\n{HEAD}conntrack: {{mode: x}}\n"),
    "no newline at the end": (f"{HEAD}mode: iptables", f"{HEAD}mode: nftables"),
    "comment": (f"{HEAD}mode: 'iptables' # ours\n", f"{HEAD}mode: nftables # ours\n"),
    "empty, comment": (f"{HEAD}mode: # ours\nx: 1\n", f"{HEAD}mode: nftables # ours\nx: 1\n"),
    "null": (f"{HEAD}mode: ~\n", f"{HEAD}mode: nftables\n"),
    "block": (f"{HEAD}mode: |-\n  iptables\nx: 1\n", f"{HEAD}mode: nftables\nx: 1\n"),
    "alias": (f"x: &m iptables\n{HEAD}mode: *m\ny: *m # c\n", f"x: &m iptables\n{HEAD}mode: nftables\ny: *m # c\n"),
    "anchor that others use": (f"{HEAD}mode: &m iptables\nx: *m\n", f"{HEAD}mode: nftables\nx: iptables\n"),
    "merged": (
        f"b: &b {{mode: iptables}}\n<<: *b\n{HEAD}",
        f"mode: nftables\nb: &b {{mode: iptables}}\n<<: *b\n{HEAD}",
    ),
    "flow": ("{kind: KubeProxyConfiguration}\n", "{mode: nftables, kind: KubeProxyConfiguration}\n"),
    "JSON behind a comment": (
        '# ours\n{"kind": "KubeProxyConfiguration", "mode": "iptables"}\n',
        '# ours\n{"kind": "KubeProxyConfiguration", "mode": "nftables"}\n',
    ),
    "twice": (f"mode: iptables\n{HEAD}mode: iptables\n", f"mode: iptables\n{HEAD}mode: nftables\n"),
    "windows": (f"{HEAD}x: 1\n".replace("\n", "\r\n"), f"mode: nftables\n{HEAD}x: 1\n".replace("\n", "\r\n")),
    "byte order mark": (f"\ufeff{HEAD}", f"\ufeffmode: nftables\n{HEAD}"),
    "tabs": (f'{HEAD}mode:\tiptables\nx: "a\tb"\n', f'{HEAD}mode:\tnftables\nx: "a\tb"\n'),
    "second document": (f"kind: Other\nmode: a\n---\n# c\n{HEAD}---\nx: 1\n", None),
    "mode in a text": (f"{HEAD}note: |\n  x\n\nmode: iptables\n", f"{HEAD}note: |\n  x\n\nmode: nftables\n"),
    "tag": (f"{HEAD}mode: !!str iptables\n", f"{HEAD}mode: nftables\n"),
    "key in quotes": (f'{HEAD}"mode": iptables\n', f'{HEAD}"mode": nftables\n'),
}


def with_config(text: str) -> Calico:
    calico = Calico()
    found = calico.store.find("", "configmaps", "kube-system", "kube-proxy")
    assert found is not None
    found["data"]["config.conf"] = text
    return calico


@pytest.mark.parametrize("name", TEXTS)
def test_kube_proxy_mode_patch_and_restore_are_byte_exact(name: str) -> None:
    text, expected = TEXTS[name]
    calico = with_config(text)
    switch(calico, "nftables")
    assert kube_proxy.mode(calico.kube_proxy_config) == "nftables"
    if expected is not None:
        assert calico.kube_proxy_config == expected
    put_back(calico)
    assert calico.kube_proxy_config == text


def test_kube_proxy_document_of_a_multi_document_yaml_is_patched() -> None:
    text, _ = TEXTS["second document"]
    calico = with_config(text)
    switch(calico, "nftables")
    found = list(yaml.safe_load_all(calico.kube_proxy_config))
    before = list(yaml.safe_load_all(text))
    before[1]["mode"] = "nftables"
    assert found == before
    assert "# c" in calico.kube_proxy_config


@pytest.mark.parametrize("name", sorted({*TEXTS} - {"second document", "JSON behind a comment"}))
def test_restore_keeps_concurrent_edits(name: str) -> None:
    text, _ = TEXTS[name]
    calico = with_config(text)
    switch(calico, "nftables")
    found = calico.store.find("", "configmaps", "kube-system", "kube-proxy")
    assert found is not None
    theirs = found["data"]["config.conf"]
    key = '"bindAddress"' if theirs.startswith(("{", "\ufeff{")) else "bindAddress"
    start = theirs.index("{") + 1 if theirs.startswith("{") else None
    if start is not None:
        theirs = f'{theirs[:start]}{key}: "::1", {theirs[start:]}'
    else:
        mark = "\ufeff" if theirs.startswith("\ufeff") else ""
        theirs = f'{mark}{key}: "::1"\n{theirs.removeprefix(mark)}'
    found["data"]["config.conf"] = theirs
    put_back(calico)
    assert kube_proxy.mode(calico.kube_proxy_config) == (kube_proxy.mode(text) or "iptables")
    assert "::1" in calico.kube_proxy_config


@pytest.mark.parametrize("broken", [": : [", f"{JSON}\nmode: nftables\n", "", "kind: Other\n"])
def test_restore_replaces_an_unparsable_configuration(broken: str) -> None:
    calico = with_config(JSON)
    before = calico.settings()
    switch(calico, "nftables")
    found = calico.store.find("", "configmaps", "kube-system", "kube-proxy")
    assert found is not None
    found["data"]["config.conf"] = broken
    client, _transport = direct_client(calico.store)
    notices: list[str] = []
    restore.restore(around(calico, client, say=notices.append))
    assert calico.settings() == before
    assert any(
        "was no valid configuration of kube-proxy" in sentence and repr(broken) in sentence for sentence in notices
    )


def test_restore_recreates_a_deleted_key() -> None:
    calico = Calico()
    before = calico.settings()
    switch(calico, "nftables")
    found = calico.store.find("", "configmaps", "kube-system", "kube-proxy")
    assert found is not None
    del found["data"]["config.conf"]
    put_back(calico)
    assert calico.settings() == before


def test_kube_proxy_key_of_the_config_map_is_patched() -> None:
    calico = Calico()
    found = calico.store.find("", "configmaps", "kube-system", "kube-proxy")
    assert found is not None
    found["data"]["a-spare.conf"] = CONFIG
    before = calico.settings()
    switch(calico, "nftables")
    assert found is not None
    changed = calico.settings()["configmaps kube-system/kube-proxy"]
    assert changed["a-spare.conf"] == CONFIG
    assert kube_proxy.mode(changed["config.conf"]) == "nftables"
    put_back(calico)
    assert calico.settings() == before


def test_configuration_without_place_for_a_mode_is_a_problem() -> None:
    text = f"&all\n{HEAD}self: *all\n"
    with pytest.raises(
        Problem, match="mode nftables can't be set in kube-proxy's configuration: mode can't be set in it without"
    ):
        kube_proxy.with_mode(text, "nftables")
    with pytest.raises(Problem, match="it has no KubeProxyConfiguration"):
        kube_proxy.with_mode("{}", "nftables")


NO_CONFIGURATIONS = (
    "",
    "a: [",
    "\x00",
    "- 1",
    "x",
    '{"kind": 1}',
    "[" * 2000,
    '"\\UFFFFFFFF"',
    "a: &a [*a]",
)


@pytest.mark.parametrize("text", NO_CONFIGURATIONS)
def test_text_that_is_no_configuration_has_no_mode(text: str) -> None:
    assert kube_proxy.mode(text) is None
    assert kube_proxy.config_key({"data": {"config.conf": text}}) is None


def test_yaml_alias_bomb_is_read_quickly() -> None:
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 40)]
    text = f"{HEAD}a0: &a0 [x]\n" + "\n".join(levels) + "\n"
    changed = kube_proxy.with_mode(text, "nftables")
    assert changed == f"mode: nftables\n{text}"
