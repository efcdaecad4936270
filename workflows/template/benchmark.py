"""The WorkflowTemplate: what runs, in which order. The one definition of the process, for Argo and for one machine.

    validate -> preflight -> snapshot -> each visit, one after another -> collect -> report -> verdict
    visit:      begin -> stay
    stay:       configure -> settle -> prepare -> measure each topology, one after another -> clear
                settle, if it fails -> retreat to what ran before -> clear
    on exit:    restore -> collect and report, if the run did not come to them -> notify

The verdict is taken from the rows that were collected, never from the status of nodes: a failed trial is a row, and
the visits after it go on.

Two rules keep Argo's Stop safe, and `workflows.local.semantics.argo_defects` checks them. No loop is the last task of
its DAG: where parallelism keeps a loop's next item back, Argo 3.6 to 4.1 lists it as a child of the loop before it has
a node, and on shutdown the controller walks down from a DAG's last tasks, panics at that child, and never comes to the
exit handler. And no template that a loop runs has a mutex, whose waiting items are such children. So `visit`, which a
loop runs, holds none, and `begin` and `stay` in it do.

Three more keep Argo's Retry whole, which deletes failed pods and sets every node on the way to them back to Running.
Each task names every task before it that is a loop over DAGs or may be repeated: what is set back and named by nobody
is never looked at again, and the run stands for ever. What a loop runs begins with a pod: a visit that a Stop kept from
beginning has no other pod that failed, and would be passed over. And what follows such a loop is not repeatable: it
would begin before the loop, since its node is there already.
"""

from typing import cast

from hera.workflows import DAG, Parameter, WorkflowTemplate
from hera.workflows import models as m

from steps.cluster.kube.workloads.manifests import NAME as POD_NAME
from steps.cluster.kube.workloads.manifests import NAMED as POD_NAMED
from steps.cluster.kube.workloads.mesh import OPT_OUT_ANNOTATIONS, OPT_OUT_LABELS
from steps.tasks._pod import unprivileged
from steps.tasks._step import RUN
from steps.tasks.begin import begin, turn
from steps.tasks.clear import clear
from steps.tasks.collect import collect, recollect
from steps.tasks.configure import configure
from steps.tasks.measure import measure
from steps.tasks.notify import notify
from steps.tasks.preflight import preflight
from steps.tasks.prepare import prepare
from steps.tasks.report import report
from steps.tasks.restore import restore
from steps.tasks.retreat import retreat
from steps.tasks.settle import settle
from steps.tasks.snapshot import snapshot
from steps.tasks.validate import validate
from steps.tasks.verdict import verdict
from workflows.local.semantics.nodes import DISPLAY_NAME
from workflows.template import metrics
from workflows.template.form import FORM

NAME = "dataplane-benchmark"

ENDED = "{0}.Succeeded || {0}.Failed || {0}.Errored"
"""Goes on whatever came of the task: what was measured is worth collecting, what was started must be stopped."""

OVER = ENDED + " || {0}.Omitted"
"""Goes on likewise, and where the task was not called for."""

SETTINGS = "{{inputs.parameters.settings}}"
VISIT = "{{inputs.parameters.visit}}"
VALIDATED = "{{tasks.validate.outputs.parameters.settings}}"


DEADLINE_S = 48 * 3600
"""For the longest run that is permitted, 24 h of sending and its switches. Past it a run is stopped and restored."""

TITLE = "workflows.argoproj.io/title"
DESCRIPTION = "workflows.argoproj.io/description"


def _if_given(field: str) -> str:
    """A field of the form with a dot before it; nothing where it is empty."""
    return f"{{{{=workflow.parameters.{field} == '' ? '' : ' · ' + workflow.parameters.{field}}}}}"


_RUN_TITLE = (
    "{{=workflow.parameters.trigger == 'nightly' ? 'Nightly' : 'Ad hoc'}} · {{workflow.parameters.profile}}"
    + _if_given("dataplanes")
    + _if_given("label")
)
"""Such as `Ad hoc · quick · iptables,ebpf · new kernel`."""

_RUN_DESCRIPTION = (
    "{{=workflow.parameters.topologies == '' ? 'every path of the profile' : workflow.parameters.topologies}}"
    + _if_given("nodes")
    + _if_given("options")
)


def _inputs(*names: str) -> list[Parameter]:
    return [Parameter(name=name) for name in names]


def _item(*names: str) -> dict[str, str]:
    """Keys of a loop's item, each to the input of the same name."""
    return {name: f"{{{{item.{name}}}}}" for name in names}


def _form() -> dict[str, str]:
    """The form's fields, each to the input of the same name."""
    return {str(field.name): f"{{{{workflow.parameters.{field.name}}}}}" for field in FORM}


def _stay() -> DAG:
    """What is done in one visit. Every topology, and the canary around them, strictly one after another."""
    arguments = {"settings": SETTINGS, "visit": VISIT}
    with DAG(
        name="stay",
        inputs=_inputs("settings", "visit"),
        parallelism=1,
        fail_fast=False,
        # Argo's Retry begins all visits that a Stop had failed at once, whatever the parallelism: seen with 4.1.2
        synchronization=turn(),
    ) as stay:
        configure(name="configure", arguments=arguments)
        settle(name="settle", arguments=arguments, depends="configure")
        # Where a node fell back from eBPF, pods can't reach each other across nodes until this is over.
        retreat(name="retreat", arguments=arguments, depends="configure && (settle.Failed || settle.Errored)")
        prepare(name="prepare", arguments=arguments, depends="configure && settle")
        measure(
            name="measure",
            with_param="{{tasks.prepare.outputs.parameters.measures}}",
            arguments={**arguments, **_item("what", "title", "client-node", "network", "timeout")},
            depends="configure && prepare",
        )
        over = " && ".join(f"({OVER.format(task)})" for task in ("configure", "measure", "retreat"))
        clear(name="clear", arguments=arguments, depends=over)
    return stay


