"""Every template as an entrypoint with hostile inputs, as anyone who may submit a workflow can start it.

No input becomes a part of a pod's specification or of an artifact's key but a checked one, no step reaches the cluster
or the store with inputs that its workflow would not have given it, and no step believes who it is but from Argo.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analysis.errors import Problem
from analysis.store.store import Store
from steps import documents
from steps.catalogue.options import MOST_LAB_SERVICES, Settings
from steps.cluster.kube.adapter import KubernetesCluster
from steps.collect.run_rows import run_rows
from steps.domain import MOST_TRIALS, Monitor
from steps.settings.schedule import make_schedule
from steps.settings.settings import choose_settings, load_settings
from steps.tasks import _inputs
from steps.tasks._inputs import INPUTS, REFUSED, input_names
from steps.tasks._step import own_identity, run_id
from tests.ordinary import ROOT
from tests.steps import builders
from tests.steps.builders import OF_RUN, RUN_ID, UID, placement, write_run
from tests.steps.kube.fake_api import NAMESPACE, direct_client
from tests.steps.kube.fake_calico import Calico
from tests.steps.run_task import Ended, run_task
from workflows.local.semantics.tags import render_all

Object = dict[str, Any]
MANIFEST: Object = yaml.safe_load((ROOT / "workflows" / "manifests" / "base" / "benchmark.yaml").read_text())
TEMPLATES: dict[str, Object] = {template["name"]: template for template in MANIFEST["spec"]["templates"]}
STEPS = {name: template["script"]["args"][-1] for name, template in TEMPLATES.items() if "script" in template}
OUTSIDE_THE_POD = {"inputs", "dag", "name", "annotations", "metadata", "metrics", "synchronization", "retryStrategy"}
"""Fields of a template that do not become a part of its pod."""

PRIVILEGED = (
    'true, "hostPID": true, "serviceAccountName": "dataplane-benchmark-switch", "containers": [{"name": "main", '
    '"securityContext": {"privileged": true}}], "volumes": [{"name": "root", "hostPath": {"path": "/"}}]'
)
HOSTILE = (
    PRIVILEGED, "", " ", "../../..", "..", "/etc/passwd", "-3", "3", "03/../../x", "03\n", "\n03", "\u0663\u0663",
    "{{workflow.name}}", "{{=workflow.name}}", "'", '"', "\\", "a' ? 'b' : 'c", "\x00", "\x1b]0;title\x07", "x" * 300,
    "-rf", "1e9s", "999999999999s", "Succeeded\n", "[red]", "refused", "null", "{}", "[]", "true",
)  # fmt: skip


def chosen(**texts: str) -> Settings:
    return choose_settings(profile="smoke", environment="prod", results="s3://b", seed_source=lambda: 1, **texts)


SETTINGS = chosen(dataplanes="ebpf").model_dump_json()
VALID = {
    "settings": SETTINGS, "visit": "01", "what": "pod-to-service", "client-node": "node-a", "network": "pod",
    "timeout": "1800s", "title": "pod-to-service.ebpf.visit-1", "dataplane": "ebpf", "round": "1",
    "status": "Succeeded", "restored": "Succeeded", "headline": "eBPF gains.", "outcome": "measured", "regression": "",
    "profile": "smoke", "dataplanes": "ebpf", "topologies": "", "options": "", "nodes": "", "label": "",
    "trigger": "submitted",
}  # fmt: skip


def inputs_of(template: Object) -> list[str]:
    return [parameter["name"] for parameter in template.get("inputs", {}).get("parameters", [])]


def texts_of(place: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text below a place, by its path."""
    if isinstance(place, dict):
        for key, value in place.items():
            yield from texts_of(value, f"{path}/{key}")
    elif isinstance(place, list):
        for number, value in enumerate(place):
            yield from texts_of(value, f"{path}/{number}")
    else:
        yield path, str(place)


def started(template: Object, inputs: dict[str, str]) -> dict[str, str]:
    """The texts of a template's pod and of its artifacts as Argo renders them."""
    scope = {f"inputs.parameters.{name}": value for name, value in inputs.items()}
    form = {f"workflow.parameters.{p['name']}": p["value"] for p in MANIFEST["spec"]["arguments"]["parameters"]}
    scope |= form | {"workflow.name": "run", "workflow.uid": UID, "inputs.parameters": "[]"}
    pod = {key: value for key, value in template.items() if key not in OUTSIDE_THE_POD}
    artifacts = template.get("inputs", {}).get("artifacts", [])
    return dict(texts_of(render_all({"pod": pod, "artifacts": artifacts}, scope)))


values = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=20),
    st.sampled_from([entry.pattern for entry in INPUTS.values()])
    .flatmap(lambda pattern: st.from_regex(pattern, fullmatch=True))
    .map(lambda text: text[:300]),
)


@settings(max_examples=60)
@given(st.sampled_from(sorted(TEMPLATES)), st.data())
def test_input_changes_only_checked_fields_of_a_pod(name: str, data: st.DataObject) -> None:
    template = TEMPLATES[name]
    inputs = {each: data.draw(values, label=each) for each in inputs_of(template)}
    usual, hostile = started(template, {each: VALID[each] for each in inputs}), started(template, inputs)
    assert hostile.keys() == usual.keys()
    for path, text in hostile.items():
        if path == "/pod/podSpecPatch":
            assert set(json.loads(text)) == {"hostNetwork", "dnsPolicy"}
        elif path.endswith("/s3/key"):
            assert re.fullmatch(rf"(raw|reports)/run-{UID}/[a-z0-9./-]*", text), text
            assert ".." not in text
        elif text != usual[path]:
            allowed = [*(INPUTS[each].pattern for each in inputs), REFUSED]
            assert path in {"/pod/timeout", NODE_FIELD}, f"{path} takes {text!r}"
            assert any(re.fullmatch(pattern, text) for pattern in allowed)


NODE_FIELD = (
    "/pod/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0"
    "/values/0"
)


@pytest.mark.parametrize("name", TEMPLATES)
def test_title_is_checked_before_it_names_a_node(name: str) -> None:
    """Argo fails a node with an invalid display name, and a loop with such an item never ends."""
    for annotation in TEMPLATES[name].get("annotations", {}).values():
        shown = render_all(annotation, {"inputs.parameters.title": "a b\n"})
        assert shown == REFUSED


def test_metrics_have_no_labels_of_a_submitter() -> None:
    """Each value of a label is a series in the controller's memory."""
    choice = r"\{\{=workflow\.parameters\.trigger == '\w+' \? '\w+' : '\w+'\}\}"
    metrics = [
        metric for template in TEMPLATES.values() for metric in template.get("metrics", {}).get("prometheus", [])
    ]
    labels = {label["value"] for metric in metrics for label in metric["labels"]}
    assert labels
    assert [label for label in labels if not re.fullmatch(rf"[a-z-]+|{choice}", label)] == []


def test_no_template_takes_the_identity_of_its_run_as_an_input() -> None:
    assert not {"run-id", "uid", "name"} & {name for template in TEMPLATES.values() for name in inputs_of(template)}
    for name in STEPS:
        variables = {each["name"]: each.get("value") for each in TEMPLATES[name]["script"]["env"]}
        assert variables["ARGO_WORKFLOW_NAME"] == "{{workflow.name}}"
        assert variables["ARGO_WORKFLOW_UID"] == "{{workflow.uid}}"


@pytest.mark.parametrize("name", STEPS)
def test_every_input_has_a_check(name: str) -> None:
    assert set(inputs_of(TEMPLATES[name])) <= INPUTS.keys()


def test_input_without_a_check_can_not_be_declared() -> None:
    def task(settings: str, command: str) -> None: ...

    with pytest.raises(TypeError, match="input command of task has no entry in INPUTS"):
        input_names(task)


class Reached(Problem):
    """A step has passed its checks."""


@pytest.fixture
def run_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, dict[str, str]], Ended]:
    """Run a step with inputs. Where it would reach the cluster or measure, it ends with exit code 1."""

    def reached(*_arguments: object) -> None:
        raise Reached("reached")

    for module in ("clear", "configure", "preflight", "prepare", "restore", "retreat", "settle", "snapshot"):
        monkeypatch.setattr(f"steps.tasks.{module}.connect_cluster", reached)
    for function in ("measure_trials", "measure_canary"):
        monkeypatch.setattr(f"steps.tasks.measure.{function}", reached)
    monitor = Monitor(node="node-a", side="client", source="http://10.0.0.1:9100/")
    places = tuple(placement(topology=topology, monitors=(monitor,)) for topology in ("node-to-node", "pod-to-service"))
    documents.write_document(tmp_path / "inputs" / "prepared", documents.Prepare(visit=1, placements=places))

    def run(name: str, inputs: dict[str, str]) -> Ended:
        return run_task(STEPS[name], inputs, tmp_path)

    return run


def valid(name: str) -> dict[str, str]:
    return {each: VALID[each] for each in inputs_of(TEMPLATES[name])}


