"""The definition of the process: sound, walkable, and of the shape that its documentation draws."""

import os
import re

from steps.catalogue.profiles import PROFILES
from workflows.benchmark import build
from workflows.lint import lint
from workflows.local.support import refuse_unsupported
from workflows.parameters import FORM

SPEC = build().to_dict()["spec"]
TEMPLATES = {template["name"]: template for template in SPEC["templates"]}


def tasks(dag: str) -> dict[str, dict[str, object]]:
    return {task["name"]: task for task in TEMPLATES[dag]["dag"]["tasks"]}


def test_it_refers_only_to_what_is_there() -> None:
    assert lint(build().to_dict()) == []


def test_the_local_engine_supports_all_of_it() -> None:
    refuse_unsupported(build().to_dict(), dict(os.environ))


def test_a_run_is_these_tasks_in_this_order() -> None:
    assert list(tasks("benchmark")) == ["validate", "preflight", "snapshot", "visits", "collect", "report", "verdict"]
    assert list(tasks("visit")) == ["configure", "settle", "prepare", "measures", "clear"]
    assert list(tasks("finish")) == ["restore", "collect", "report", "notify"]
    assert SPEC["onExit"] == "finish"


def test_visits_and_measures_run_one_at_a_time_and_outlive_each_others_failure() -> None:
    for name in ("visits", "measures"):
        assert TEMPLATES[name]["parallelism"] == 1
        assert TEMPLATES[name]["dag"]["failFast"] is False


def test_what_was_started_is_cleared_and_what_was_measured_collected_whatever_failed() -> None:
    for dag, task, before in (("visit", "clear", "measures"), ("benchmark", "collect", "visits")):
        depends = str(tasks(dag)[task]["depends"])
        assert {f"{before}.{end}" for end in ("Succeeded", "Failed", "Errored")} <= set(re.findall(r"[\w.]+", depends))


def test_every_field_of_the_form_has_a_sentence_and_reaches_the_first_step() -> None:
    given = {p["name"] for p in tasks("benchmark")["validate"]["arguments"]["parameters"]}  # type: ignore[index]
    for field in FORM:
        assert field.name in given
        assert field.description is not None
        assert field.description.endswith(".")


def test_the_profiles_of_the_form_are_those_of_the_catalogue() -> None:
    (profile,) = (field for field in FORM if field.name == "profile")
    assert profile.enum == [entry.name for entry in PROFILES]


def test_no_status_of_a_node_decides_the_verdict() -> None:
    assert "status" not in str(tasks("benchmark")["verdict"])


def test_it_stays_far_from_argos_limit_of_tasks() -> None:
    assert all(len(template.get("dag", {}).get("tasks", [])) <= 200 for template in SPEC["templates"])
