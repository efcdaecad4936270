"""A step as Hera's script template: its image, account, inputs and outputs, and what its pod may do."""

import functools
import json
from typing import Any, Final

from hera.workflows import (
    ConfigMapEnv,
    EmptyDirVolume,
    Env,
    NoneArchiveStrategy,
    Parameter,
    S3Artifact,
    Script,
    SecretEnv,
    Task,
)
from hera.workflows import Step as OneOfSteps
from hera.workflows import models as m

from steps.cluster.kube.api.identity import WORKFLOW_NAME, WORKFLOW_UID
from steps.cluster.kube.workloads.manifests import STEP_REQUESTS, USER
from steps.settings import environment
from steps.tasks import run
from steps.tasks.shared.artifacts import Artifact, Outputs, artifacts_of
from steps.tasks.shared.inputs import input_names
from steps.tasks.shared.pod import ACCOUNTS, CONFIG_MAP, IMAGE, NODE_NETWORK, FromConfigMap, Step, Variable

_EVERY: Final = (
    Env(name=environment.IMAGE, value=IMAGE),
    Env(name=environment.NODES, value="{{workflow.parameters.nodes}}"),
    Env(name=WORKFLOW_NAME, value="{{workflow.name}}"),
    Env(name=WORKFLOW_UID, value="{{workflow.uid}}"),
    Env(name="PYTHONDONTWRITEBYTECODE", value="1"),
)


def unprivileged() -> m.PodSecurityContext:
    """Of every pod, including Argo's own containers: each must be able to read what another writes."""
    return m.PodSecurityContext(
        run_as_non_root=True,
        run_as_user=USER,
        run_as_group=USER,
        fs_group=USER,
        seccomp_profile=m.SeccompProfile(type="RuntimeDefault"),
    )


def add_task(step: Step[..., Any], **fields: Any) -> None:  # noqa: ANN401 - Hera's own
    """Add a task that runs a step to the DAG being defined, with fields of Hera's Task, and its template."""
    Task(template=script_of(step), **fields)


def add_step(step: Step[..., Any], **fields: Any) -> None:  # noqa: ANN401 - Hera's own
    """The same for steps being defined, one after another, with fields of Hera's Step."""
    OneOfSteps(template=script_of(step), **fields)


@functools.cache
def script_of(step: Step[..., Any]) -> Script:
    """The template that runs a step, whose last argument, the file with the inputs, Argo adds.

    Raises:
        TypeError: it has fields that are none of a template.
    """
    function = step.function
    own = {**step.fields, **({"podSpecPatch": json.dumps(NODE_NETWORK)} if step.on_node else {})}
    fields = m.Template.model_validate({"name": "", **own})
    if len(fields.model_fields_set) != len(own) + 1:
        raise TypeError(f"step {function.__name__} has fields that no template of Argo's has: {', '.join(step.fields)}")
    return Script(
        name=function.__name__.replace("_", "-"),
        image=IMAGE,
        image_pull_policy="IfNotPresent",
        command=["python"],
        args=[*run.COMMAND, f"{function.__module__}:{function.__name__}"],
        source="{{inputs.parameters}}",
        add_cwd_to_sys_path=False,
        inputs=[*_inputs(step)],
        outputs=[*_outputs(step)],
        service_account_name=ACCOUNTS[step.account],
        active_deadline_seconds=step.deadline_s,
        env=[*_EVERY, *map(_variable, step.variables)],
        resources=m.ResourceRequirements(requests=dict(STEP_REQUESTS), limits={"memory": step.memory}),
        volumes=[EmptyDirVolume(name="tmp", mount_path="/tmp")],  # noqa: S108 - all else is read-only
        security_context=m.SecurityContext(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=m.Capabilities(drop=["ALL"]),
        ),
        retry_strategy=m.RetryStrategy(limit="2", retry_policy="OnError") if step.repeatable else None,
        **{name: getattr(fields, name) for name in sorted(fields.model_fields_set - {"name"})},
    )


def _variable(variable: Variable) -> ConfigMapEnv | SecretEnv:
    name = variable.name
    if isinstance(variable, FromConfigMap):
        return ConfigMapEnv(name=name, config_map_name=CONFIG_MAP, config_map_key=name, optional=True)
    return SecretEnv(name=name, secret_name=variable.secret, secret_key=variable.key, optional=True)


def _inputs(step: Step[..., Any]) -> list[Parameter | S3Artifact]:
    artifacts = artifacts_of(step).values()
    return [
        *(Parameter(name=name) for name in input_names(step).values()),
        *(_artifact(artifact) for artifact in artifacts if not artifact.output),
    ]


def _outputs(step: Step[..., Any]) -> list[Parameter | S3Artifact]:
    returned = step.function.__annotations__.get("return")
    names = returned.names() if isinstance(returned, type) and issubclass(returned, Outputs) else ()
    return [
        *(_artifact(artifact) for artifact in artifacts_of(step).values() if artifact.output),
        *(Parameter(name=name, value_from=m.ValueFrom(path=str(run.POD.parameter(name)))) for name in names),
    ]


def _artifact(artifact: Artifact) -> S3Artifact:
    return S3Artifact(
        name=artifact.name,
        key=artifact.key,
        path=str(run.POD.artifact(artifact)),
        archive=NoneArchiveStrategy() if artifact.output else None,
        optional=artifact.optional or None,
    )
