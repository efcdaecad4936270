"""Argo's semantics, a row each: what a DAG does, and the phases that come of it."""

import fcntl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hera.workflows import DAG, Parameter, Task
from hera.workflows import models as m

from tests.workflows import toys as t
from tests.workflows.running import phases, walk, workflow
from workflows.local.mutex import lock_path
from workflows.local.nodes import Outcome


@dataclass(frozen=True)
class Row:
    name: str
    main: Callable[[], object]
    expected: dict[str, str]
    dag_fields: dict[str, Any] = field(default_factory=dict)
    exits: Callable[[], object] | None = None


def _fail(name: str) -> None:
    t.fail(name=name)


def _chain_with_handler() -> None:
    t.fail(name="a")
    t.nothing(name="b", depends="a.Failed || a.Errored")


def _results() -> None:
    t.nothing(name="good")
    t.fail(name="bad")
    t.nothing(name="skipped", when="a == b")
    t.nothing(name="omitted", depends="bad")
    for result, task in [("Succeeded", "good"), ("Failed", "bad"), ("Skipped", "skipped"), ("Omitted", "omitted")]:
        t.nothing(name=f"after-{result.lower()}", depends=f"{task}.{result}")
    t.nothing(name="not-bad", depends="good && !bad.Succeeded")
    t.nothing(name="went-well", depends="good && skipped")
    t.nothing(name="errored", depends="bad.Errored")


def _loop(bad: str) -> Callable[[], None]:
    def main() -> None:
        t.fail_if(name="x", with_items=["a", "b"], arguments={"text": "{{item}}", "bad": bad})
        t.nothing(name="any", depends="x.AnySucceeded")
        t.nothing(name="all-failed", depends="x.AllFailed")
        t.nothing(name="after", depends="x")

    return main


def _empty_loop() -> None:
    t.say(name="x", with_param="[]", arguments={"text": "{{item}}"})
    t.nothing(name="after", depends="x")


def _diamond() -> None:
    t.nothing(name="a")
    t.fail(name="b", depends="a")
    t.nothing(name="c", depends="a")
    t.nothing(name="d", depends="b && c")


def _independent() -> None:
    t.fail(name="a")
    t.nothing(name="b1")
    t.nothing(name="b2", depends="b1")


def _unresolved() -> None:
    t.fail_if(name="x", with_items=["a"], arguments={"text": "{{item}}", "bad": "a"})
    t.say(name="after", depends="x.Failed", arguments={"text": "{{tasks.x.outputs.parameters.said}}"})


def _skipped_output() -> None:
    t.echo(name="x", when="a == b", arguments={"text": "t"})
    t.echo(name="takes-default", depends="x", arguments={"text": "{{tasks.x.outputs.parameters.said}}"})
    t.say(name="needs-it", depends="x", arguments={"text": "{{tasks.x.outputs.parameters.said}}"})
    t.echo(name="in-a-sentence", depends="x", arguments={"text": "it: {{tasks.x.outputs.parameters.said}}"})


def _bad_items() -> None:
    t.say(name="a", arguments={"text": "no list"})
    t.say(name="b", depends="a", with_param="{{tasks.a.outputs.result}}", arguments={"text": "{{item}}"})


