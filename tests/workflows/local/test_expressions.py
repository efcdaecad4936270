"""What an input holds decides between fixed texts, or is checked by a pattern: it never becomes text unchecked."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import BadInput
from workflows.local.semantics.expressions import Expression, parse_expression
from workflows.local.semantics.lint import lint
from workflows.local.semantics.tags import Unresolved, references, render, tags_in
from workflows.template import benchmark
from workflows.template.nightly import build_nightly

TAG = "inputs.parameters.network"
HOSTILE = ('true, "hostPID": true', "node'", "node\\", "{{=1}}", "NODE", "")
VISIT = "raw/{{=inputs.parameters.visit matches '^[0-9]{2,9}$' ? inputs.parameters.visit : 'refused'}}/x.json"
NODE = (
    "{{=inputs.parameters['client-node'] matches '^[a-z0-9][a-z0-9.-]{0,252}$' ? inputs.parameters['client-node'] : "
    "'refused'}}"
)


def template() -> dict[str, Any]:
    built: dict[str, Any] = benchmark.build_template().to_dict()
    return next(t for t in built["spec"]["templates"] if t["name"] == "measure")


def patch_expression() -> Expression:
    (tag,) = tags_in(template()["podSpecPatch"])
    return parse_expression(tag[1:])


@pytest.mark.parametrize(
    ("network", "patch"),
    [
        ("pod", {"hostNetwork": False, "dnsPolicy": "ClusterFirst"}),
        ("node", {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}),
        ("outside", {"hostNetwork": True, "dnsPolicy": "Default"}),
    ],
)
def test_network_choice_gives_a_fixed_pod_patch(network: str, patch: dict[str, object]) -> None:
    assert json.loads(patch_expression().evaluate({TAG: network})) == patch


@given(st.one_of(st.text(), st.sampled_from(HOSTILE)))
def test_any_input_gives_one_of_three_pod_patches(value: str) -> None:
    chosen = patch_expression()
    assert chosen.evaluate({TAG: value}) in chosen.texts
    assert len(chosen.texts) == 3
    for text in chosen.texts:
        assert set(json.loads(str(text))) == {"hostNetwork", "dnsPolicy"}


@pytest.mark.parametrize(
    ("visit", "key"),
    [
        ("03", "raw/03/x.json"),
        ("123456789", "raw/123456789/x.json"),
        *(
            (hostile, "raw/refused/x.json")
            for hostile in ("3", "1234567890", "../..", "03\n", "\n03", "٠٣", "-3", "03/..", "", "{{workflow.name}}")
        ),
    ],
)
def test_input_that_matches_its_pattern_becomes_part_of_a_key(visit: str, key: str) -> None:
    assert render(VISIT, {"inputs.parameters.visit": visit}) == key


@given(st.one_of(st.text(), st.from_regex(r"[0-9]{1,10}\n?", fullmatch=True)))
def test_any_other_input_is_refused_in_a_key(value: str) -> None:
    # As Go's regexp has it: $ is the end of the text, and a digit is an ASCII one.
    expected = value if re.search(r"\A[0-9]{2,9}\Z", value, re.ASCII) else "refused"
    assert render(VISIT, {"inputs.parameters.visit": value}) == f"raw/{expected}/x.json"


def test_input_with_a_hyphen_is_an_index() -> None:
    (tag,) = tags_in(NODE)
    assert references(tag) == ("inputs.parameters.client-node",)
    assert render(NODE, {"inputs.parameters.client-node": "node-a.example"}) == "node-a.example"
    assert render(NODE, {"inputs.parameters.client-node": "-rf /"}) == "refused"


def test_expressions_stand_beside_tags_and_each_other() -> None:
    known = {"inputs.parameters.visit": "01", "workflow.name": "run", "inputs.parameters.client-node": "a"}
    assert render(f"{{{{workflow.name}}}}/{VISIT}/{NODE}", known) == "run/raw/01/x.json/a"


def test_step_is_pinned_by_node_name_only() -> None:
    measure = template()
    assert "nodeSelector" not in measure
    (term,) = measure["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    (field,) = term["matchFields"]
    (node,) = field.pop("values")
    assert field == {"key": "metadata.name", "operator": "In"}
    assert "client-node" in node


def test_step_never_started_has_its_own_deadline() -> None:
    assert "inputs.parameters['timeout']" in template()["timeout"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("inputs.parameters.a", "not a supported expression"),
        ("'{' + inputs.parameters.a + '}'", "not a supported expression"),
        ("inputs.parameters.a == 'x' ? 'y'", "not a supported expression"),
        ("inputs.parameters.a == 'x?' ? 'y' : 'z'", "not a supported expression"),
        ("inputs.parameters.a == 'x' ? '{{b}}' : 'z'", "not a supported expression"),
        (r"inputs.parameters.a == 'x\'' ? 'y' : 'z'", "not a supported expression"),
        ("workflow.parameters.a == 'x' ? 'y' : 'z'", "not a supported expression"),
        ("", "not a supported expression"),
        ("inputs.parameters.a == 'x' ? inputs.parameters.a : 'y'", "checks it against no pattern"),
        ("inputs.parameters.a matches '^x$' ? inputs.parameters.b : 'y'", "checks it against no pattern"),
        ("inputs.parameters.a matches 'x' ? inputs.parameters.a : 'y'", "pattern 'x' is not supported"),
        ("inputs.parameters.a matches '^x|y$' ? inputs.parameters.a : 'y'", "is not supported"),
        ("inputs.parameters.a matches '^.*$' ? inputs.parameters.a : 'y'", "is not supported"),
        ("inputs.parameters.a matches '^[^/]+$' ? inputs.parameters.a : 'y'", "is not supported"),
        *(
            (f"inputs.parameters.a matches '^{pattern}$' ? inputs.parameters.a : 'y'", "is not supported")
            for pattern in (
                "[0-9]*",
                "[0-9]{0,3}",
                "[.]{2}",
                "[a-z.]+",
                "-[a-z]",
                "[a-z-]+",
                "a/b",
                "[0-9/]+",
                "a b",
                "",
            )
        ),
        ("inputs.parameters.a matches '^[z-a]$' ? inputs.parameters.a : 'y'", "is not supported"),
        ("inputs.parameters.a matches '^a{1,1001}$' ? inputs.parameters.a : 'y'", "is not supported"),
    ],
)
def test_expression_that_could_let_an_input_through_is_refused(text: str, words: str) -> None:
    with pytest.raises(BadInput, match=re.escape(words)):
        parse_expression(text)


def test_expression_with_an_unset_input_is_an_error() -> None:
    with pytest.raises(Unresolved, match=r"\{\{inputs.parameters.visit\}\} can't be resolved"):
        render(VISIT, {})


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ('{"hostNetwork": {{inputs.parameters.network}}}', "has {{inputs.parameters.network}} as text"),
        ("{{=inputs.parameters.network}}", "not a supported expression"),
        (
            "{{=inputs.parameters.network matches '^[a-z]+$' ? inputs.parameters.network : '{}'}}",
            "takes an input's value",
        ),
        ("{{=inputs.parameters.other == 'x' ? '{}' : '{}'}}", "{{inputs.parameters.other}} refers to nothing"),
    ],
)
def test_lint_finds_input_in_a_pod_patch(patch: str, words: str) -> None:
    built: dict[str, Any] = benchmark.build_template().to_dict()
    next(t for t in built["spec"]["templates"] if t["name"] == "measure")["podSpecPatch"] = patch
    assert any(words in problem for problem in lint(built)), lint(built)


def test_rendered_pod_patches_contain_no_input_text() -> None:
    assert lint(benchmark.build_template().to_dict()) == []
    assert "podSpecPatch" not in json.dumps(build_nightly().to_dict())
