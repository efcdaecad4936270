"""The definition of the process: sound, walkable, and of the shape that its documentation draws."""

import json
import os
import re
from collections.abc import Callable
from typing import Any

import pytest

from steps.catalogue.profiles import PROFILES
from steps.tasks.shared.pod import ACCOUNTS
from workflows.local.semantics.argo_defects import unsafe_to_retry, unsafe_to_stop
from workflows.local.semantics.lint import lint
from workflows.local.semantics.step_groups import as_dags
from workflows.local.semantics.unsupported import refuse_unsupported
from workflows.template import nightly
from workflows.template.benchmark import build_template
from workflows.template.form import FORM

Object = dict[str, Any]
SPEC = as_dags(build_template().to_dict())["spec"]
TEMPLATES = {template["name"]: template for template in SPEC["templates"]}


def tasks(dag: str) -> dict[str, dict[str, object]]:
    return {task["name"]: task for task in TEMPLATES[dag]["dag"]["tasks"]}


def test_workflow_refers_only_to_what_is_there() -> None:
    assert lint(build_template().to_dict()) == []


def test_local_engine_supports_the_whole_workflow() -> None:
    refuse_unsupported(build_template().to_dict(), dict(os.environ))


def test_tasks_of_a_run_in_order() -> None:
    assert list(tasks("benchmark")) == ["validate", "preflight", "snapshot", "rounds", "collect", "report", "verdict"]
    assert list(tasks("rounds")) == ["anchor", "visit", "look", "next"]
    assert list(tasks("next")) == ["rounds"]
    assert (tasks("next")["rounds"]["template"], tasks("benchmark")["rounds"]["template"]) == ("rounds", "rounds")
    visit = ["configure", "settle", "retreat", "measure", "scale", "clear", "clear-again"]
    assert list(tasks("visit")) == visit
    assert list(tasks("finish")) == ["restore", "collect", "report", "notify"]
    assert SPEC["onExit"] == "finish"


def test_visits_run_one_at_a_time_and_measures_together_and_outlive_each_others_failure() -> None:
    assert {TEMPLATES[name]["parallelism"] for name in ("benchmark", "rounds")} == {1}
    assert "parallelism" not in TEMPLATES["visit"]
    for name in ("benchmark", "rounds", "visit"):
        assert TEMPLATES[name]["dag"]["failFast"] is False


def test_measure_tasks_start_beside_the_proof_and_clear_beside_them() -> None:
    waits = {name: set(re.findall(r"[a-z]+", str(task.get("depends", "")))) for name, task in tasks("visit").items()}
    assert waits["settle"] == waits["measure"] == waits["scale"] == {"configure"}
    assert not waits["clear"] & {"settle", "measure", "retreat"}


def test_switch_holds_a_mutex_since_argos_retry_heeds_no_parallelism() -> None:
    (lock,) = TEMPLATES["configure"]["synchronization"]["mutexes"]
    (workflows,) = SPEC["synchronization"]["mutexes"]
    assert lock["name"] != workflows["name"], "a run would wait for itself"


def test_steps_that_may_call_the_api_server_are_in_the_nodes_own_network() -> None:
    by_account: dict[str, set[bool]] = {}
    for template in build_template().to_dict()["spec"]["templates"]:
        if "script" in template and template["name"] != "measure":
            patch = json.loads(template.get("podSpecPatch", "{}"))
            by_account.setdefault(template["serviceAccountName"], set()).add(patch.get("hostNetwork", False))
    assert by_account == {ACCOUNTS["switch"]: {True}, ACCOUNTS["observe"]: {True}, ACCOUNTS["measure"]: {False}}


def test_argos_retry_ends_and_passes_no_visit_over() -> None:
    assert unsafe_to_retry(build_template().to_dict()) == []


def _task(spec: Object, dag: str, task: str) -> Object:
    return next(
        task_
        for template in spec["templates"]
        if template["name"] == dag
        for task_ in template["dag"]["tasks"]
        if task_["name"] == task
    )


def _verdict_waits_for_no_visit(spec: Object) -> None:
    _task(spec, "benchmark", "verdict")["depends"] = "snapshot && collect && report"


def _report_waits_for_no_snapshot(spec: Object) -> None:
    _task(spec, "benchmark", "report")["depends"] = "(rounds || rounds.Failed) && collect"


def _visit_begins_with_a_dag(spec: Object) -> None:
    _task(spec, "visit", "configure")["template"] = "next"