REACHING = ("clear", "configure", "measure", "preflight", "prepare", "retreat", "settle", "snapshot")
CHECKED = [(name, each) for name in STEPS for each in inputs_of(TEMPLATES[name]) if INPUTS[each] is not _inputs._TEXT]


@pytest.mark.parametrize("name", REACHING)
def test_step_with_valid_inputs_passes_its_checks(name: str, run_step: Callable[..., Ended]) -> None:
    ended = run_step(name, valid(name))
    assert (ended.code, ended.message) == (1, "reached")


@pytest.mark.parametrize(("name", "each"), CHECKED, ids=str)
def test_step_refuses_hostile_inputs(name: str, each: str, run_step: Callable[..., Ended]) -> None:
    for value in HOSTILE:
        if re.fullmatch(INPUTS[each].pattern, value):
            continue
        ended = run_step(name, valid(name) | {each: value})
        assert ended.code == 2, (value, ended.message)
        assert ended.message.startswith(f"input {each} is "), value
        assert "submit the workflow by its own entrypoint" in ended.message
        assert "\x1b" not in ended.message


@pytest.mark.parametrize("name", ["configure", "measure", "clear"])
@pytest.mark.parametrize("visit", ["00", "05", "999999999"])
def test_visit_beyond_the_plan_is_refused(name: str, visit: str, run_step: Callable[..., Ended]) -> None:
    ended = run_step(name, valid(name) | {"visit": visit})
    assert ended.code == 2
    assert "is not in this run's plan" in ended.message


def test_topology_that_the_visit_does_not_measure_is_refused(run_step: Callable[..., Ended]) -> None:
    for what in ("pod-to-pod", "refused", "visit-02", "canary-later"):
        assert run_step("measure", valid("measure") | {"what": what}).code == 2


def changed(**fields: object) -> str:
    return json.dumps({**json.loads(SETTINGS), **fields})


CELL = json.loads(SETTINGS)["cells"][0]
BEYOND = {
    "services": changed(services=50_000_000),
    "negative": changed(services=-1),
    "rounds": changed(rounds=10**6),
    "plan": changed(rounds=1_000, repetitions=1_000),
    "visits": changed(rounds=251),
    "duration": changed(duration_s=86_401),
    "hours": changed(duration_s=86_400, rounds=100),
    "streams": changed(streams=10**9),
    "unknown dataplane": changed(dataplanes=["nope"]),
    "the lab's dataplane": changed(dataplanes=["lab-ebpf"]),
    "injected dataplane": changed(dataplanes=["ebpf+$(id)"]),
    "many dataplanes": changed(dataplanes=["ebpf"] * 251),
    "unknown topology": changed(cells=[{**CELL, "topology": "nope"}]),
    "path as a topology": changed(cells=[{**CELL, "topology": "../../../etc"}]),
    "unknown tool": changed(cells=[{**CELL, "tool": "sh"}]),
    "unknown field": changed(command="id"),
    "lab services": changed(environment="lab", dataplanes=["lab-ebpf"], services=MOST_LAB_SERVICES + 1),
    "long text": changed(label="x" * 200_000),
    "nested": "[" * 100_000,
    "not a number": changed().replace('"seed": 1', '"seed": NaN'),
    "bomb": json.dumps({"cells": [{}] * 5_000}),
}


