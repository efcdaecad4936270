"""The pod that a task runs in: image, account, environment, bounds and what it may write. One decorator for all tasks.

On one machine none of this is needed but the environment, which the local engine gives.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from hera.workflows import ConfigMapEnv, EmptyDirVolume, Env, SecretEnv, script
from hera.workflows import models as m

from steps.cluster.kube.workloads.manifests import STEP_REQUESTS, USER
from steps.settings import environment

IMAGE: Final = "dataplane-benchmark:0.1.0"
"""What the steps run in on a cluster. A fixed tag, since `latest` would be pulled anew for each pod."""

CONFIG_MAP: Final = "dataplane-benchmark"
"""What a deployment decides for all runs: a key is a variable of `steps.settings.environment`, or of an S3 client."""

SECRET: Final = "dataplane-benchmark-s3"  # noqa: S105 - its name
"""The store's credentials, unless the deployment names another Secret."""

Account = Literal["switch", "observe", "measure"]
ACCOUNTS: Final[dict[Account, str]] = {
    "switch": "dataplane-benchmark-switch",
    "observe": "dataplane-benchmark-observe",
    "measure": "dataplane-benchmark-measure",
}
"""switch may patch Calico; observe may look, and man the trials; measure may ask the cluster nothing."""

_EVERY: Final = (
    Env(name=environment.IMAGE, value=IMAGE),
    Env(name=environment.NODES, value="{{workflow.parameters.nodes}}"),
    Env(name="ARGO_WORKFLOW_NAME", value="{{workflow.name}}"),
    Env(name="PYTHONDONTWRITEBYTECODE", value="1"),
)
_DEPLOYED: Final = tuple(
    ConfigMapEnv(name=name, config_map_name=CONFIG_MAP, config_map_key=name, optional=True)
    for name in environment.FROM_CONFIG_MAP
)
_STORE: Final = tuple(
    SecretEnv(name=name, secret_name=SECRET, secret_key=key, optional=True) for name, key in environment.S3_KEYS.items()
)


def unprivileged() -> m.PodSecurityContext:
    """Every container of every pod, Argo's own too: what one of them writes, another must be able to read."""
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
    env: Sequence[SecretEnv] = (),
    **more: Any,  # noqa: ANN401 - Hera's own
) -> Callable[..., Any]:
    """Make a function a task, run by Hera's runner in a pod that is restricted as far as its work allows.

    Args:
        account: whose rights it has.
        deadline_s: it is ended after this.
        memory: how much it may use at most.
        store: whether it reads or writes the store, and so gets the credentials.
        repeatable: whether it may run again when its pod was lost, as by an eviction. A step that failed by itself is
            never repeated: it has said why.
        env: variables of its own.
        more: of Hera's `script`.
    """
    if repeatable:
        more["retry_strategy"] = m.RetryStrategy(limit="2", retry_policy="OnError")
    return script(
        constructor="runner",
        image=IMAGE,
        image_pull_policy="IfNotPresent",
        service_account_name=ACCOUNTS[account],
        active_deadline_seconds=deadline_s,
        env=[*_EVERY, *_DEPLOYED, *(_STORE if store else ()), *env],
        resources=m.ResourceRequirements(
            requests=dict(STEP_REQUESTS),
            limits={"memory": memory},
        ),
        volumes=[EmptyDirVolume(name="tmp", mount_path="/tmp")],  # noqa: S108 - all else is read-only
        security_context=m.SecurityContext(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=m.Capabilities(drop=["ALL"]),
        ),
        **more,
    )