def _configure_is_repeatable(spec: Object) -> None:
    """As up to 28 November 2026: after a Stop in a switch, Retry passed over the visits that had not begun."""
    (template,) = (t for t in spec["templates"] if t["name"] == "configure")
    template["retryStrategy"] = {"limit": "2", "retryPolicy": "OnError"}


def _next_may_be_skipped(spec: Object) -> None:
    _task(spec, "rounds", "next")["when"] = "stop != stop"


def _next_follows_the_visits_at_once(spec: Object) -> None:
    """As up to 28 November 2026: after a Stop in a visit, Retry looked beside that visit, and the run never ended."""
    _task(spec, "rounds", "next")["depends"] = "visit.Succeeded || visit.Failed || visit.Errored"


def _look_waits_for_the_visits_alone(spec: Object) -> None:
    _task(spec, "rounds", "look")["depends"] = "visit.Succeeded || visit.Failed || visit.Errored"


def _collect_is_repeatable(spec: Object) -> None:
    _task(spec, "benchmark", "collect")["template"] = "recollect"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_verdict_waits_for_no_visit, "template benchmark, task verdict comes after rounds without waiting for it"),
        (_report_waits_for_no_snapshot, "template benchmark, task report comes after snapshot without waiting for it"),
        (_visit_begins_with_a_dag, "template rounds, task visit is a loop that begins with configure, a DAG"),
        (_configure_is_repeatable, "template rounds, task visit is a loop that begins with configure, which may be"),
        (_next_may_be_skipped, "template rounds, task next may be skipped and follows the loop of visit"),
        (
            _next_follows_the_visits_at_once,
            "template rounds, task next is a DAG and follows the loop of visit",
        ),
        (_look_waits_for_the_visits_alone, "template rounds, task look follows the loop of visit alone"),
        (_collect_is_repeatable, "template benchmark, task collect may be repeated and follows the loop of rounds"),
    ],
)
def test_shapes_in_which_argos_retry_hangs_or_skips_are_named(change: Callable[[Object], None], sentence: str) -> None:
    changed = build_template().to_dict()
    change(changed["spec"])
    assert any(found.startswith(sentence) for found in unsafe_to_retry(changed))


@pytest.mark.parametrize("name", ["configure", "retreat", "restore"])
def test_switch_and_restore_tasks_wait_for_no_input_artifact(name: str) -> None:
    assert "artifacts" not in TEMPLATES[name].get("inputs", {})
    written = {each["name"] for each in TEMPLATES[name]["outputs"]["artifacts"]}
    assert written == {"document"} | ({"prepared"} if name == "configure" else set())


def test_argos_stop_reaches_the_exit_handler_at_every_moment() -> None:
    assert unsafe_to_stop(build_template().to_dict()) == []


def _loop_last(spec: Object) -> None:
    """The visits in a DAG of their own, as up to version 0.1.0."""
    (dag,) = (t["dag"] for t in spec["templates"] if t["name"] == "rounds")
    dag["tasks"] = [task for task in dag["tasks"] if task["name"] == "visit"]


def _dag_at_exit(spec: Object) -> None:
    """As up to version 0.1.0."""
    spec["templates"] = as_dags({"spec": spec})["spec"]["templates"]


def _looped_mutex(spec: Object) -> None:
    (visit,) = (t for t in spec["templates"] if t["name"] == "visit")
    visit["synchronization"] = {"mutexes": [{"name": "m"}]}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_dag_at_exit, "the exit handler finish is a DAG"),
        (_loop_last, "template rounds, task visit is a loop and the last task of its DAG"),
        (_looped_mutex, "template rounds, task visit is a loop over visit, which holds a mutex"),
    ],
)
def test_shapes_in_which_argos_stop_is_lost_are_named(change: Callable[[Object], None], sentence: str) -> None:
    changed = build_template().to_dict()
    change(changed["spec"])
    (found,) = unsafe_to_stop(changed)
    assert found.startswith(sentence)
    del changed["spec"]["onExit"]
    assert unsafe_to_stop(changed) == [], "nothing is lost where nothing is to be done on exit"


def test_clear_and_collect_tasks_run_whatever_failed() -> None:
    for dag, task, before in (
        ("visit", "clear", "configure"),
        ("rounds", "look", "visit"),
        ("benchmark", "collect", "rounds"),
    ):
        depends = str(tasks(dag)[task]["depends"])
        assert {f"{before}.{end}" for end in ("Succeeded", "Failed", "Errored")} <= set(re.findall(r"[\w.]+", depends))


