"""The guard's CronJob, of Kubernetes itself: Argo's controller may be what died."""

from typing import Final

from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.workloads.manifests import LABEL, NAME, NAMED, STEP_REQUESTS
from steps.cluster.kube.workloads.mesh import OPT_OUT_ANNOTATIONS, OPT_OUT_LABELS
from steps.lease import PART, POD_NAME, POD_UID
from steps.settings import environment
from steps.tasks.guard import MINUTES, PUSHGATEWAY
from steps.tasks.notify import SECRET
from steps.tasks.shared.pod import ACCOUNTS, CONFIG_MAP, IMAGE, NODE_NETWORK, SWITCH_DEADLINE_S
from workflows.template.scripts import unprivileged

CRON_JOB: Final = "dataplane-benchmark-guard"
COMMAND: Final = ("python", "-m", "steps.tasks.guard")
MINUTES_BETWEEN: Final = 1

_DEADLINE_S: Final = 1800 + SWITCH_DEADLINE_S
"""Of a pod: its stay with a run, half an hour, and the longest restore with its proof."""

_LATEST_START_S: Final = 50
"""After this, the next one is due. It also keeps the controller from counting what it missed behind a long stay."""

_AWAY_S: Final = 20
"""How long a pod stays on a node that doesn't answer, until another one elsewhere replaces it."""


def schedule(minutes: int) -> str:
    """Every so many minutes, as cron writes it."""
    return "* * * * *" if minutes == 1 else f"*/{minutes} * * * *"


def build_guard() -> Object:
    """The CronJob object."""
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": CRON_JOB},
        "spec": {
            "schedule": schedule(MINUTES_BETWEEN),
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": _LATEST_START_S,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "spec": {
                    "backoffLimit": 2,
                    "activeDeadlineSeconds": _DEADLINE_S,
                    "ttlSecondsAfterFinished": 3600,
                    "template": {"metadata": _metadata(), "spec": _pod()},
                }
            },
        },
    }


def _metadata() -> Object:
    labels = {**OPT_OUT_LABELS, NAME: NAMED, LABEL: PART}
    return {"labels": labels, "annotations": dict(OPT_OUT_ANNOTATIONS)}


def _pod() -> Object:
    away = [
        {
            "key": f"node.kubernetes.io/{taint}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": _AWAY_S,
        }
        for taint in ("not-ready", "unreachable")
    ]
    # a node whose network a half-made switch broke is one that the guard is to put back
    network = {"key": "node.kubernetes.io/network-unavailable", "operator": "Exists", "effect": "NoSchedule"}
    control_plane = {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}
    return {
        "serviceAccountName": ACCOUNTS["switch"],
        **NODE_NETWORK,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 5,
        "enableServiceLinks": False,
        "tolerations": [*away, network, control_plane],
        "securityContext": unprivileged().model_dump(by_alias=True, exclude_none=True),
        "containers": [
            {
                "name": PART,
                "image": IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "command": list(COMMAND),
                "env": _variables(),
                "resources": {"requests": dict(STEP_REQUESTS), "limits": {"memory": "256Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - all else is read-only
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }


def _variables() -> list[Object]:
    fields = {POD_NAME: "metadata.name", POD_UID: "metadata.uid"}
    settings = (
        environment.ENVIRONMENT,
        environment.CONTEXT,
        environment.NOTIFY_URL,
        environment.API_SERVERS,
        PUSHGATEWAY,
        MINUTES,
    )
    secret = {"name": SECRET, "key": "url", "optional": True}
    return [
        {"name": environment.IMAGE, "value": IMAGE},
        {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
        *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()),
        *(
            {"name": name, "valueFrom": {"configMapKeyRef": {"name": CONFIG_MAP, "key": name, "optional": True}}}
            for name in settings
        ),
        {"name": environment.NOTIFY_URL_OF_SECRET, "valueFrom": {"secretKeyRef": secret}},
    ]