@pytest.mark.parametrize("text", BEYOND.values(), ids=BEYOND.keys())
@pytest.mark.parametrize("name", ["configure", "snapshot", "measure"])
def test_settings_beyond_a_bound_are_refused_by_each_step(name: str, text: str, run_step: Callable[..., Ended]) -> None:
    ended = run_step(name, valid(name) | {"settings": text})
    assert ended.code == 2, ended.message
    assert "the settings that this step was given are not valid" in ended.message or "input settings" in ended.message


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=60)
@given(st.sampled_from(sorted(Settings.model_fields)), json_values)
@example("rounds", 250)
@example("services", 20_000)
def test_settings_that_pass_are_within_every_bound(field: str, value: object) -> None:
    loaded = None
    with contextlib.suppress(Problem):
        loaded = load_settings(changed(**{field: value}))
    if loaded is None:
        return
    assert 0 <= loaded.services <= 20_000
    assert all(1 <= number <= MOST_TRIALS for number in (loaded.duration_s // 5 + 1, loaded.rounds, loaded.streams))
    assert sum(len(visit.trials) for visit in make_schedule(loaded)) <= MOST_TRIALS


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """The store with a complete run of another workflow, whose documents lie in `other`."""
    other = "night-fedcba98-7654-3210-fedc-ba9876543210"
    write_run(tmp_path / "other", builders.settings(options="rounds=2"), other)
    Store(str(tmp_path / "store")).write(other, run_rows(tmp_path / "other"))
    return tmp_path / "store"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["collect", "recollect"])
def test_run_of_another_workflow_is_never_stored_over(name: str, stored: Path, tmp_path: Path) -> None:
    """Its documents may be given as the artifact of a workflow that anyone submits."""
    before = files(stored)
    (tmp_path / "inputs").mkdir()
    (tmp_path / "other").rename(tmp_path / "inputs" / "documents")
    ended = run_task(STEPS[name], {"run-id": "night", "uid": UID}, tmp_path)
    assert ended.code == 1
    assert re.search(rf"run\.json is of run night-fedc.*, not of {RUN_ID}", ended.message)
    assert files(stored) == before


@pytest.mark.parametrize("name", ["validate", "report", "collect"])
@pytest.mark.parametrize(
    "variables",
    [
        {"ARGO_WORKFLOW_UID": ""},
        {"ARGO_WORKFLOW_UID": "../../x"},
        {"ARGO_WORKFLOW_NAME": "../night"},
        {"ARGO_WORKFLOW_NAME": "x" * 200},
        {"ARGO_WORKFLOW_NAME": "{{workflow.name}}"},
    ],
    ids=str,
)
def test_step_without_an_identity_of_argos_ends(name: str, variables: dict[str, str], tmp_path: Path) -> None:
    write_run(tmp_path / "inputs" / "documents", builders.settings(options="rounds=1"), RUN_ID)
    ended = run_task(STEPS[name], valid(name), tmp_path, variables)
    assert ended.code == 1
    assert "which is no workflow's" in ended.message
    assert not (tmp_path / "store").exists()


def test_run_id_is_the_workflows_name_and_uid() -> None:
    assert run_id(*own_identity(OF_RUN)) == RUN_ID == f"run-{UID}"


def on_cluster(calico: Calico, variables: dict[str, str]) -> KubernetesCluster:
    client, _ = direct_client(calico.store)
    return KubernetesCluster(
        "prod", client=client, variables=variables, say=lambda _: None, sleep=calico.store.advance, gate_s=0
    )


def state(calico: Calico) -> str:
    return json.dumps(
        [calico.settings(), calico.store.all("", "pods"), calico.store.all("", "services")], sort_keys=True, default=str
    )


@pytest.mark.parametrize("name", ["configure", "retreat"])
def test_switch_without_this_runs_lock_changes_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`configure`, or `stay` and `visit` that begin with it, as an entrypoint: no preflight and no snapshot ran."""
    calico = Calico()
    monkeypatch.setattr(f"steps.tasks.{name}.connect_cluster", lambda _environment: on_cluster(calico, OF_RUN))
    before = state(calico)
    ended = run_task(STEPS[name], valid(name), tmp_path)
    if name == "configure":
        assert ended.code != 0
        assert "its preflight and snapshot have not succeeded" in ended.message
    assert state(calico) == before


@pytest.mark.parametrize("name", ["snapshot", "configure", "prepare", "clear", "retreat", "restore"])
def test_step_during_another_run_changes_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calico = Calico()
    other = {"ARGO_WORKFLOW_NAME": "night", "ARGO_WORKFLOW_UID": UID.replace("0", "f")}
    on_cluster(calico, other).snapshot()
    workflow = {"metadata": {"namespace": NAMESPACE, "name": "night", "uid": UID.replace("0", "f")}}
    calico.store.put("argoproj.io", "workflows", workflow | {"status": {"phase": "Running"}})
    monkeypatch.setattr(f"steps.tasks.{name}.connect_cluster", lambda _environment: on_cluster(calico, OF_RUN))
    before = state(calico)
    ended = run_task(STEPS[name], valid(name), tmp_path)
    assert state(calico) == before
    if name not in {"retreat", "restore"}:
        assert ended.code != 0
        assert "is held by workflow" in ended.message


@pytest.mark.parametrize("status", ["free text by the secret hook", "<https://evil.example|click>", "Succeeded "])
def test_notification_has_no_free_text_of_the_submitter(
    status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steps.notification.post", lambda *_: pytest.fail("posted"))
    for inputs in ({"status": status, "restored": "Succeeded"}, {"status": "Failed", "restored": status}):
        ended = run_task(STEPS["notify"], inputs, tmp_path, {"BENCHMARK_NOTIFY_URL": "https://hook.example/secret"})
        assert ended.code == 2