def test_every_field_of_the_form_has_a_sentence_and_reaches_the_first_step() -> None:
    given = {p["name"] for p in tasks("benchmark")["validate"]["arguments"]["parameters"]}  # type: ignore[index]
    for field in FORM:
        assert field.name in given
        assert field.description is not None
        assert field.description.endswith(".")


def test_form_profiles_are_those_of_the_catalogue() -> None:
    (profile,) = (field for field in FORM if field.name == "profile")
    assert profile.enum == [entry.name for entry in PROFILES]


def test_verdict_depends_on_no_node_status() -> None:
    assert "status" not in str(tasks("benchmark")["verdict"])


def test_workflow_stays_far_from_argos_limit_of_tasks() -> None:
    assert all(len(template.get("dag", {}).get("tasks", [])) <= 200 for template in SPEC["templates"])


def test_titles_of_runs_and_of_the_form_say_what_they_are() -> None:
    annotations = SPEC["workflowMetadata"]["annotations"]
    for name in ("dataplanes", "label", "topologies", "nodes", "options", "trigger"):
        assert f"workflow.parameters.{name}" in "".join(annotations.values())
    assert "labels" not in SPEC["workflowMetadata"], "a label's value that is none would end the run without a sentence"
    assert "workflows.argoproj.io/title" in build_template().to_dict()["metadata"]["annotations"]


def test_order_of_the_forms_fields() -> None:
    names = [field.name for field in FORM]
    assert names == ["dataplanes", "topologies", "profile", "nodes", "label", "options", "trigger"]
    assert [field.name for field in FORM if field.enum] == ["profile", "trigger"]
    assert all("lab-" not in str(field.description) for field in FORM), "the form is a cluster's"


def test_exit_handler_last_task_gets_the_restore_status() -> None:
    waited_for = set(re.findall(r"[a-z]+", " ".join(str(task.get("depends", "")) for task in tasks("finish").values())))
    assert [name for name in tasks("finish") if name not in waited_for] == ["notify"]
    given = {p["name"]: p["value"] for p in tasks("finish")["notify"]["arguments"]["parameters"]}  # type: ignore[index]
    assert given["restored"] == "{{tasks.restore.status}}"


METRICS = TEMPLATES["report"]["metrics"]["prometheus"]


def test_metrics_have_low_cardinality() -> None:
    series = {(m["name"], tuple((p["key"], p["value"]) for p in m["labels"])) for m in METRICS}
    assert len(series) == len(METRICS) < 60
    assert {p["key"] for m in METRICS for p in m["labels"]} == {"dataplane", "topology", "answer", "outcome", "trigger"}
    assert all(m["help"] and m["gauge"]["realtime"] is False for m in METRICS)
    assert all(re.fullmatch(r"dataplane_benchmark_[a-z_]+", m["name"]) for m in METRICS)


def test_metric_is_a_report_value_and_absent_if_not_measured() -> None:
    assert "figures" in {p["name"] for p in TEMPLATES["report"]["outputs"]["parameters"]}
    for metric in METRICS:
        (figure,) = re.findall(r"fromJSON\(outputs\.parameters\.figures\)\['([^']+)'\]", metric["when"])
        assert metric["when"] == f"{{{{=fromJSON(outputs.parameters.figures)['{figure}'] != nil}}}}"
        assert f"['{figure}'] ?? ''" in metric["gauge"]["value"]
        labels = {p["key"]: p["value"] for p in metric["labels"]}
        assert figure.split()[1:] == [
            labels[key] for key in ("dataplane", "topology", "answer", "outcome") if key in labels
        ]


def test_cron_workflow_refers_to_the_template_with_trigger_nightly() -> None:
    cron = nightly.build_nightly().to_dict()["spec"]
    assert cron["concurrencyPolicy"] == "Forbid"
    assert cron["startingDeadlineSeconds"] > 0
    assert set(cron["workflowSpec"]) == {"workflowTemplateRef", "arguments"}
    assert cron["workflowSpec"]["workflowTemplateRef"] == {"name": build_template().to_dict()["metadata"]["name"]}
    given = {p["name"]: p["value"] for p in cron["workflowSpec"]["arguments"]["parameters"]}
    assert given == {"profile": "standard", "trigger": "nightly"}
    assert given.keys() <= {field.name for field in FORM}
    assert SPEC["synchronization"]["mutexes"], "Forbid sees only the CronWorkflow's own runs"