ROWS = [
    Row(
        "a failure that is handled turns green",
        _chain_with_handler,
        {"run": "Succeeded", "a": "Failed", "b": "Succeeded"},
    ),
    Row("a leaf's failure fails the DAG", lambda: _fail("a"), {"run": "Failed", "a": "Failed"}),
    Row(
        "an omitted leaf has the phase of its branch",
        _diamond,
        {"run": "Failed", "a": "Succeeded", "b": "Failed", "c": "Succeeded", "d": "Omitted"},
    ),
    Row(
        "every result of a task can be waited for",
        _results,
        {
            "run": "Failed",
            "after-succeeded": "Succeeded",
            "after-failed": "Succeeded",
            "after-skipped": "Succeeded",
            "after-omitted": "Succeeded",
            "not-bad": "Succeeded",
            "went-well": "Succeeded",
            "errored": "Omitted",
        },
    ),
    Row(
        "a loop of which one pass failed",
        _loop("b"),
        {
            "run": "Failed",
            "x": "Failed",
            "x(0:a)": "Succeeded",
            "x(1:b)": "Failed",
            "any": "Succeeded",
            "all-failed": "Omitted",
            "after": "Omitted",
        },
    ),
    Row(
        "a loop that succeeds",
        _loop("c"),
        {"run": "Succeeded", "x": "Succeeded", "any": "Succeeded", "all-failed": "Omitted"},
    ),
    Row("a loop over nothing is skipped", _empty_loop, {"run": "Succeeded", "x": "Skipped", "after": "Succeeded"}),
    Row(
        "what does not wait for a failure goes on",
        _independent,
        {"run": "Failed", "b1": "Succeeded", "b2": "Succeeded"},
    ),
    Row(
        "a template that fails fast starts nothing more",
        _independent,
        {"run": "Failed", "a": "Failed"},
        {"fail_fast": True, "parallelism": 1},
    ),
    Row("an output that never came is an error", _unresolved, {"run": "Error", "x": "Failed", "after": "Error"}),
    Row(
        "a skipped task's output gives way to a default, and to nothing else",
        _skipped_output,
        {"run": "Error", "x": "Skipped", "takes-default": "Succeeded", "needs-it": "Error", "in-a-sentence": "Error"},
    ),
    Row("a loop over what is no list is an error", _bad_items, {"run": "Error", "a": "Succeeded", "b": "Error"}),
    Row(
        "an exit handler's failure fails a workflow that succeeded",
        lambda: t.nothing(name="a"),
        {"run": "Succeeded", "a": "Succeeded", "onExit": "Failed", "onExit.z": "Failed"},
        exits=lambda: _fail("z"),
    ),
    Row("a process that is killed is a failed node", lambda: t.kill_itself(name="a"), {"run": "Failed", "a": "Failed"}),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_phases(row: Row, tmp_path: Path) -> None:
    outcome, _ = walk(workflow(row.main, row.exits, dag_fields=row.dag_fields), tmp_path)
    found = phases(outcome)
    assert {name: found.get(name, "never began") for name in row.expected} == row.expected
    if row.dag_fields:
        assert set(found) == set(row.expected)
    bad = {"Failed", "Error"} & {row.expected["run"], row.expected.get("onExit", "")}
    assert outcome.phase == (next(iter(bad)) if bad else "Succeeded")


def _said(outcome: Outcome, display_name: str) -> str | None:
    (node,) = outcome.find(display_name)
    return node.outputs.result


def test_values_flow_from_task_to_task(tmp_path: Path) -> None:
    def others() -> None:
        with DAG(
            name="inner",
            inputs=[Parameter(name="x")],
            outputs=[
                Parameter(name="y", value_from=m.ValueFrom(parameter="{{tasks.e.outputs.parameters.said}}")),
                Parameter(
                    name="z", value_from=m.ValueFrom(parameter="{{tasks.s.outputs.parameters.said}}", default="d")
                ),
            ],
        ):
            t.echo(name="e", arguments={"text": "{{inputs.parameters.x}}!"})
            t.echo(name="s", when="a == b", arguments={"text": "t"})

    def main() -> None:
        t.echo(
            name="a", arguments={"text": "{{workflow.parameters.who}} of {{workflow.name}} in {{workflow.namespace}}"}
        )
        Task(name="in", template="inner", depends="a", arguments={"x": "{{tasks.a.outputs.parameters.said}}"})
        t.say(
            name="all",
            depends="in",
            arguments={
                "text": "{{tasks.in.outputs.parameters.y}} {{tasks.in.outputs.parameters.z}} {{tasks.a.status}}"
            },
        )
        t.say(name="loop", with_items=[1, 2], arguments={"text": "{{item}}"})
        t.say(name="sum", depends="loop", arguments={"text": "{{tasks.loop.outputs.result}}"})
        t.fail(name="f")
        t.say(name="code", depends="f.Failed", arguments={"text": "{{tasks.f.exitCode}}"})

    built = workflow(main, others=others, fields={"arguments": {"who": "nobody"}})
    outcome, _ = walk(built, tmp_path, {"who": "you"})
    assert outcome.phase == "Succeeded"
    assert _said(outcome, "all") == "you of run in local! d Succeeded"
    assert _said(outcome, "sum") == "[1,2]"
    assert _said(outcome, "code") == "3"


def test_nested_loops_are_named_as_argo_names_them(tmp_path: Path) -> None:
    def others() -> None:
        with DAG(name="visit", inputs=[Parameter(name="dataplane")]):
            t.say(name="say", with_items=["x"], arguments={"text": "{{inputs.parameters.dataplane}}-{{item}}"})

    def main() -> None:
        Task(
            name="visits",
            template="visit",
            with_param='[{"visit": 1, "dataplane": "ebpf"}]',
            arguments={"dataplane": "{{item.dataplane}}"},
        )

    outcome, _ = walk(workflow(main, others=others), tmp_path)
    inner = "run.visits(0:dataplane:ebpf,visit:1)"
    assert [node.name for node in outcome.nodes] == ["run", "run.visits", inner, f"{inner}.say", f"{inner}.say(0:x)"]
    assert [node.display_name for node in outcome.nodes][2:] == ["visits(0:dataplane:ebpf,visit:1)", "say", "say(0:x)"]
    assert _said(outcome, "say(0:x)") == "ebpf-x"


@pytest.mark.parametrize(
    ("where", "limit", "most"),
    [("template", 1, 1), ("template", 2, 2), ("workflow", 1, 1), ("workflow", 2, 2), ("nowhere", None, 3)],
)
def test_parallelism(where: str, limit: int | None, most: int, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    built = workflow(
        lambda: t.overlap(name="o", with_items=["a", "b", "c"], arguments={"marks": str(marks), "mine": "{{item}}"}),
        fields={"parallelism": limit if where == "workflow" else None},
        dag_fields={"parallelism": limit if where == "template" else None},
    )
    outcome, _ = walk(built, tmp_path)
    assert outcome.phase == "Succeeded"
    seen = [int(f.read_text()) for f in marks.glob("seen-*")]
    assert max(seen) <= most
    assert len(seen) == 3
    if most == 1:
        passes = [n for n in outcome.nodes if n.kind == "Pod"]
        assert [n.display_name for n in passes] == ["o(0:a)", "o(1:b)", "o(2:c)"]


def test_a_templates_mutex_lets_one_in_at_a_time(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    built = workflow(
        lambda: t.overlap(name="o", with_items=["a", "b", "c"], arguments={"marks": str(marks), "mine": "{{item}}"})
    ).to_dict()
    for template in built["spec"]["templates"]:
        if "script" in template:
            template["synchronization"] = {"mutexes": [{"name": "narrow"}]}
    outcome, _ = walk(built, tmp_path)
    assert outcome.phase == "Succeeded"
    assert [f.read_text() for f in marks.glob("seen-*")] == ["1"] * 3


def test_a_template_that_waits_for_its_mutex_ends_by_the_workflows_deadline(tmp_path: Path) -> None:
    built = workflow(lambda: t.overlap(name="o", arguments={"marks": str(tmp_path), "mine": "a"})).to_dict()
    built["spec"]["activeDeadlineSeconds"] = 1
    for template in built["spec"]["templates"]:
        if "script" in template:
            template["synchronization"] = {"mutexes": [{"name": "narrow"}]}
    with lock_path("narrow", tmp_path).open("w") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        outcome, _ = walk(built, tmp_path)
    assert outcome.phase == "Failed"
    (waited,) = [node for node in outcome.nodes if node.display_name == "o"]
    assert (waited.phase, waited.message) == ("Failed", "Step exceeded its deadline")


@pytest.mark.parametrize(("limit", "phase", "attempts"), [(2, "Succeeded", 3), (1, "Failed", 2)])
def test_retries(limit: int, phase: str, attempts: int, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    built = workflow(lambda: t.fail_until(name="r", arguments={"counter": str(counter), "times": 2})).to_dict()
    for one in built["spec"]["templates"]:
        if "script" in one:
            one["retryStrategy"] = {"limit": limit}
    outcome, _ = walk(built, tmp_path)
    assert outcome.phase == phase
    assert len(counter.read_text()) == attempts
    assert [n.display_name for n in outcome.nodes if n.kind == "Pod"] == [f"r({i})" for i in range(attempts)]


def test_the_exit_handler_learns_how_it_ended(tmp_path: Path) -> None:
    built = workflow(
        lambda: t.fail(name="f", arguments={"sentence": 'it "broke"'}),
        lambda: (
            t.say(name="s", arguments={"text": "{{workflow.status}} {{workflow.failures}}"}),
            t.nothing(name="only-after-success", when="{{workflow.status}} == Succeeded"),
        ),
    )
    outcome, _ = walk(built, tmp_path)
    said = _said(outcome, "s") or ""
    assert said.startswith('Failed "[{')
    assert "main: Error (exit code 3): it" in said
    assert phases(outcome)["onExit.only-after-success"] == "Skipped"
    assert outcome.message == 'f: it "broke"'
