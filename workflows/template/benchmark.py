"""The WorkflowTemplate: what runs, in which order, on Argo and on one machine alike.

    validate -> preflight -> snapshot -> rounds -> collect -> report -> verdict
    rounds:     each visit of this round, one after another -> look -> next
    next:       rounds again, unless look says stop
    visit:      configure -> settle
                configure -> measure the host network and each topology, by turns
                configure -> scale, which changes the scale between their turns, if there are several
                configure -> clear -> clear again, if it failed
                settle, if it fails -> retreat to what ran before
    on exit:    restore -> collect and report, if the run did not reach them -> notify

The verdict depends on the collected rows, never on the status of nodes: a failed trial is a row, and later visits go
on. Where look itself fails, no round follows, and the visits that were due are rows that say so.

Eight rules about Argo 3.6 to 4.1 are checked by `workflows.local.semantics.argo_defects`. Three are needed for Stop:

- No loop is the last task of its DAG. On shutdown the controller walks down from a DAG's last tasks and panics at a
  loop's child that parallelism has kept from getting a node, and the exit handler never runs.
- The exit handler is no DAG. Before 3.7.17, and in 4.0 before 4.0.8, a DAG that begins after a Stop fails at once.
- No template that a loop runs has a mutex, since its waiting items are such children. So `configure` has one, and
  `visit` has none.

Five are needed for Retry, which deletes failed pods and sets all nodes above them back to Running:

- Each task depends by name on every earlier task that is a loop over DAGs, or runs a DAG with one, or is repeatable. A
  node that is set back without a dependent task is never processed again, and the run never ends.
- What a loop runs begins with a pod, and with none that both waits for a mutex and is repeatable, which has no pod
  meanwhile. A visit that a Stop kept from beginning has no other failed pod, and would be skipped.
- What follows such a loop is a pod, and not repeatable. If it were a DAG or repeatable, its node would exist already,
  and it would run before the loop.
- What follows such a loop also waits for an earlier task, which stays its parent after a Stop in the loop. Retry
  refuses a node without one.
- Nothing that follows such a loop in its DAG may be skipped. It would be the way up from a later failure to the visits,
  which are set back and never processed again.
"""

from typing import cast

from hera.workflows import DAG, Parameter, Steps, Task, WorkflowTemplate
from hera.workflows import models as m

from steps.cluster.kube.workloads.manifests import NAME as POD_NAME
from steps.cluster.kube.workloads.manifests import NAMED as POD_NAMED
from steps.cluster.kube.workloads.mesh import OPT_OUT_ANNOTATIONS, OPT_OUT_LABELS
from steps.tasks.clear import clear
from steps.tasks.collect import collect, recollect
from steps.tasks.configure import UNSCALED, configure
from steps.tasks.look import ROUNDS, STOP, look
from steps.tasks.measure import measure
from steps.tasks.notify import notify
from steps.tasks.preflight import preflight
from steps.tasks.report import report
from steps.tasks.restore import restore
from steps.tasks.retreat import retreat
from steps.tasks.scale import scale
from steps.tasks.settle import settle
from steps.tasks.shared.inputs import checked_tag
from steps.tasks.snapshot import snapshot
from steps.tasks.validate import validate
from steps.tasks.verdict import verdict
from workflows.local.semantics.nodes import DISPLAY_NAME
from workflows.template import metrics
from workflows.template.form import FORM
from workflows.template.scripts import add_step, add_task, unprivileged

NAME = "dataplane-benchmark"

ENDED = "{0}.Succeeded || {0}.Failed || {0}.Errored"
"""Depends on the task's end, whatever its result."""

OVER = "{0} || {0}.Failed || {0}.Errored || {0}.Omitted"
"""The same, or the task was not needed, or had nothing to do, which the bare name covers."""

SETTINGS = "{{inputs.parameters.settings}}"
VISIT = "{{inputs.parameters.visit}}"

DEADLINE_S = 48 * 3600
"""Enough for the longest run, 24 h of sending with its switches. After it a run is stopped and restored."""

_FROM_LOOK = {"visits": "visits", "level": "level", "rounds-title": "title", "next": "next"}
"""The inputs of `next` by the outputs of `look`. None is called title, by which Argo would show `next` itself."""

TITLE = "workflows.argoproj.io/title"
DESCRIPTION = "workflows.argoproj.io/description"


