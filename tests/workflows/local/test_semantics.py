"""Argo's semantics, a row each: what a DAG does, and the phases that come of it."""

import fcntl
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hera.workflows import DAG, Parameter, Steps, Task
from hera.workflows import models as m

from tests.workflows.local import toy_steps as s
from tests.workflows.local import toys as t
from tests.workflows.local.running import phases, walk, workflow
from workflows.local.execution.mutex import lock_path
from workflows.local.semantics.nodes import WorkflowOutcome
from workflows.template.scripts import add_step


@dataclass(frozen=True)
class Row:
    name: str
    main: Callable[[], object]
    expected: dict[str, str]
    exits: Callable[[], object] | None = None


def _fail(name: str) -> None:
    t.fail(name=name)


def _chain_with_handler() -> None:
    t.fail(name="a")
    t.nothing(name="b", depends="a.Failed || a.Errored")


def _results() -> None:
    t.nothing(name="good")
    t.fail(name="bad")
    t.nothing(name="skipped", when="a != a")
    t.nothing(name="omitted", depends="bad")
    for result, task in [("Succeeded", "good"), ("Failed", "bad"), ("Omitted", "omitted")]:
        t.nothing(name=f"after-{result.lower()}", depends=f"{task}.{result}")
    t.nothing(name="went-well", depends="good && skipped")
    t.nothing(name="errored", depends="bad.Errored")


def _items(*texts: str) -> str:
    return json.dumps([{"text": text} for text in texts])


def _loop(bad: str) -> Callable[[], None]:
    def main() -> None:
        t.fail_if(name="x", with_param=_items("a", "b"), arguments={"text": "{{item.text}}", "bad": bad})
        t.nothing(name="after", depends="x")

    return main


def _empty_loop() -> None:
    t.say(name="x", with_param="[]", arguments={"text": "{{item.text}}"})
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
    t.fail_if(name="x", arguments={"text": "a", "bad": "a"})
    t.say(name="after", depends="x.Failed", arguments={"text": "{{tasks.x.outputs.parameters.printed}}"})


def _skipped_output() -> None:
    t.say(name="x", when="a != a", arguments={"text": "t"})
    t.say(name="needs-it", depends="x", arguments={"text": "{{tasks.x.outputs.parameters.printed}}"})


