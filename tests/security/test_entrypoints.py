"""Every template as an entrypoint with hostile inputs, as anyone who may submit a workflow can start it.

No input becomes a part of a pod's specification or of an artifact's key but a checked one, no step reaches the cluster
or the store with inputs that its workflow would not have given it, and no step believes who it is but from Argo.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.store.store import Store
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.ownership import workflow_record
from steps.collect.run_rows import run_rows
from steps.tasks.shared import inputs
from steps.tasks.shared.inputs import INPUTS, REFUSED, require_checks
from steps.tasks.shared.step import own_identity, run_id
from tests.security.entrypoints import HOSTILE, MANIFEST, STEPS, TEMPLATES, VALID, Object, inputs_of, valid
from tests.steps import builders
from tests.steps.builders import OF_RUN, RUN_ID, UID, write_run
from tests.steps.kube.fakes.api import NAMESPACE, direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.tasks.run_task import Ended, run_task
from workflows.local.semantics.tags import render_all

OUTSIDE_THE_POD = {
    "inputs",
    "dag",
    "steps",
    "name",
    "annotations",
    "metadata",
    "metrics",
    "synchronization",
    "retryStrategy",
}
"""Fields of a template that do not become a part of its pod."""


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
        require_checks(task)


def test_parameter_that_nothing_would_pass_can_not_be_declared() -> None:
    def task(settings: str, count: int) -> None: ...

    with pytest.raises(TypeError, match="parameter count of task is neither a text nor an Artifact"):
        require_checks(task)


REACHING = ("clear", "configure", "measure", "preflight", "retreat", "settle", "snapshot")

CHECKED = [(name, each) for name in STEPS for each in inputs_of(TEMPLATES[name]) if INPUTS[each] is not inputs._TEXT]


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
    (tmp_path / "inputs" / "artifacts").mkdir(parents=True)
    (tmp_path / "other").rename(tmp_path / "inputs" / "artifacts" / "documents")
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
    write_run(tmp_path / "inputs" / "artifacts" / "documents", builders.settings(options="rounds=1"), RUN_ID)
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


@pytest.mark.parametrize("name", ["snapshot", "configure", "retreat"])
def test_switch_without_this_runs_lock_changes_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`configure`, or `visit` that begins with it, as an entrypoint: no preflight and no snapshot ran."""
    calico = Calico()
    monkeypatch.setattr(f"steps.tasks.{name}.connect_cluster", lambda _environment: on_cluster(calico, OF_RUN))
    monkeypatch.setattr(workflow_record, "_RECORD_S", 0.0)
    before = state(calico)
    ended = run_task(STEPS[name], valid(name), tmp_path)
    if name != "retreat":
        assert ended.code != 0
        assert re.search(r"preflight .*ha(s|ve) not succeeded", ended.message)
    assert state(calico) == before


@pytest.mark.parametrize("name", ["snapshot", "configure", "clear", "retreat", "restore"])
def test_step_during_another_run_changes_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calico = Calico()
    monkeypatch.setattr(workflow_record, "_RECORD_S", 0.0)
    other = {"ARGO_WORKFLOW_NAME": "night", "ARGO_WORKFLOW_UID": UID.replace("0", "f")}
    workflow: Object = {"metadata": {"namespace": NAMESPACE, "name": "night", "uid": UID.replace("0", "f")}}
    workflow["spec"] = {"workflowTemplateRef": {"name": MANIFEST["metadata"]["name"]}}
    preflight = {"templateName": "preflight", "type": "Pod", "phase": "Succeeded"}
    calico.store.put("argoproj.io", "workflows", workflow | {"status": {"phase": "Running", "nodes": {"p": preflight}}})
    on_cluster(calico, other).snapshot()
    monkeypatch.setattr(f"steps.tasks.{name}.connect_cluster", lambda _environment: on_cluster(calico, OF_RUN))
    before = state(calico)
    ended = run_task(STEPS[name], valid(name), tmp_path)
    assert state(calico) == before
    if name not in {"retreat", "restore"}:
        assert ended.code != 0
        assert re.search(r"is held by workflow|preflight of workflow \S+ has not succeeded", ended.message)


@pytest.mark.parametrize("status", ["free text by the secret hook", "<https://evil.example|click>", "Succeeded "])
def test_notification_has_no_free_text_of_the_submitter(
    status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steps.notification.post", lambda *_: pytest.fail("posted"))
    for reported in ({"status": status, "restored": "Succeeded"}, {"status": "Failed", "restored": status}):
        ended = run_task(STEPS["notify"], reported, tmp_path, {"BENCHMARK_NOTIFY_URL": "https://hook.example/secret"})
        assert ended.code == 2
