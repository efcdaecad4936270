"""The admission policies admit every ordinary way of starting a run, and refuse what would store or forge another."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from steps.cluster.kube.workloads.manifests import LABEL
from tests.workflows.policies import policy, refusals
from workflows.submission.submit import build_workflow
from workflows.template import admission
from workflows.template.benchmark import NAME, build_template
from workflows.template.nightly import build_nightly
from workflows.template.workflow_policy import NAMESPACE_WORKFLOWS, WORKFLOWS

Object = dict[str, Any]
Change = Callable[[Object], object]

EMPTY_STATUS = {"startedAt": None, "finishedAt": None}
"""As Argo's server and its command line write it, which leave no structure out."""

PARAMETERS = [{"name": "dataplanes", "value": "iptables,ebpf"}, {"name": "label", "value": "kernel"}]
NODES = {"x": {"id": "x", "name": "x", "type": "Pod", "templateName": "preflight", "phase": "Succeeded"}}


def submitted(**spec: Any) -> Object:  # noqa: ANN401 - JSON
    """As `argo submit --from workflowtemplate/dataplane-benchmark` creates it."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": f"{NAME}-", "labels": {"workflows.argoproj.io/workflow-template": NAME}},
        "spec": {"arguments": {}, "workflowTemplateRef": {"name": NAME}, **spec},
        "status": dict(EMPTY_STATUS),
    }


def of_make() -> Object:
    return {"kind": "Workflow", **build_workflow("run", {"profile": "quick", "label": ""})}


def of_cron() -> Object:
    made = submitted(**copy.deepcopy(NIGHTLY["spec"]["workflowSpec"]))
    made["metadata"] = {"name": f"{NAME}-nightly-1", "ownerReferences": [{"kind": "CronWorkflow", "uid": "1"}]}
    return made


def resubmitted() -> Object:
    made = submitted(arguments={"parameters": PARAMETERS}, entrypoint="benchmark", suspend=True)
    made["metadata"]["labels"]["workflows.argoproj.io/resubmitted-from-workflow"] = "earlier"
    return made


NIGHTLY: Object = build_nightly().to_dict()
LEGITIMATE: dict[str, Object] = {
    "argo submit --from": submitted(),
    "with parameters": submitted(arguments={"parameters": PARAMETERS}),
    "with a priority": submitted(priority=5),
    "the form's entrypoint": submitted(entrypoint="benchmark"),
    "no entrypoint": submitted(entrypoint=""),
    "no arguments": submitted(arguments=None),
    "parameters of the form, copied": submitted(
        arguments={"parameters": [{"name": "profile", "value": "quick", "enum": ["quick"], "description": "Which"}]}
    ),
    "make submit": of_make(),
    "CronWorkflow's": of_cron(),
    "resubmit": resubmitted(),
    "nightly": NIGHTLY,
}


def spec(**fields: Any) -> Change:  # noqa: ANN401 - JSON
    return lambda workflow: workflow["spec"].update(fields)


def status(**fields: Any) -> Change:  # noqa: ANN401 - JSON
    return lambda workflow: workflow.setdefault("status", {}).update(fields)


def arguments(**fields: Any) -> Change:  # noqa: ANN401 - JSON
    return lambda workflow: workflow["spec"].update(arguments=fields)


ARTIFACTS = [{"name": "documents", "raw": {"data": "invented"}}]
HOSTILE_SPEC: dict[str, Change] = {
    "artifacts": arguments(artifacts=ARTIFACTS),
    "artifacts beside parameters": arguments(parameters=PARAMETERS, artifacts=ARTIFACTS),
    "key of an artifact": arguments(artifacts=[{"name": "documents", "s3": {"key": "theirs"}}]),
    "parameter of a ConfigMap": arguments(
        parameters=[{"name": "label", "valueFrom": {"configMapKeyRef": {"name": "theirs", "key": "k"}}}]
    ),
    **{
        f"entrypoint {template['name']}": spec(entrypoint=template["name"])
        for template in build_template().to_dict()["spec"]["templates"]
        if template["name"] != "benchmark"
    },
    "template of a cluster": spec(workflowTemplateRef={"name": NAME, "clusterScope": True}),
    "own templates": spec(templates=[{"name": "benchmark", "container": {"image": "x"}}]),
    **{
        key: spec(**{key: value})
        for key, value in {
            "podSpecPatch": "{}",
            "serviceAccountName": "default",
            "hooks": {"exit": {"template": "collect"}},
            "onExit": "collect",
            "artifactRepositoryRef": {"configMap": "theirs"},
            "artifactGC": {"strategy": "OnWorkflowCompletion"},
            "volumes": [{"name": "x", "emptyDir": {}}],
            "volumeClaimTemplates": [],
            "templateDefaults": {"script": {"image": "x"}},
            "synchronization": {"mutexes": [{"name": "another"}]},
            "podMetadata": {"labels": {"x": "y"}},
            "workflowMetadata": {"labels": {"x": "y"}},
            "securityContext": {"runAsUser": 0},
            "hostNetwork": True,
            "executor": {"serviceAccountName": "default"},
            "activeDeadlineSeconds": 1,
            "podPriorityClassName": "system-node-critical",
            "workflowSpec": {"workflowTemplateRef": {"name": NAME}},
            "somethingNew": True,
        }.items()
    },
}
HOSTILE_STATUS: dict[str, Change] = {
    "nodes": status(nodes=NODES),
    "compressed nodes": status(compressedNodes="H4sI"),
    "offloaded nodes": status(offloadNodeStatusVersion="fnv:1"),
    "stored specification": status(storedWorkflowTemplateSpec={"entrypoint": "collect"}),
    "stored templates": status(storedTemplates={"namespaced/x/collect": {}}),
    "artifact repository": status(artifactRepositoryRef={"configMap": "theirs"}),
    "phase": status(phase="Running"),
}


def changed(workflow: Object, change: Change) -> Object:
    made = copy.deepcopy(workflow)
    change(made)
    return made


def nightly_with(change: Change) -> Object:
    made = copy.deepcopy(NIGHTLY)
    change({"spec": made["spec"]["workflowSpec"]})
    return made


def refused(workflow: Object, old: Object | None = None) -> list[str]:
    return refusals(WORKFLOWS, workflow, old=old, operation="CREATE" if old is None else "UPDATE")


def refused_in_own_namespace(workflow: Object, old: Object | None = None) -> list[str]:
    return refusals(NAMESPACE_WORKFLOWS, workflow, old=old, operation="CREATE" if old is None else "UPDATE")


INLINE = {
    "kind": "Workflow",
    "metadata": {"name": "x"},
    "spec": {"entrypoint": "x", "templates": [{"name": "x", "container": {"image": "x"}}], "hooks": {}},
    "status": {"nodes": NODES},
}


@pytest.mark.parametrize("workflow", LEGITIMATE.values(), ids=LEGITIMATE.keys())
def test_ordinary_ways_to_start_a_run_are_admitted(workflow: Object) -> None:
    assert refused(workflow) == []
    assert refused_in_own_namespace(workflow) == []


@pytest.mark.parametrize("change", HOSTILE_SPEC.values(), ids=HOSTILE_SPEC.keys())
def test_workflow_and_cron_workflow_override_nothing_of_the_template(change: Change) -> None:
    assert refused(changed(submitted(), change))
    assert refused(nightly_with(change))
    assert refused(nightly_with(change), old=NIGHTLY)


@pytest.mark.parametrize("change", HOSTILE_STATUS.values(), ids=HOSTILE_STATUS.keys())
def test_workflow_begins_without_a_status(change: Change) -> None:
    (sentence,) = refused(changed(submitted(), change))
    assert "without --memoized" in sentence


@pytest.mark.parametrize("change", HOSTILE_SPEC.values(), ids=HOSTILE_SPEC.keys())
def test_suspended_workflow_gets_no_override_later(change: Change) -> None:
    suspended = submitted(suspend=True)
    assert refused(changed(suspended, change), old=suspended)


def test_workflow_of_another_template_does_not_become_one_of_the_benchmark() -> None:
    other = changed(
        submitted(suspend=True, workflowTemplateRef={"name": "other"}, entrypoint="collect"),
        arguments(artifacts=ARTIFACTS),
    )
    assert refused(other) == []
    assert len(refused(changed(other, spec(workflowTemplateRef={"name": NAME})), old=other)) == 3
    plain = submitted(workflowTemplateRef={"name": "other"})
    assert refused(changed(plain, spec(workflowTemplateRef={"name": NAME})), old=plain)


RUN = changed(submitted(arguments={"parameters": PARAMETERS}), status(phase="Running", nodes=NODES))
EARLIER = changed(
    RUN, spec(entrypoint="collect", priority=1, serviceAccountName="x", arguments={"artifacts": ARTIFACTS})
)
"""Begun before there was the policy."""


@pytest.mark.parametrize("before", [RUN, EARLIER], ids=["run", "earlier run"])
@pytest.mark.parametrize("change", [
    spec(shutdown="Stop"), spec(shutdown="Terminate"), spec(suspend=True), spec(priority=9), status(phase="Failed"),
], ids=["stop", "terminate", "suspend", "priority", "the controller's"])  # fmt: skip
def test_run_can_always_be_changed_by_argo(before: Object, change: Change) -> None:
    assert refused(changed(before, change), old=before) == []
    assert refused_in_own_namespace(changed(before, change), old=before) == []


def test_retry_is_admitted() -> None:
    """Argo takes the shutdown away and rewrites the status; with --parameter it replaces the parameters."""
    stopped = changed(changed(RUN, spec(shutdown="Stop")), status(phase="Failed"))
    retried = changed(RUN, status(phase="Running", nodes={}))
    assert refused(retried, old=stopped) == []
    assert refused(changed(retried, arguments(parameters=PARAMETERS[:1])), old=stopped) == []
    assert refused(changed(retried, arguments(artifacts=ARTIFACTS)), old=stopped)


def test_cron_workflow_can_be_suspended_and_rescheduled() -> None:
    for change in (spec(suspend=True), spec(schedules=["0 3 * * *"]), status(lastScheduledTime="x")):
        assert refused(changed(NIGHTLY, change), old=NIGHTLY) == []


@pytest.mark.parametrize("reference", [{}, {"workflowTemplateRef": None}, {"workflowTemplateRef": {"name": "other"}}])
def test_workflows_of_others_are_not_covered(reference: Object) -> None:
    other = changed(INLINE, spec(**reference))
    cron = {"kind": "CronWorkflow", "metadata": {"name": "x"}, "spec": {"workflowSpec": other["spec"]}}
    assert refused(other) == []
    assert refused(cron) == []
    assert refused_in_own_namespace(other)
    assert refused_in_own_namespace(cron)


def test_own_namespace_keeps_what_began_before_the_policy() -> None:
    """It can be stopped and deleted; a workflow of the benchmark can't become another."""
    assert refused_in_own_namespace(changed(INLINE, spec(shutdown="Stop")), old=INLINE) == []
    assert refused_in_own_namespace(changed(RUN, spec(workflowTemplateRef={"name": "other"})), old=RUN)


def test_policies_cover_both_kinds_and_own_namespaces() -> None:
    for name in (WORKFLOWS, NAMESPACE_WORKFLOWS):
        rules = policy(name)["spec"]["matchConstraints"]["resourceRules"]
        assert [(r["apiGroups"], r["resources"], r["operations"]) for r in rules] == [
            (["argoproj.io"], [plural], ["CREATE", "UPDATE"]) for plural in ("workflows", "cronworkflows")
        ]
    bindings = {
        item["metadata"]["name"]: item["spec"].get("matchResources")
        for item in admission.build_admission()["items"]
        if item["kind"] == "ValidatingAdmissionPolicyBinding"
    }
    assert bindings[WORKFLOWS] is None
    assert bindings[NAMESPACE_WORKFLOWS] == {"namespaceSelector": {"matchLabels": {LABEL: "deployment"}}}