def _if_given(field: str) -> str:
    """A field of the form after a dot; nothing where it is empty."""
    return f"{{{{=workflow.parameters.{field} == '' ? '' : ' · ' + workflow.parameters.{field}}}}}"


_RUN_TITLE = (
    "{{=workflow.parameters.trigger == 'nightly' ? 'Nightly' : 'Ad hoc'}} · {{workflow.parameters.profile}}"
    + _if_given("dataplanes")
    + _if_given("label")
)
"""For example `Ad hoc · quick · iptables,ebpf · new kernel`."""

_RUN_DESCRIPTION = (
    "{{=workflow.parameters.topologies == '' ? 'every path of the profile' : workflow.parameters.topologies}}"
    + _if_given("nodes")
    + _if_given("options")
)


def _inputs(*names: str) -> list[Parameter]:
    return [Parameter(name=name) for name in names]


def _item(*names: str) -> dict[str, str]:
    """Keys of a loop's item as arguments of the same name."""
    return {name: f"{{{{item.{name}}}}}" for name in names}


def _visit() -> DAG:
    """One stay in a dataplane. All measuring steps start together, and take turns at measuring."""
    arguments = {"settings": SETTINGS, "visit": VISIT}
    with DAG(
        name="visit", inputs=_inputs("settings", "visit", "dataplane", "round", "title"), fail_fast=False
    ) as visit:
        add_task(configure, name="configure", arguments=arguments)
        add_task(settle, name="settle", arguments=arguments, depends="configure")
        # Where a node fell back from eBPF, pods can't reach each other across nodes until this is over.
        add_task(retreat, name="retreat", arguments=arguments, depends="configure && (settle.Failed || settle.Errored)")
        # The measuring steps start while the dataplane settles, and measure nothing before it has.
        add_task(
            measure,
            name="measure",
            with_param="{{tasks.configure.outputs.parameters.measures}}",
            arguments={**arguments, **_item("what", "title", "client-node", "network", "timeout")},
            depends="configure",
        )
        add_task(
            scale,
            name="scale",
            arguments=arguments,
            depends="configure",
            when=f"{{{{tasks.configure.outputs.parameters.scaled}}}} != {UNSCALED}",
        )
        cleared = {**arguments, "configured": "{{tasks.configure.status}}"}
        add_task(clear, name="clear", arguments=cleared, depends=ENDED.format("configure"))
        again = f"{_over('configure', 'measure', 'retreat')} && (clear.Failed || clear.Errored)"
        add_task(clear, name="clear-again", arguments=cleared, depends=again)
    return visit


def _over(*tasks: str) -> str:
    return " && ".join(f"({OVER.format(task)})" for task in tasks)


def _next() -> DAG:
    """The next rounds, unless look says stop.

    A DAG of its own, so that what follows it has no visit above it but by the rounds' own DAG: Argo's Retry of a later
    failure would set back the visits of the last round, which nothing then processes.
    """
    with DAG(name="next", inputs=_inputs("settings", *_FROM_LOOK), fail_fast=False) as following:
        handed_on = {name: f"{{{{inputs.parameters.{given}}}}}" for given, name in _FROM_LOOK.items() if name != "next"}
        Task(
            name=ROUNDS,
            template=ROUNDS,
            arguments={"settings": SETTINGS, **handed_on},
            when=f"{{{{inputs.parameters.next}}}} != {STOP}",
        )
    return following


def _rounds(visit: DAG, following: DAG) -> DAG:
    """The visits of a round, one after another, a look at the figures, and what follows them.

    It runs itself, as often as `steps.settings.schedule.MOST_LEVELS`, so that Argo draws a round when it is decided on.
    """
    level = {"settings": SETTINGS, "level": "{{inputs.parameters.level}}"}
    visited = f"({ENDED.format('visit')})"
    with DAG(
        name=ROUNDS, inputs=_inputs("settings", "visits", "level", "title"), parallelism=1, fail_fast=False
    ) as rounds:
        # Never run; it stays the parent of look where a Stop ends the visits.
        add_task(look, name="anchor", arguments=level, when="no == yes")
        visit(
            name="visit",
            with_param="{{inputs.parameters.visits}}",
            arguments={"settings": SETTINGS, **_item("visit", "dataplane", "round", "title")},
        )
        add_task(look, name="look", arguments=level, depends=f"anchor && {visited}")
        found = {given: f"{{{{tasks.look.outputs.parameters.{name}}}}}" for given, name in _FROM_LOOK.items()}
        following(name="next", arguments={"settings": SETTINGS, **found}, depends=f"look && {visited}")
    return rounds