def _bad_items() -> None:
    t.say(name="a", arguments={"text": "no list"})
    t.say(
        name="b", depends="a", with_param="{{tasks.a.outputs.parameters.printed}}", arguments={"text": "{{item.text}}"}
    )


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
            "after-omitted": "Succeeded",
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
            "x(0:text:a)": "Succeeded",
            "x(1:text:b)": "Failed",
            "after": "Omitted",
        },
    ),
    Row(
        "a loop that succeeds",
        _loop("c"),
        {"run": "Succeeded", "x": "Succeeded", "after": "Succeeded"},
    ),
    Row("a loop over nothing is skipped", _empty_loop, {"run": "Succeeded", "x": "Skipped", "after": "Succeeded"}),
    Row(
        "what does not wait for a failure goes on",
        _independent,
        {"run": "Failed", "b1": "Succeeded", "b2": "Succeeded"},
    ),
    Row("an output that never came is an error", _unresolved, {"run": "Error", "x": "Failed", "after": "Error"}),
    Row(
        "a skipped task has no output",
        _skipped_output,
        {"run": "Error", "x": "Skipped", "needs-it": "Error"},
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
def test_node_phases(row: Row, tmp_path: Path) -> None:
    outcome, _ = walk(workflow(row.main, row.exits), tmp_path)
    found = phases(outcome)
    assert {name: found.get(name, "never began") for name in row.expected} == row.expected
    bad = {"Failed", "Error"} & {row.expected["run"], row.expected.get("onExit", "")}
    assert outcome.phase == (next(iter(bad)) if bad else "Succeeded")


def _said(outcome: WorkflowOutcome, display_name: str) -> str | None:
    (node,) = outcome.find(display_name)
    return node.outputs.get("printed")


def test_outputs_are_passed_between_tasks(tmp_path: Path) -> None:
    def others() -> None:
        with DAG(name="inner", inputs=[Parameter(name="x")]):
            t.say(name="deep", arguments={"text": "{{inputs.parameters.x}}!"})

    def main() -> None:
        t.say(name="a", arguments={"text": "{{workflow.parameters.who}} of {{workflow.name}}-{{workflow.uid}}"})
        Task(name="in", template="inner", depends="a", arguments={"x": "{{tasks.a.outputs.parameters.printed}}"})
        t.say(name="status", depends="in", arguments={"text": "{{tasks.in.status}} {{tasks.a.status}}"})

    built = workflow(main, others=others, fields={"arguments": {"who": "nobody"}})
    outcome, _ = walk(built, tmp_path, {"who": "you"})
    assert outcome.phase == "Succeeded"
    assert _said(outcome, "deep") == f"you of run-{outcome.uid}!"
    assert _said(outcome, "status") == "Succeeded Succeeded"


def test_nested_loop_node_names(tmp_path: Path) -> None:
    def others() -> None:
        with DAG(name="visit", inputs=[Parameter(name="dataplane")]):
            t.say(
                name="say", with_param=_items("x"), arguments={"text": "{{inputs.parameters.dataplane}}-{{item.text}}"}
            )

    def main() -> None:
        Task(
            name="visits",
            template="visit",
            with_param='[{"visit": "1", "dataplane": "ebpf"}]',
            arguments={"dataplane": "{{item.dataplane}}"},
        )

    outcome, _ = walk(workflow(main, others=others), tmp_path)
    inner = "run.visits(0:dataplane:ebpf,visit:1)"
    say = f"{inner}.say(0:text:x)"
    assert [node.name for node in outcome.nodes] == ["run", "run.visits", inner, f"{inner}.say", say]
    shown = [node.display_name for node in outcome.nodes]
    assert shown[2:] == ["visits(0:dataplane:ebpf,visit:1)", "say", "say(0:text:x)"]
    assert _said(outcome, "say(0:text:x)") == "ebpf-x"


def _overlap(marks: Path) -> Callable[[], object]:
    """Three passes of a loop, each of which notes how many run beside it."""
    marks.mkdir()
    arguments = {"marks": str(marks), "mine": "{{item.text}}"}
    return lambda: t.overlap(name="o", with_param=_items("a", "b", "c"), arguments=arguments)


@pytest.mark.parametrize(("limit", "most"), [(1, 1), (2, 2), ("2", 2), (None, 3)])
def test_parallelism_limit(limit: int | str | None, most: int, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    built = workflow(_overlap(marks)).to_dict()
    (main,) = (template for template in built["spec"]["templates"] if "dag" in template)
    main |= {} if limit is None else {"parallelism": limit}
    outcome, _ = walk(built, tmp_path)
    assert outcome.phase == "Succeeded"
    seen = [int(f.read_text()) for f in marks.glob("seen-*")]
    assert max(seen) <= most
    assert len(seen) == 3
    if most == 1:
        passes = [n for n in outcome.nodes if n.kind == "Pod"]
        assert [n.display_name for n in passes] == ["o(0:text:a)", "o(1:text:b)", "o(2:text:c)"]


def _narrow(marks: Path) -> dict[str, Any]:
    """Three passes of a loop over a DAG of one step, which has a mutex."""

    def others() -> None:
        with DAG(name="inner", inputs=[Parameter(name="mine")]):
            t.overlap(name="o", arguments={"marks": str(marks), "mine": "{{inputs.parameters.mine}}"})

    built: dict[str, Any] = workflow(
        lambda: Task(
            name="in", template="inner", with_param=_items("a", "b", "c"), arguments={"mine": "{{item.text}}"}
        ),
        others=others,
    ).to_dict()
    (template,) = (each for each in built["spec"]["templates"] if each["name"] == "overlap")
    template["synchronization"] = {"mutexes": [{"name": "narrow"}]}
    return built


def test_template_mutex_serialises_nodes(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    outcome, _ = walk(_narrow(marks), tmp_path)
    assert outcome.phase == "Succeeded"
    assert [f.read_text() for f in marks.glob("seen-*")] == ["1"] * 3


def test_workflow_deadline_ends_a_wait_for_a_template_mutex(tmp_path: Path) -> None:
    built = _narrow(tmp_path)
    built["spec"]["activeDeadlineSeconds"] = 1
    with lock_path("narrow", tmp_path).open("w") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        outcome, _ = walk(built, tmp_path)
    assert outcome.phase == "Failed"
    waited = [node for node in outcome.nodes if node.template == "overlap" and node.kind != "TaskGroup"]
    assert [(node.phase, node.message) for node in waited] == [("Failed", "Step exceeded its deadline")] * 3


@pytest.mark.parametrize(("limit", "phase", "attempts"), [(2, "Succeeded", 3), (1, "Error", 2)])
def test_retry_strategy(limit: int, phase: str, attempts: int, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    built = workflow(lambda: t.leave_nothing_until(name="r", arguments={"counter": str(counter), "times": "2"}))
    changed = with_retries(built.to_dict(), limit)
    outcome, _ = walk(changed, tmp_path)
    assert outcome.phase == phase
    assert len(counter.read_text()) == attempts
    assert [n.display_name for n in outcome.nodes if n.kind == "Pod"] == [f"r({i})" for i in range(attempts)]


def test_step_that_failed_is_not_retried(tmp_path: Path) -> None:
    outcome, _ = walk(with_retries(workflow(lambda: t.fail(name="f")).to_dict(), 2), tmp_path)
    assert phases(outcome) == {"run": "Failed", "f": "Failed", "f(0)": "Failed"}


def with_retries(built: dict[str, Any], limit: int) -> dict[str, Any]:
    """The workflow, each step of which is retried where it ends as an Error."""
    for template in built["spec"]["templates"]:
        if "script" in template:
            template["retryStrategy"] = {"limit": str(limit), "retryPolicy": "OnError"}
    return built


def test_exit_handler_gets_the_workflow_status(tmp_path: Path) -> None:
    built = workflow(
        lambda: t.fail_saying(name="f", arguments={"sentence": 'it "broke"'}),
        lambda: (
            t.say(name="s", arguments={"text": "{{workflow.status}}"}),
            t.nothing(name="unless-it-failed", when="{{workflow.status}} != Failed"),
            t.nothing(name="unless-it-succeeded", when="{{workflow.status}} != Succeeded"),
        ),
    )
    outcome, _ = walk(built, tmp_path)
    assert _said(outcome, "s") == "Failed"
    assert phases(outcome)["onExit.unless-it-failed"] == "Skipped"
    assert phases(outcome)["onExit.unless-it-succeeded"] == "Succeeded"
    assert outcome.message == 'f: it "broke"'


@pytest.mark.parametrize(
    ("bad", "phase", "ran"),
    [
        ("", "Succeeded", ["first", "second", "last"]),
        ("first", "Succeeded", ["first", "last"]),
        ("last", "Failed", ["first", "second", "last"]),
    ],
)
def test_steps_follow_each_other_and_those_that_may_fail_decide_nothing(
    bad: str, phase: str, ran: list[str], tmp_path: Path
) -> None:
    anyhow = m.ContinueOn(failed=True, error=True)

    def others() -> None:
        with Steps(name="one-by-one"):
            add_step(s.fail_if, name="first", arguments={"text": "first", "bad": bad}, continue_on=anyhow)
            add_step(s.nothing, name="second", when="{{steps.first.status}} == Succeeded", continue_on=anyhow)
            add_step(s.fail_if, name="last", arguments={"text": "last", "bad": bad})

    outcome, _ = walk(workflow(lambda: Task(name="all", template="one-by-one"), others=others), tmp_path)
    assert outcome.phase == phase
    assert [node.display_name for node in outcome.nodes if node.kind == "Pod"] == ran
