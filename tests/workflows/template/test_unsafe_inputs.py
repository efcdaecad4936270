"""Inputs in pod specifications and artifact keys: only checked ones, and fixed choices."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from steps.tasks.shared.inputs import INPUTS, checked_tag
from workflows.local.semantics.unsafe_inputs import unsafe_inputs
from workflows.template import render
from workflows.template.benchmark import build_template

TEMPLATE: dict[str, Any] = build_template().to_dict()
INPUT = "inputs.parameters['visit']"
PLAIN = ("{{inputs.parameters.visit}}", "{{workflow.parameters.nodes}}", "{{item.visit}}", "a-{{inputs.parameters.x}}")
UNCHECKED = (
    "{{=inputs.parameters.visit}}",
    f"{{{{={INPUT} matches '[0-9]+' ? {INPUT} : 'refused'}}}}",
    f"{{{{={INPUT} matches '^[0-9]+' ? {INPUT} : 'refused'}}}}",
    f"{{{{={INPUT} matches '[0-9]+$' ? {INPUT} : 'refused'}}}}",
    f"{{{{={INPUT} matches '^node|outside|pod$' ? {INPUT} : 'refused'}}}}",
    f"{{{{={INPUT} matches '^.*$' ? {INPUT} : 'refused'}}}}",
    f"{{{{={INPUT} matches '^[0-9/.]+$' ? {INPUT} : 'refused'}}}}",
    f"{{{{={INPUT} matches '^[^\"]+$' ? {INPUT} : 'refused'}}}}",
    f"{{{{={INPUT} matches '(?m)^[0-9]+$' ? {INPUT} : 'refused'}}}}",
    f"{{{{={INPUT} matches '^[0-9]*$' ? {INPUT} : 'refused'}}}}",
    f"{{{{={INPUT} matches '^[0-9]+$' ? inputs.parameters['what'] : 'refused'}}}}",
    "{{=inputs.parameters.visit == 'x' ? 'y' : inputs.parameters.visit}}",
    "{{='a' + inputs.parameters.visit}}",
)
SAFE = (
    "{{workflow.name}}-{{workflow.uid}}",
    "no tag",
    checked_tag("visit"),
    f"raw/{checked_tag('what')}/{checked_tag('visit')}",
    "{{=inputs.parameters.network == 'node' ? '{\"hostNetwork\": true}' : '{}'}}",
)


def measure(path: list[str | int], text: str) -> dict[str, Any]:
    """The benchmark's template with a text at a path of its template `measure`."""
    changed = copy.deepcopy(TEMPLATE)
    place: Any = next(t for t in changed["spec"]["templates"] if t["name"] == "measure")
    for key in path[:-1]:
        place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
    place[path[-1]] = text
    return changed


PLACES: list[list[str | int]] = [
    ["podSpecPatch"],
    ["timeout"],
    ["serviceAccountName"],
    ["nodeSelector", "kubernetes.io/hostname"],
    ["script", "image"],
    ["script", "command"],
    ["script", "securityContext", "runAsUser"],
    ["script", "env", 0, "name"],
    ["outputs", "artifacts", 0, "s3", "key"],
    ["outputs", "artifacts", 0, "path"],
    ["inputs", "artifacts", 0, "s3", "bucket"],
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
@pytest.mark.parametrize("text", [PLAIN[0], UNCHECKED[1]])
def test_unchecked_input_is_found_in_every_field(place: list[str | int], text: str) -> None:
    (problem,) = unsafe_inputs(measure(place, text))
    assert problem.startswith(f"template measure, field {'.'.join(map(str, place))}: ")


@pytest.mark.parametrize("text", [*PLAIN, *UNCHECKED])
def test_unchecked_inputs_are_found(text: str) -> None:
    assert len(unsafe_inputs(measure(["podSpecPatch"], text))) == 1


@pytest.mark.parametrize("text", SAFE)
def test_checked_inputs_and_fixed_choices_are_safe(text: str) -> None:
    assert unsafe_inputs(measure(["podSpecPatch"], text)) == []


def test_tag_as_a_key_is_found() -> None:
    assert unsafe_inputs(measure(["nodeSelector", "{{inputs.parameters.visit}}"], "x"))


def test_workflow_fields_are_covered() -> None:
    changed = copy.deepcopy(TEMPLATE)
    changed["spec"]["podMetadata"]["labels"]["x"] = "{{workflow.parameters.label}}"
    (problem,) = unsafe_inputs(changed)
    assert problem.startswith("the workflow's field podMetadata.labels.x: ")


@pytest.mark.parametrize("name", ["visit", "what", "client-node", "timeout"])
def test_patterns_of_inserted_inputs_are_harmless(name: str) -> None:
    assert name in INPUTS
    assert unsafe_inputs(measure(["podSpecPatch"], checked_tag(name))) == []


def test_rendered_manifests_have_no_unchecked_input(tmp_path: Path) -> None:
    assert unsafe_inputs(yaml.safe_load((render.DIRECTORY / "base" / "benchmark.yaml").read_text())) == []
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(measure(["podSpecPatch"], PLAIN[0])))
    assert any("podSpecPatch" in problem for problem in render.unsound(tmp_path, {"toy.yaml": dict}))
