"""kube-proxy's configuration in whatever text: only its mode changes, and restore gives the very bytes back.

The judge parses by other means than the code that is judged: whole values by `json` and by PyYAML's constructor, not
nodes and their positions.
"""

import json
from random import Random
from typing import Any

import pytest
import yaml

from analysis.errors import Problem
from steps.cluster.kube.config.text import TextError
from steps.cluster.kube.plugins.calico.inventory import kube_proxy
from tests.fuzz import inputs

KIND = "KubeProxyConfiguration"
NAMES = ("mode", "mode ", "Mode", "a", "ipvs", "x y", "1", "~", "null", "-", "é", "<<", "#", "conntrack", "nodes")
SCALARS = (
    "", "~", "null", "iptables", '"ipvs"', "'ipvs'", "nftables", "yes", "0o14", "1_000", "10:20", "2026-11-26", ".inf",
    "1e3", "0x1F", "fd00::/108", "!!str 1", "!mine x", "|-\n  two\n  lines", ">\n  folded\n", '"mode: \\"x\\""', "é",
    "- x", "{mode: y}", "[mode, {mode: z}]", "&one x", "*one", "? x", "2026-99-99", "mode: q", "%x", "@x", "`x",
)  # fmt: skip
MODES = ("iptables", "nftables", "ipvs", "")
SPACE = ("", " ", "  ", " # c", "\t", "  # mode: z")


def test_any_kube_proxy_configuration_is_read_or_refused() -> None:
    counts = inputs.run("kube-proxy configurations", try_one, ci=200)
    if counts.total() >= 400:
        assert sum(count for (_kind, end), count in counts.items() if end == "switched") > counts.total() / 4


def try_one(random: Random) -> inputs.Outcome:
    kind, text = random.choice([of_json, of_yaml, of_yaml, of_flow, of_documents, mutated])(random)
    before = parsed(text)
    mode = kube_proxy.mode(text)
    wanted = random.choice(["nftables", "iptables"])
    changed = changed_or_problem(text, wanted)
    if isinstance(changed, Problem):
        assert "\n" not in str(changed)
        assert str(changed).endswith(".")
        assert kube_proxy.restore_mode(text, text) == text
        return kind, "no configuration" if mode is None else "refused"
    assert mode is not None
    assert kube_proxy.mode(changed) == wanted
    assert kube_proxy.restore_mode(text, changed) == text, "the very bytes"
    broken = changed + random.choice(["\n: : [", "\n}\n", "\x00", "\nmode: {"])
    if kube_proxy.mode(broken) is None:
        with pytest.raises(TextError):
            kube_proxy.restore_mode(text, broken)
    if before is None:
        return kind, "switched, though no other parser takes it"
    after = parsed(changed)
    assert after is not None, changed
    assert comparable(after, wanted) == comparable(before, wanted), (text, changed)
    if text.lstrip().startswith("{") and json_or_none(text) is not None:
        assert json_or_none(changed) is not None, "what was JSON is JSON"
    assert kube_proxy.mode(kube_proxy.restore_mode(changed, text)) == wanted
    return kind, "switched"


def changed_or_problem(text: str, wanted: str) -> str | Problem:
    try:
        return kube_proxy.with_mode(text, wanted)
    except Problem as problem:
        return problem


def of_json(random: Random) -> tuple[str, str]:
    found: dict[str, Any] = {"kind": KIND}
    for _ in range(random.randrange(5)):
        found[random.choice(NAMES)] = json_value(random, 0)
    if random.random() < 0.5:
        found["mode"] = random.choice([*MODES, None])
    pairs = list(found.items())
    random.shuffle(pairs)
    text = json.dumps(
        dict(pairs),
        indent=random.choice([None, 2, "\t", 0]),
        separators=random.choice([(",", ":"), (", ", ": "), (" , ", " :\t")]),
        ensure_ascii=random.random() < 0.5,
    )
    if random.random() < 0.2:
        text = text.replace(f'"{KIND}"', f'"{KIND}","mode":"iptables"', 1)
    return "JSON", random.choice(["", " ", "\n\t", "\ufeff"]) + text + random.choice(["", "\n", "\r\n"])