def _visit(stay: DAG) -> DAG:
    """One stay in a dataplane, named for people."""
    with DAG(
        name="visit", inputs=_inputs("settings", "visit", "dataplane", "round", "title"), fail_fast=False
    ) as visit:
        begin(name="begin", arguments={"visit": VISIT, "dataplane": "{{inputs.parameters.dataplane}}"})
        stay(name="stay", arguments={"settings": SETTINGS, "visit": VISIT}, depends="begin")
    return visit


def _benchmark(visit: DAG) -> None:
    """The whole run. All visits in their planned order, strictly one after another."""
    settings = {"settings": "{{tasks.preflight.outputs.parameters.settings}}"}
    with DAG(name="benchmark", parallelism=1, fail_fast=False):
        validate(name="validate", arguments={"run-id": RUN, "uid": "{{workflow.uid}}", **_form()})
        preflight(name="preflight", arguments={"settings": VALIDATED}, depends="validate")
        snapshot(name="snapshot", arguments=settings, depends="preflight")
        visit(
            name="visit",
            with_param="{{tasks.preflight.outputs.parameters.visits}}",
            arguments={**settings, **_item("visit", "dataplane", "round", "title")},
            depends="snapshot",
        )
        visited = f"({ENDED.format('visit')})"
        # Argo hangs what comes after a loop on the last pods of its items, and Retry refuses what hangs on nothing
        collect(name="collect", depends=f"snapshot && {visited}")
        report(name="report", arguments={"run-id": RUN}, depends=f"snapshot && {visited} && collect")
        verdict(
            name="verdict",
            arguments={
                "headline": "{{tasks.report.outputs.parameters.headline}}",
                "outcome": "{{tasks.report.outputs.parameters.outcome}}",
                "regression": "{{tasks.report.outputs.parameters.regression}}",
            },
            depends=f"snapshot && {visited} && collect && report",
        )


def _finish() -> None:
    """The exit handler. After a Stop the DAG's own collect never runs, so it stands here again."""
    unfinished = "{{workflow.status}} != Succeeded"
    with DAG(name="finish", fail_fast=False):
        restore(name="restore")
        recollect(name="collect", depends=ENDED.format("restore"), when=unfinished)
        report(name="report", arguments={"run-id": RUN}, depends="collect.Succeeded")
        # As the only leaf it decides whether the exit handler failed, so it is told how restore ended.
        notify(
            name="notify",
            arguments={"run-id": RUN, "status": "{{workflow.status}}", "restored": "{{tasks.restore.status}}"},
            depends=OVER.format("report"),
        )


class _Titled(WorkflowTemplate):
    """Hera's, with nodes named for people, templates that are run in a loop say what they are run for, and metrics."""

    def build(self) -> m.WorkflowTemplate:
        """As Hera does, and display names for templates with an input `title`, and metrics for the report."""
        built = cast("m.WorkflowTemplate", super().build())
        for template in built.spec.templates or []:
            if template.inputs and any(p.name == "title" for p in template.inputs.parameters or []):
                template.annotations = {DISPLAY_NAME: "{{inputs.parameters.title}}"}
            if template.name == metrics.TEMPLATE:
                template.metrics = m.Metrics(prometheus=metrics.build_metrics())
        return built


def build_template() -> WorkflowTemplate:
    """The template as Argo gets it and as the local engine walks it."""
    with _Titled(
        kind="WorkflowTemplate",
        name=NAME,
        entrypoint="benchmark",
        on_exit="finish",
        arguments=list(FORM),
        synchronization=m.Synchronization(mutexes=[m.Mutex(name=NAME)]),
        active_deadline_seconds=DEADLINE_S,
        security_context=unprivileged(),
        # The measuring steps are iperf3's clients: a mesh's proxy in one of them is what would be measured.
        pod_metadata=m.Metadata(labels={**OPT_OUT_LABELS, POD_NAME: POD_NAMED}, annotations=dict(OPT_OUT_ANNOTATIONS)),
        artifact_gc=m.WorkflowLevelArtifactGC(strategy="Never"),
        pod_gc=m.PodGC(strategy="OnPodSuccess", delete_delay_duration="600s"),
        ttl_strategy=m.TTLStrategy(seconds_after_success=7 * 86400, seconds_after_failure=14 * 86400),
        annotations={
            TITLE: "Dataplane benchmark",
            DESCRIPTION: "What do I gain or lose, on which path, by moving from iptables to nftables, eBPF or eBPF "
            "with direct server return? Submit it as it is, or say less.",
        },
        # Of each run, so that a list of them reads like a diary. They beat what a CronWorkflow says of its runs, and
        # labels are left out: a value that is no label's would end the run before its first step could say why.
        workflow_metadata=m.WorkflowMetadata(annotations={TITLE: _RUN_TITLE, DESCRIPTION: _RUN_DESCRIPTION}),
    ) as template:
        _benchmark(_visit(_stay()))
        _finish()
    return template
