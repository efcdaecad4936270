"""Broken workflows: each fault is found, and named."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hera.workflows import DAG, Parameter, Task

from tests.workflows.local import toys as t
from tests.workflows.local.running import workflow
from workflows.local.semantics.lint import EXIT_TAGS, WORKFLOW_TAGS, lint
from workflows.local.semantics.tags import FORMS, workflow_tags
from workflows.local.semantics.unsupported import unsupported
from workflows.template.benchmark import build_template

Broken = Callable[[dict[str, Any]], object]


def _sound() -> dict[str, Any]:
    def others() -> None:
        with DAG(name="inner", fail_fast=False, inputs=[Parameter(name="x")]):
            t.say(name="e", arguments={"text": "{{inputs.parameters.x}}"})
            t.say(name="s", depends="e", arguments={"text": "{{tasks.e.outputs.parameters.printed}}"})

    def main() -> None:
        Task(name="a", template="inner", with_param='[{"k": "1"}]', arguments={"x": "{{item.k}}"})
        t.say(name="b", depends="a", arguments={"text": "{{workflow.parameters.p}} {{tasks.a.status}}"})
        t.say(name="c", depends="b", arguments={"text": "{{tasks.a.status}}"})

    built: dict[str, Any] = workflow(
        main,
        lambda: t.say(name="z", arguments={"text": "{{workflow.status}}"}),
        others=others,
        fields={"arguments": {"p": "1"}},
    ).to_dict()
    return built


def _template(built: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in built["spec"]["templates"] if one["name"] == name)
    return found


def _task(built: dict[str, Any], template: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in _template(built, template)["dag"]["tasks"] if one["name"] == name)
    return found


def _says(built: dict[str, Any], template: str, name: str, text: str) -> None:
    _task(built, template, name)["arguments"]["parameters"][0]["value"] = text


def test_valid_workflow_passes_lint() -> None:
    assert lint(_sound()) == []
    assert unsupported(_sound(), {}) == []


def test_benchmark_passes_lint_and_is_supported_locally() -> None:
    assert lint(build_template().to_dict()) == []
    assert unsupported(build_template().to_dict(), {}) == []


CONTRADICTIONS: list[tuple[Broken, str]] = [
    (
        lambda w: w["spec"].update(entrypoint="mian"),
        "entrypoint is mian, but there is no such template; did you mean main?",
    ),
    (lambda w: w["spec"].pop("entrypoint"), "there is no entrypoint"),
    (lambda w: w["spec"].update(onExit="by"), "onExit is by, but there is no such template"),
    (lambda w: _task(w, "main", "a").update(template="iner"), "its template iner does not exist; did you mean inner?"),
    (lambda w: _task(w, "main", "a")["arguments"]["parameters"].append({"name": "z", "value": "1"}), "has no input z"),
    (lambda w: _task(w, "main", "a")["arguments"].update(parameters=[]), "needs input x, which is not supplied"),
    (lambda w: _task(w, "main", "b").update(depends="aa"), "waits for aa, but there is no such task; did you mean a?"),
    (lambda w: _task(w, "main", "b").update(depends="a.Sucess"), "'Sucess' is no supported result"),
    (lambda w: _task(w, "main", "a").update(depends="b"), "task a waits for itself"),
    (lambda w: _says(w, "main", "b", "{{tasks.c.status}}"), "{{tasks.c.status}} refers to nothing that is known there"),
    (
        lambda w: _says(w, "inner", "s", "{{tasks.e.outputs.parameters.sad}}"),
        "did you mean tasks.e.outputs.parameters.printed?",
    ),
    (lambda w: _says(w, "main", "b", "{{item.k}}"), "{{item.k}} refers to nothing"),
    (lambda w: _says(w, "main", "b", "{{workflow.parameters.q}}"), "{{workflow.parameters.q}} refers to nothing"),
    (lambda w: _says(w, "main", "b", "{{workflow.status}}"), "{{workflow.status}} refers to nothing"),
    (lambda w: _says(w, "main", "b", "{{inputs.parameters.x}}"), "{{inputs.parameters.x}} refers to nothing"),
    (
        lambda w: _template(w, "inner").update(activeDeadlineSeconds=5),
        "inner is a DAG, and Argo applies activeDeadlineSeconds only",
    ),
    (lambda w: _template(w, "inner").update(podSpecPatch="{}"), "inner is a DAG, and Argo applies podSpecPatch only"),
    (lambda w: _template(w, "say").update(podSpecPatch="{{inputs.parameters.no}}"), "{{inputs.parameters.no}} refers"),
    (lambda w: _template(w, "main")["inputs"].update(parameters=[{"name": "i"}]), "entrypoint main needs input i"),
    (
        lambda w: w["spec"]["templates"].extend({**_template(w, "say"), "name": f"s{i}"} for i in range(200)),
        "templates; Argo takes 200",
    ),
    (
        lambda w: _template(w, "bye")["dag"]["tasks"].extend(
            {**_task(w, "bye", "z"), "name": f"z{i}"} for i in range(200)
        ),
        "template bye has 201 tasks; Argo takes 200",
    ),
]


@pytest.mark.parametrize(("broken", "says"), CONTRADICTIONS, ids=[says for _, says in CONTRADICTIONS])
def test_lint_names_contradictions(broken: Broken, says: str) -> None:
    built = deepcopy(_sound())
    _template(built, "main").setdefault("inputs", {})
    broken(built)
    assert any(says in problem for problem in lint(built)), lint(built)


_SECRET: dict[str, Any] = {"name": "K", "valueFrom": {"secretKeyRef": {}}}
_TAR: dict[str, Any] = {"name": "t", "path": "/tmp/outputs/artifacts/t", "archive": {"tar": {}}}

FOREIGN: list[tuple[Broken, str]] = [
    (lambda w: w["spec"].update(hooks={"exit": {}}), "spec/hooks is not supported"),
    (lambda w: w["spec"].update(volumeClaimTemplates=[]), "spec/volumeClaimTemplates is not supported"),
    (lambda w: w["spec"].update(volumes=[]), "spec/volumes is not supported"),
    (
        lambda w: _template(w, "say").update(volumes=[{"name": "v", "hostPath": {}}]),
        "templates/say/volumes/v is no emptyDir",
    ),
    (
        lambda w: w["spec"].update(synchronization={"semaphores": []}),
        "spec/synchronization/semaphores is not supported",
    ),
    (lambda w: _template(w, "say").update(daemon=True), "templates/say/daemon is not supported"),
    (lambda w: _template(w, "say").update(container={}), "templates/say/container is not supported"),
    (lambda w: _template(w, "say").update(memoize={}), "templates/say/memoize is not supported"),
    (lambda w: _template(w, "say").update(pendingTimeout="5m"), "templates/say/pendingTimeout is not supported"),
    (lambda w: _template(w, "say").update(retryStrategy={"backoff": {}}), "retryStrategy/backoff is not supported"),
    (lambda w: _template(w, "say")["script"].update(command=["bash"]), "script/command is ['bash']"),
    (lambda w: _template(w, "say")["script"].update(source="print(1)"), "script/source is 'print(1)'; only"),
    (lambda w: _template(w, "say")["script"].update(args=["-c"]), "script/args is ['-c']"),
    (
        lambda w: _template(w, "say")["script"].update(env=[_SECRET]),
        "variable K comes from the cluster; give it in the environment",
    ),
    (lambda w: _template(w, "main").update(outputs={}), "templates/main/outputs is not supported"),
    (
        lambda w: (_template(w, "main")["dag"].pop("failFast"), _task(w, "main", "c").update(depends="a")),
        "templates/main/dag/failFast is not false",
    ),
    (lambda w: _template(w, "main")["dag"].update(failFast=True), "templates/main/dag/failFast is True; only False"),
    (lambda w: _template(w, "main").update(failFast=True), "templates/main/failFast is True; only False"),
    (lambda w: _template(w, "say").update(nodeSelector={}), "templates/say/nodeSelector is not supported"),
    (
        lambda w: _template(w, "say").update(retryStrategy={"limit": "2", "retryPolicy": "Always"}),
        "retryStrategy/retryPolicy is 'Always'; only 'OnError' is supported",
    ),
    (lambda w: _template(w, "say").update(retryStrategy={"limit": "2"}), "retryStrategy/retryPolicy is missing"),
    (lambda w: _template(w, "say").update(retryStrategy={"retryPolicy": "OnError"}), "retryStrategy/limit is missing"),
    (
        lambda w: (_template(w, "say").update(timeout="5m"), _template(w, "say").pop("activeDeadlineSeconds")),
        "say/timeout is not supported without activeDeadlineSeconds",
    ),
    (
        lambda w: _template(w, "say").update(podSpecPatch="{{=1}}"),
        "templates/say/podSpecPatch has {{=1}}, which is not supported: '1' is not a supported expression",
    ),
    (lambda w: w["spec"].update(templateDefaults={}), "spec/templateDefaults is not supported"),
    (lambda w: w["spec"].update(archiveLogs=True), "spec/archiveLogs is not supported"),
    (lambda w: w["spec"].update(parallelism=1), "spec/parallelism is not supported"),
    (lambda w: w["spec"]["arguments"]["parameters"][-1].pop("value"), "arguments/parameters/p/value is missing"),
    (lambda w: _task(w, "main", "b").update(withItems=["a"]), "tasks/b/withItems is not supported"),
    (lambda w: _task(w, "main", "b").update(dependencies=["a"]), "tasks/b/dependencies is not supported"),
    *(
        (
            lambda w, depends=depends: _task(w, "main", "b").update(depends=depends),
            f"templates/main/dag/tasks/b/depends is not supported: depends '{depends}' is not a supported condition",
        )
        for depends in ("a.AnySucceeded", "a.AllFailed", "a.Daemoned", "a.Skipped", "!a")
    ),
    (
        lambda w: _task(w, "main", "b").update(when="'{{tasks.a.status}}' == 'x'"),
        "tasks/b/when is not supported: when \"'word' == 'x'\" is not",
    ),
    *(
        (
            lambda w, tag=tag: _says(w, "main", "b", f"{{{{{tag}}}}}"),
            f"tasks/b/arguments/parameters/text/value has {{{{{tag}}}}}, which is not supported",
        )
        for tag in ("item", "workflow.namespace", "workflow.failures", "tasks.a.outputs.result", "tasks.a.exitCode")
    ),
    (
        lambda w: _template(w, "say")["inputs"]["parameters"][0].update(default="d"),
        "inputs/parameters/text/default is not supported",
    ),
    (
        lambda w: _template(w, "say")["outputs"]["parameters"][0]["valueFrom"].update(default="d"),
        "valueFrom/default is not supported",
    ),
    (lambda w: _task(w, "main", "b").update(hooks={}), "tasks/b/hooks is not supported"),
    (lambda w: _task(w, "main", "b").update(continueOn={"failed": True}), "tasks/b/continueOn is not supported"),
    (lambda w: _task(w, "main", "b").update(withSequence={"count": 1}), "tasks/b/withSequence is not supported"),
    (lambda w: _says(w, "main", "b", "{{=1+1}}"), "value has {{=1+1}}, an expression, which is not supported in this"),
    (
        lambda w: _template(w, "say")["outputs"]["parameters"][0]["valueFrom"].update(path="/etc/passwd"),
        "valueFrom/path is '/etc/passwd'",
    ),
    (
        lambda w: _template(w, "say")["outputs"]["parameters"][0]["valueFrom"].update(path="/tmp/outputs/../x"),
        "valueFrom/path is '/tmp/outputs/../x'",
    ),
    (
        lambda w: _template(w, "say")["outputs"].update(artifacts=[_TAR]),
        "artifacts/t/archive is {'tar': {}}",
    ),
]


@pytest.mark.parametrize(("broken", "says"), FOREIGN, ids=[says for _, says in FOREIGN])
def test_unsupported_argo_field_is_refused_by_name(broken: Broken, says: str) -> None:
    built = deepcopy(_sound())
    broken(built)
    assert any(says in line for line in unsupported(built, {})), unsupported(built, {})


def test_dag_with_one_last_task_needs_no_continue_on_failure() -> None:
    built = deepcopy(_sound())
    _template(built, "main")["dag"].pop("failFast")
    assert unsupported(built, {}) == []


def test_timeout_is_accepted_with_a_deadline() -> None:
    built = deepcopy(_sound())
    _template(built, "say").update(timeout="5m", activeDeadlineSeconds=300)
    assert unsupported(built, {}) == []


def test_config_map_values_may_come_from_the_environment() -> None:
    built = _sound()
    _template(built, "say")["script"].update(env=[_SECRET])
    assert unsupported(built, {"K": "given"}) == []


def test_lint_accepts_the_tags_of_the_local_engine() -> None:
    assert workflow_tags("n", "u", {}).keys() == WORKFLOW_TAGS
    assert set(FORMS) >= EXIT_TAGS