def _benchmark(rounds: DAG) -> None:
    """The whole run."""
    settings = {"settings": "{{tasks.preflight.outputs.parameters.settings}}"}
    with DAG(name="benchmark", parallelism=1, fail_fast=False):
        form = {str(field.name): f"{{{{workflow.parameters.{field.name}}}}}" for field in FORM}
        add_task(validate, name="validate", arguments=form)
        validated = {"settings": "{{tasks.validate.outputs.parameters.settings}}"}
        add_task(preflight, name="preflight", arguments=validated, depends="validate")
        add_task(snapshot, name="snapshot", arguments=settings, depends="preflight")
        first = {name: f"{{{{tasks.preflight.outputs.parameters.{name}}}}}" for name in ("visits", "level", "title")}
        rounds(name=ROUNDS, arguments={**settings, **first}, depends="snapshot")
        visited = f"({ENDED.format(ROUNDS)})"
        # Argo makes what follows a loop a child of its items' last pods, and Retry refuses a node without a parent
        add_task(collect, name="collect", depends=f"snapshot && {visited}")
        add_task(report, name="report", depends=f"snapshot && {visited} && collect")
        add_task(
            verdict,
            name="verdict",
            arguments={
                name: f"{{{{tasks.report.outputs.parameters.{name}}}}}"
                for name in ("headline", "outcome", "regression")
            },
            depends=f"snapshot && {visited} && collect && report",
        )


def _finish() -> None:
    """The exit handler. It collects again, since after a Stop the DAG's own collect never runs."""
    anyhow = m.ContinueOn(failed=True, error=True)
    with Steps(name="finish"):
        add_step(restore, name="restore", continue_on=anyhow)
        add_step(recollect, name="collect", when="{{workflow.status}} != Succeeded", continue_on=anyhow)
        add_step(report, name="report", when="{{steps.collect.status}} == Succeeded", continue_on=anyhow)
        # Nothing else decides whether the exit handler failed, so it gets the status of restore.
        add_step(
            notify, name="notify", arguments={"status": "{{workflow.status}}", "restored": "{{steps.restore.status}}"}
        )


class _Titled(WorkflowTemplate):
    """Hera's, with display names and metrics."""

    def build(self) -> m.WorkflowTemplate:
        """Add display names to templates with an input `title`, and metrics to the report."""
        built = cast("m.WorkflowTemplate", super().build())
        for template in built.spec.templates or []:
            if template.inputs and any(p.name == "title" for p in template.inputs.parameters or []):
                template.annotations = {DISPLAY_NAME: checked_tag("title")}
            if template.name == metrics.TEMPLATE:
                template.metrics = m.Metrics(prometheus=metrics.build_metrics())
        return built


def build_template() -> WorkflowTemplate:
    """The template, for Argo and for the local engine."""
    with _Titled(
        kind="WorkflowTemplate",
        name=NAME,
        entrypoint="benchmark",
        on_exit="finish",
        arguments=list(FORM),
        synchronization=m.Synchronization(mutexes=[m.Mutex(name=NAME)]),
        active_deadline_seconds=DEADLINE_S,
        security_context=unprivileged(),
        # A service mesh's proxy in a measuring step's pod would be measured, too.
        pod_metadata=m.Metadata(labels={**OPT_OUT_LABELS, POD_NAME: POD_NAMED}, annotations=dict(OPT_OUT_ANNOTATIONS)),
        artifact_gc=m.WorkflowLevelArtifactGC(strategy="Never"),
        pod_gc=m.PodGC(strategy="OnPodSuccess", delete_delay_duration="600s"),
        ttl_strategy=m.TTLStrategy(seconds_after_success=7 * 86400, seconds_after_failure=14 * 86400),
        annotations={
            TITLE: "Dataplane benchmark",
            DESCRIPTION: "What do I gain or lose, on which path, by moving from iptables to nftables, eBPF or eBPF "
            "with direct server return? Submit it as it is, or choose less.",
        },
        # Of each run; they override a CronWorkflow's. No labels: an invalid value would end the run without a reason.
        workflow_metadata=m.WorkflowMetadata(annotations={TITLE: _RUN_TITLE, DESCRIPTION: _RUN_DESCRIPTION}),
    ) as template:
        _benchmark(_rounds(_visit(), _next()))
        _finish()
    return template
