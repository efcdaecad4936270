"""Templates that run themselves, by the local engine as on Argo."""

from pathlib import Path
from typing import Any

from hera.workflows import DAG, Parameter, Task

from tests.workflows.local import toys as t
from tests.workflows.local.running import phases, walk, workflow
from workflows.local.execution.controller import MOST_DEPTH
from workflows.local.semantics.lint import lint


def counting(when: str) -> dict[str, Any]:
    """A DAG that runs itself with its text made a letter shorter, while a condition holds."""

    def others() -> None:
        with DAG(name="again", fail_fast=False, inputs=[Parameter(name="text")]):
            t.shorten(name="shorten", arguments={"text": "{{inputs.parameters.text}}"})
            rest = "{{tasks.shorten.outputs.parameters.rest}}"
            Task(name="again", template="again", arguments={"text": rest}, depends="shorten", when=when)

    built: dict[str, Any] = workflow(
        lambda: Task(name="first", template="again", arguments={"text": "aaa"}), others=others
    ).to_dict()
    return built


def test_template_runs_itself_until_its_condition_fails(tmp_path: Path) -> None:
    outcome, _ = walk(counting("{{tasks.shorten.outputs.parameters.rest}} != a"), tmp_path)
    assert outcome.phase == "Succeeded"
    assert phases(outcome) == {
        "run": "Succeeded",
        "first": "Succeeded",
        "first.shorten": "Succeeded",
        "first.again": "Succeeded",
        "first.again.shorten": "Succeeded",
        "first.again.again": "Skipped",
    }
    (skipped,) = (node for node in outcome.nodes if node.phase == "Skipped")
    assert skipped.message == "when 'a != a' evaluated false"


def test_templates_that_always_run_themselves_are_refused() -> None:
    def without_end(spec: dict[str, Any]) -> dict[str, Any]:
        for template in spec["spec"]["templates"]:
            for task in template.get("dag", {}).get("tasks", ()):
                task.pop("when", None)
        return spec

    assert lint(counting("a != b")) == []
    assert lint(without_end(counting("a != b"))) == [
        "template again runs itself without a `when`, so that it never ends"
    ]


def test_depth_is_argos(tmp_path: Path) -> None:
    def others() -> None:
        with DAG(name="deeper", fail_fast=False):
            Task(name="d", template="deeper", when="a != b")

    outcome, _ = walk(workflow(lambda: Task(name="d", template="deeper"), others=others), tmp_path)
    assert outcome.phase == "Error"
    (last,) = (node for node in outcome.nodes if node.message)
    assert (last.phase, last.message) == ("Error", "Maximum recursion depth exceeded.")
    assert len(outcome.nodes) == MOST_DEPTH + 1
