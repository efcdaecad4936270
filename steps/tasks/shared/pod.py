"""The pod that a task runs in: image, account, environment, limits and volumes. One decorator for all tasks.

On one machine only its environment matters.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from hera.workflows import ConfigMapEnv, EmptyDirVolume, Env, SecretEnv, script
from hera.workflows import models as m

from steps.cluster.kube.api.identity import WORKFLOW_NAME, WORKFLOW_UID
from steps.cluster.kube.workloads.manifests import STEP_REQUESTS, USER
from steps.settings import environment
from steps.tasks.shared.step import ends_in_a_sentence

IMAGE: Final = "dataplane-benchmark:0.1.0"
"""The steps' image on a cluster. A fixed tag, since `latest` would be pulled again for each pod."""

CONFIG_MAP: Final = "dataplane-benchmark"
"""The deployment's variables for all runs: those of `steps.settings.environment`, and of an S3 client."""

SECRET: Final = "dataplane-benchmark-s3"  # noqa: S105 - its name
"""The store's credentials, unless the deployment names another Secret."""

Account = Literal["switch", "observe", "measure"]
ACCOUNTS: Final[dict[Account, str]] = {
    "switch": "dataplane-benchmark-switch",
    "observe": "dataplane-benchmark-observe",
    "measure": "dataplane-benchmark-measure",
}
"""switch may patch Calico; observe may read, and run the trials' pods; measure has no access to the API."""

_EVERY: Final = (
    Env(name=environment.IMAGE, value=IMAGE),
    Env(name=environment.NODES, value="{{workflow.parameters.nodes}}"),
    Env(name=WORKFLOW_NAME, value="{{workflow.name}}"),
    Env(name=WORKFLOW_UID, value="{{workflow.uid}}"),
    Env(name="PYTHONDONTWRITEBYTECODE", value="1"),
)


def from_config_map(name: str) -> ConfigMapEnv:
    """A variable that the deployment's ConfigMap may set. Each is named: a whole ConfigMap could set any variable."""
    return ConfigMapEnv(name=name, config_map_name=CONFIG_MAP, config_map_key=name, optional=True)


_DEPLOYED: Final = tuple(map(from_config_map, environment.FROM_CONFIG_MAP))
_STORE: Final = tuple(
    SecretEnv(name=name, secret_name=SECRET, secret_key=key, optional=True) for name, key in environment.S3_KEYS.items()
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


def step(
    account: Account,
    *,
    deadline_s: int,
    memory: str = "256Mi",
    store: bool = False,
    repeatable: bool = False,
    env: Sequence[SecretEnv | ConfigMapEnv] = (),
    **more: Any,  # noqa: ANN401 - Hera's own
) -> Callable[..., Any]:
    """Make a function a task, run by Hera's runner in a pod with no more privileges than it needs.

    Args:
        account: whose permissions it has.
        deadline_s: it is killed after this.
        memory: its limit.
        store: whether it gets the store's credentials.
        repeatable: whether it runs again when its pod was lost, as by an eviction. A step that reported a failure is
            never repeated.
        env: its own variables.
        more: further arguments of Hera's `script`.
    """
    if repeatable:
        more["retry_strategy"] = m.RetryStrategy(limit="2", retry_policy="OnError")
    make_task = script(
        constructor="runner",
        image=IMAGE,
        image_pull_policy="IfNotPresent",
        service_account_name=ACCOUNTS[account],
        active_deadline_seconds=deadline_s,
        env=[*_EVERY, *_DEPLOYED, *(_STORE if store else ()), *env],
        resources=m.ResourceRequirements(requests=dict(STEP_REQUESTS), limits={"memory": memory}),
        volumes=[EmptyDirVolume(name="tmp", mount_path="/tmp")],  # noqa: S108 - all else is read-only
        security_context=m.SecurityContext(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=m.Capabilities(drop=["ALL"]),
        ),
        **more,
    )
    return lambda function: make_task(ends_in_a_sentence(function))
