"""The admission policies for Workflows and CronWorkflows: the template is run as it is, with parameters only.

Argo lets whoever creates a Workflow override most of the template that it references, its artifacts' places included,
and believes the status that the Workflow comes with. So what is permitted is listed: what Argo's form, `argo submit
--from`, Resubmit, CronWorkflows and `make submit` set. What a Workflow had before, an update may leave as it is, so
that Stop, Terminate and Retry always work.
"""

from collections.abc import Iterable
from typing import Final

from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.workloads.manifests import LABEL
from workflows.template import benchmark
from workflows.template.policies import NEW, Rule, build_policy, cel_list, field, on

WORKFLOWS: Final = "dataplane-benchmark-workflows"
NAMESPACE_WORKFLOWS: Final = "dataplane-benchmark-namespace-workflows"

_RESOURCES: Final = [
    on("CREATE UPDATE", plural, "argoproj.io", "v1alpha1") for plural in ("workflows", "cronworkflows")
]

_FIELDS: Final = ("workflowTemplateRef", "arguments", "entrypoint", "priority", "suspend", "shutdown")
"""Of a Workflow's specification. The last two are how Argo suspends, stops and terminates it."""

_OF_PARAMETERS: Final = ("name", "value", "default", "enum", "description")
"""Not `valueFrom`, by which Argo's controller reads ConfigMaps, nor `globalName`."""


def _spec(workflow: str) -> str:
    """A Workflow's specification, or that of the Workflows of a CronWorkflow."""
    of_cron = field(f"{workflow}.spec", "workflowSpec")
    return f"dyn({workflow}).kind == 'CronWorkflow' ? ({of_cron}) : dyn({workflow}).spec"


def _references(workflow: str) -> str:
    """Whether it references the template. Conditions know no variables."""
    found = " : ".join(
        f"has({spec}.workflowTemplateRef) && {spec}.workflowTemplateRef != null "
        f"&& has({spec}.workflowTemplateRef.name) && {spec}.workflowTemplateRef.name == '{benchmark.NAME}'"
        for spec in (f"dyn({workflow}).spec.workflowSpec", f"dyn({workflow}).spec")
    )
    return f"dyn({workflow}).kind == 'CronWorkflow' ? {found}"


def build_workflow_policies() -> Iterable[tuple[Object, Object]]:
    """For what references the template, and for namespaces that a deployment created."""
    before = f"request.operation == 'UPDATE' && ({_references('oldObject')})"
    yield build_policy(
        WORKFLOWS,
        _RESOURCES,
        {"new": NEW, "ours": _references("object")},
        {
            "cron": "dyn(object).kind == 'CronWorkflow'",
            "referenced": before,
            "spec": _spec("object"),
            "old": f"variables.referenced ? ({_spec('oldObject')}) : {{}}",
            "arguments": "'arguments' in variables.spec && variables.spec['arguments'] != null "
            "? variables.spec['arguments'] : {}",
        },
        (*_specification(), *_status()),
    )
    yield build_policy(
        NAMESPACE_WORKFLOWS,
        _RESOURCES,
        {"new": NEW},
        {},
        [
            Rule(
                f"({_references('object')}) || (request.operation == 'UPDATE' && !({before}))",
                "this namespace is for the benchmark's workflows only: submit the WorkflowTemplate "
                f"{benchmark.NAME}, or create other workflows in another namespace",
            )
        ],
        {"matchLabels": {LABEL: "deployment"}},
    )


def _unless_kept(key: str, expression: str) -> str:
    """The expression, unless the field is absent or as it was."""
    return (
        f"!('{key}' in variables.spec) || ({expression}) "
        f"|| ('{key}' in variables.old && variables.old['{key}'] == variables.spec['{key}'])"
    )


def _specification() -> Iterable[Rule]:
    entrypoint = benchmark.build_template().to_dict()["spec"]["entrypoint"]
    yield Rule(
        f"variables.spec.all(k, k in {cel_list(_FIELDS)} "
        "|| (k in variables.old && variables.old[k] == variables.spec[k]))",
        f"a workflow of the template {benchmark.NAME} sets no field of its specification but {', '.join(_FIELDS)}: "
        "take the others away; the template sets them",
    )
    yield Rule(
        _unless_kept("entrypoint", f"variables.spec['entrypoint'] in {cel_list(['', entrypoint])}"),
        f"the template {benchmark.NAME} is run from its own entrypoint only: take entrypoint away",
    )
    yield Rule(
        "!('clusterScope' in variables.spec['workflowTemplateRef']) "
        "|| variables.spec['workflowTemplateRef']['clusterScope'] != true",
        f"{benchmark.NAME} is a WorkflowTemplate of a namespace: take clusterScope away",
    )
    yield Rule(
        _unless_kept("arguments", "variables.arguments.all(k, k == 'parameters')"),
        f"a workflow of the template {benchmark.NAME} brings no artifacts, since a run stores only what its own steps "
        "measured: take arguments.artifacts away",
    )
    names = cel_list(_OF_PARAMETERS)
    yield Rule(
        _unless_kept(
            "arguments",
            "!('parameters' in variables.arguments) || variables.arguments['parameters'] == null "
            f"|| variables.arguments['parameters'].all(p, p.all(k, k in {names}))",
        ),
        f"a parameter of the template {benchmark.NAME} is a name and a value: give the value itself",
    )


def _status() -> Iterable[Rule]:
    yield Rule(
        "request.operation != 'CREATE' || variables.cron || !('status' in dyn(object)) || dyn(object).status == null "
        "|| dyn(object).status.all(k, dyn(object).status[k] == null)",
        f"a workflow of the template {benchmark.NAME} begins without a status, since Argo would take its steps for "
        "done: submit a new run, or resubmit without --memoized; a run that is only in the archive can't be retried",
    )
    yield Rule(
        "request.operation != 'UPDATE' || variables.cron || variables.referenced",
        f"a workflow that exists can't be made one of the template {benchmark.NAME}: submit a new one",
    )
