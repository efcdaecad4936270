"""A pod's specification is chosen among fixed ones: what an input holds never becomes a part of it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import BadInput
from workflows.local.semantics import choice
from workflows.local.semantics.lint import lint
from workflows.local.semantics.tags import Unresolved
from workflows.template import benchmark
from workflows.template.nightly import build_nightly

TAG = "inputs.parameters.network"
CALM = settings(deadline=None, derandomize=True, max_examples=100)
HOSTILE = ('true, "hostPID": true', "node'", "node\\", "{{=1}}", "NODE", "")


def template() -> dict[str, Any]:
    built: dict[str, Any] = benchmark.build_template().to_dict()
    return next(t for t in built["spec"]["templates"] if t["name"] == "measure")


@pytest.mark.parametrize(
    ("network", "patch"),
    [
        ("pod", {"hostNetwork": False, "dnsPolicy": "ClusterFirst"}),
        ("node", {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}),
        ("outside", {"hostNetwork": True, "dnsPolicy": "Default"}),
    ],
)
def test_network_choice_gives_a_fixed_pod_patch(network: str, patch: dict[str, object]) -> None:
    assert json.loads(choice.parse_choice(template()["podSpecPatch"]).made({TAG: network})) == patch


@CALM
@given(st.one_of(st.text(), st.sampled_from(HOSTILE)))
def test_any_input_gives_one_of_three_pod_patches(value: str) -> None:
    chosen = choice.parse_choice(template()["podSpecPatch"])
    assert chosen.made({TAG: value}) in chosen.texts
    assert len(chosen.texts) == 3
    for text in chosen.texts:
        assert set(json.loads(text)) == {"hostNetwork", "dnsPolicy"}


def test_step_is_pinned_by_node_name_only() -> None:
    measure = template()
    assert "nodeSelector" not in measure
    (term,) = measure["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term == {
        "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["{{inputs.parameters.client-node}}"]}]
    }


def test_step_never_started_has_its_own_deadline() -> None:
    assert template()["timeout"] == "{{inputs.parameters.timeout}}"


@pytest.mark.parametrize(
    "text",
    [
        "{{=inputs.parameters.a}}",
        "{{='{' + inputs.parameters.a + '}'}}",
        "{{=inputs.parameters.a == 'x' ? inputs.parameters.a : 'y'}}",
        "{{=inputs.parameters.a == 'x' ? 'y'}}",
        "{{='a'}} and more",
        "{{=}}",
    ],
)
def test_expression_other_than_a_choice_of_fixed_texts_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="no choice between fixed texts"):
        choice.parse_choice(text)


def test_choice_by_an_unset_tag_is_an_error() -> None:
    with pytest.raises(Unresolved):
        choice.parse_choice("{{=inputs.parameters.a == 'x' ? 'y' : 'z'}}").made({})


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ('{"hostNetwork": {{inputs.parameters.network}}}', "takes a tag in as text"),
        ("{{=inputs.parameters.network}}", "no choice between fixed texts"),
        (
            "{{=inputs.parameters.other == 'x' ? '{}' : '{}'}}",
            "inputs.parameters.other in podSpecPatch refers to nothing",
        ),
    ],
)
def test_lint_finds_input_in_a_pod_patch(patch: str, words: str) -> None:
    built: dict[str, Any] = benchmark.build_template().to_dict()
    next(t for t in built["spec"]["templates"] if t["name"] == "measure")["podSpecPatch"] = patch
    assert any(words in problem for problem in lint(built))


def test_rendered_pod_patches_contain_no_input_text() -> None:
    assert lint(benchmark.build_template().to_dict()) == []
    assert "podSpecPatch" not in json.dumps(build_nightly().to_dict())