def json_value(random: Random, depth: int) -> Any:  # noqa: ANN401 - JSON
    simple: list[Any] = [None, True, 0, -1.5, 1e300, 10**30, "", "mode", 'a"b\\', "é\u2028"]
    if depth > 2 or random.random() < 0.6:
        return random.choice(simple)
    if random.random() < 0.5:
        return [json_value(random, depth + 1) for _ in range(random.randrange(3))]
    return {random.choice(NAMES): json_value(random, depth + 1) for _ in range(random.randrange(3))}


def of_yaml(random: Random) -> tuple[str, str]:
    lines = [f"kind: {random.choice([KIND, repr(KIND), json.dumps(KIND), f'!!str {KIND}', f'&k {KIND}'])}"]
    some = range(random.randrange(6))
    lines += [f"{random.choice(NAMES)}: {random.choice(SCALARS)}{random.choice(SPACE)}" for _ in some]
    if random.random() < 0.6:
        name = random.choice(["mode", '"mode"', "'mode'", "? mode\n", "!!str mode"])
        lines.append(f"{name}:{random.choice([' ', '  ', chr(9)])}{random.choice(SCALARS)}{random.choice(SPACE)}")
    if random.random() < 0.2:
        lines[:0] = ["base: &base", "  mode: ipvs", "  other: 1", "<<: *base"]
    if random.random() < 0.3:
        lines.insert(
            random.randrange(len(lines)), random.choice(["# mode: no", "", "   # far", "nested:\n  mode: deep"])
        )
    if random.random() < 0.5:
        random.shuffle(lines)
    indent = random.choice(["", "", "", "  "])
    text = "\n".join(indent + line for whole in lines for line in whole.split("\n"))
    text = random.choice(["", "", "---\n", "# head\n", "%YAML 1.1\n---\n", "\ufeff", "\n\n"]) + text
    text += random.choice(["", "\n", "\n\n", "\n...\n", "\n# tail"])
    return "YAML", text.replace("\n", "\r\n") if random.random() < 0.2 else text


def of_flow(random: Random) -> tuple[str, str]:
    names = random.sample(("a", "b", "mode", "ipvs"), random.randrange(4))
    values = ("x", "1", "{mode: a}", "[1]", "*k", "&k y")
    parts = [f"kind: {KIND}", *(f"{name}: {random.choice(values)}" for name in names)]
    random.shuffle(parts)
    gap = random.choice([", ", ",\n  ", " , # c\n"])
    return "flow", "{" + random.choice(["", " ", "\n"]) + gap.join(parts) + random.choice(["", ",", "\n"]) + "}\n"


def of_documents(random: Random) -> tuple[str, str]:
    others = ["kind: Other\nmode: x", "", "- mode", "# only a comment", "mode: y\nkind: [1]", "text"]
    texts = [random.choice(others) for _ in range(random.randrange(1, 3))]
    texts.insert(random.randrange(len(texts) + 1), of_yaml(random)[1].removeprefix("\ufeff").removesuffix("...\n"))
    return "several documents", "---\n" + "\n---\n".join(texts) + "\n"


def mutated(random: Random) -> tuple[str, str]:
    text = random.choice([of_json, of_yaml, of_flow, of_documents])(random)[1]
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(text) + 1)
        cut = at + random.choice([0, 0, 1, 3])
        text = (
            text[:at]
            + random.choice(["", "\t", "\x00", "{", "}", "mode: z\n", ":", '"', "&x ", "*x", "\\", "-"])
            + text[cut:]
        )
    return "mutated", text


def parsed(text: str) -> list[Any] | None:
    """The documents as values; None where another parser than the one that is judged doesn't take the text."""
    if (found := json_or_none(text)) is not None:
        return [found]
    try:
        return list(yaml.load_all(text, Loader=Values))
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, TypeError):
        return None


def json_or_none(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


class Values(yaml.SafeLoader):
    """Takes tags that it does not know for what they stand at."""


def _unknown(loader: yaml.SafeLoader, _tag: str, node: yaml.Node) -> object:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return node.value


Values.add_multi_constructor("!", _unknown)


def comparable(documents: list[Any], wanted: str) -> str:
    """The documents as text, with the wanted mode in the first one that configures kube-proxy."""
    result = []
    done = False
    for document in documents:
        if not done and isinstance(document, dict) and document.get("kind") == KIND:
            done = True
            others = {key: value for key, value in document.items() if key != "mode"}
            result.append(repr({"mode": wanted, **others}))
        else:
            result.append(repr(document))
    return "\n".join(result)
