"""The local engine holds what the rendered workflow uses, and no more: fields, results of tasks, operators and tags."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.ordinary import ROOT
from workflows.local.semantics.conditions import RESULTS, SIGNS
from workflows.local.semantics.field_support import WORKFLOW, Ignored, Supported, SupportRule, Template
from workflows.local.semantics.tags import FORMS, form_of, references, tags_in

LACKING = Supported()
KINDS = ("dag", "steps", "pod")
"""Of templates."""

MANIFESTS = ROOT / "workflows" / "manifests" / "base"


def rendered() -> dict[str, Any]:
    """The WorkflowTemplate, with the arguments that the CronWorkflow gives it."""
    template: dict[str, Any] = yaml.safe_load((MANIFESTS / "benchmark.yaml").read_text())
    nightly = yaml.safe_load((MANIFESTS / "nightly.yaml").read_text())["spec"]["workflowSpec"]
    assert nightly.pop("workflowTemplateRef") == {"name": template["metadata"]["name"]}
    assert nightly.keys() == {"arguments"}, "a field of the CronWorkflow's that is no argument"
    template["spec"]["arguments"]["parameters"] += nightly["arguments"]["parameters"]
    return template


def rules(rule: SupportRule, path: str = "") -> Iterator[tuple[str, SupportRule]]:
    """Each field that the engine accepts, as `/spec/templates/dag/tasks/when`; templates by what they are."""
    match rule:
        case dict():
            for name, inner in rule.items():
                yield from rules(inner, f"{path}/{name}")
        case [inner]:
            yield from rules(inner, path)
        case Template():
            for kind in KINDS:
                yield from rules(getattr(rule, kind), f"{path}/{kind.upper()}")
        case Supported() | Ignored():
            yield path, rule


def used(value: object, rule: SupportRule, path: str = "") -> Iterator[tuple[str, str]]:
    """Each field that a workflow uses, in the same form, with what it holds; what the engine lacks too."""
    match rule:
        case dict() if isinstance(value, dict):
            for name, inner in value.items():
                yield from used(inner, rule.get(name, LACKING), f"{path}/{name}")
        case [inner_rule] if isinstance(value, list):
            for inner in value:
                yield from used(inner, inner_rule, path)
        case Template() if isinstance(value, dict):
            kind = next((kind for kind in KINDS if kind in value), "pod")
            yield from used(value, getattr(rule, kind), f"{path}/{kind.upper()}")
        case _:
            yield path, json.dumps(value)


def tasks() -> Iterator[dict[str, Any]]:
    for template in rendered()["spec"]["templates"]:
        yield from template.get("dag", {}).get("tasks", [])
        yield from itertools.chain.from_iterable(template.get("steps", []))


def found(pattern: str, field: str) -> set[str]:
    """What the texts of a field of all tasks hold of a pattern, outside of tags."""
    texts = (re.sub(r"\{\{[^{}]*\}\}", "", task.get(field, "")) for task in tasks())
    return {match for text in texts for match in re.findall(pattern, text)}


def test_engine_accepts_exactly_the_fields_of_the_workflow() -> None:
    in_use, accepted = {path for path, _ in used(rendered(), WORKFLOW)}, {path for path, _ in rules(WORKFLOW)}
    assert in_use - accepted == set(), "the workflow uses what the engine lacks"
    assert accepted - in_use == set(), "the engine has what the workflow does not use"


def test_engine_supports_exactly_the_task_results_of_the_workflow() -> None:
    assert found(r"[\w-]+\.(\w+)", "depends") == set(RESULTS)


def test_engine_supports_exactly_the_operators_of_the_workflow() -> None:
    assert found(r"[^\w\s.()-]+|[()]", "depends") == SIGNS
    assert found(r"[^\w\s]+", "when") == {"==", "!="}


def test_engine_replaces_exactly_the_template_tags_of_the_workflow() -> None:
    supported = {path for path, rule in rules(WORKFLOW) if isinstance(rule, Supported)}
    texts = (json.loads(text) for path, text in used(rendered(), WORKFLOW) if path in supported)
    tags = {name for text in texts for tag in tags_in(text) for name in references(tag)}
    assert {tag: form_of(tag) for tag in tags if form_of(tag) is None} == {}
    assert {form_of(tag) for tag in tags} == set(FORMS)


@pytest.mark.parametrize("field", ["withItems", "dependencies", "hooks"])
def test_field_that_the_engine_lacks_is_found(field: str) -> None:
    built = rendered()
    next(t for t in built["spec"]["templates"] if "dag" in t)["dag"]["tasks"][0][field] = []
    paths = {path for path, _ in used(built, WORKFLOW)} - {path for path, _ in rules(WORKFLOW)}
    assert paths == {f"/spec/templates/DAG/dag/tasks/{field}"}
