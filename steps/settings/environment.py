"""The environment variables that configure the steps of every run.

On a cluster they come from the deployment's ConfigMap and Secret, on one machine from the command line or the user.
"""

import os
import re
import shlex
from collections.abc import Mapping
from typing import Final

from analysis.errors import BadInput
from steps import lease

ENVIRONMENT: Final = "BENCHMARK_ENVIRONMENT"
"""The name under which the figures are stored: lab, or the cluster's."""

RESULTS: Final = "BENCHMARK_RESULTS"
"""The store: a folder, file:// or s3://."""

IMAGE: Final = "BENCHMARK_IMAGE"
"""The image that holds this project's steps and iperf3."""

CONTEXT: Final = "BENCHMARK_CONTEXT"
"""The kubeconfig's context by which the benchmark was deployed, for the commands that messages name."""

THIS_CLUSTER: Final = "this cluster"
"""What messages call a cluster that has neither name."""

NAMESPACE: Final = "BENCHMARK_NAMESPACE"
"""Where the benchmark's own pods and Services live."""

NODES: Final = "BENCHMARK_NODES"
"""The two nodes that the user chose: CLIENT,SERVER."""

OUTSIDE: Final = "BENCHMARK_OUTSIDE"
"""The node of the client outside: one without a calico-node pod."""

ACCEPT: Final = "BENCHMARK_ACCEPT"
"""What the user answers for, separated by commas: words of ACCEPTED."""

GITOPS: Final = "gitops"
UNREAD: Final = "environment"
ACCEPTED: Final = {
    GITOPS: "the tool that keeps Calico's objects is paused during runs",
    UNREAD: "no variable that can't be read sets calico-node's dataplane",
}
"""Every word that ACCEPT may have, and what the user answers for by it."""

API_SERVERS: Final = lease.API_SERVERS
"""The API server's own addresses."""

WORKFLOW_UID: Final = "BENCHMARK_WORKFLOW_UID"
"""On one machine: the uid of the run that a process in the lab's sandbox is starting."""

NOTIFY_URL: Final = "BENCHMARK_NOTIFY_URL"
"""Where each run's verdict is posted as JSON; empty: nowhere."""

NOTIFY_URL_OF_SECRET: Final = "BENCHMARK_NOTIFY_URL_OF_SECRET"  # noqa: S105 - its name
"""Likewise, from a Secret; where it is set, it is used and NOTIFY_URL is not."""

SITE: Final = "BENCHMARK_SITE"
"""Where each run brings the site of the whole store up to date: BESIDE, or an s3:// address; empty: nowhere."""

BESIDE: Final = "beside"
"""In the store, beside the reports."""

DEPLOY_AGAIN: Final = "deploy again with the flags of the first time, `make deploy IMAGE=... ...`"
"""The remedy where something of the deployment is missing: without its flags it loses its settings."""

_BEGINS: Final = r"(?P<before>^|`|\| )"
"""The beginning of a command in a sentence, or of one in a line of its own."""

_CALLED: Final = re.compile(rf"{_BEGINS}(?P<program>kubectl|oc|argo) (?!--context )", re.MULTILINE)
_MADE: Final = re.compile(rf"{_BEGINS}make (?P<verb>deploy|submit|undeploy)\b(?! CONTEXT=)", re.MULTILINE)
"""The verbs that find their cluster by CONTEXT."""

FROM_CONFIG_MAP: Final = (
    ENVIRONMENT,
    CONTEXT,
    RESULTS,
    OUTSIDE,
    ACCEPT,
    API_SERVERS,
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)
"""What a deployment's ConfigMap may set in the steps' pods: never a variable that makes a program load other code."""

S3_KEYS: Final = {"AWS_ACCESS_KEY_ID": "accesskey", "AWS_SECRET_ACCESS_KEY": "secretkey"}
"""The store's credentials: each variable, and the key of a Secret that it comes from."""


def environment(variables: Mapping[str, str] = os.environ) -> str:
    """The name under which the figures are stored.

    Raises:
        BadInput: the variable is not set.
    """
    return _required(ENVIRONMENT, variables)


def results(variables: Mapping[str, str] = os.environ) -> str:
    """The store's location.

    Raises:
        BadInput: the variable is not set.
    """
    return _required(RESULTS, variables)


def context(variables: Mapping[str, str] = os.environ) -> str:
    """The kubeconfig's context of the cluster under test; the environment's name where the deployment names none.

    Raises:
        BadInput: neither variable is set.
    """
    return variables.get(CONTEXT, "").strip() or environment(variables)


def name_for_messages(variables: Mapping[str, str]) -> str:
    """What messages call the cluster: the environment's name, else the context; without either, this cluster."""
    return variables.get(ENVIRONMENT, "").strip() or variables.get(CONTEXT, "").strip() or THIS_CLUSTER


def restore_command(context: str) -> str:
    """What a user types to put back the cluster of this context; THIS_CLUSTER: of one that the user has to name."""
    return f"make restore ENVIRONMENT={'...' if context == THIS_CLUSTER else shlex.quote(context)}"


def with_context(text: str, context: str) -> str:
    """The text with this context in its commands for a cluster; as it is if the context is unknown, so empty."""
    if not context:
        return text
    text = _CALLED.sub(lambda found: f"{found['before']}{in_context(found['program'], context)} ", text)
    return _MADE.sub(lambda found: f"{found['before']}{make_command(found['verb'], context)}", text)


def in_context(program: str, context: str) -> str:
    """The beginning of a command of kubectl, oc or argo for the cluster of this context, if it is known."""
    return f"{program} --context {shlex.quote(context)}" if context else program


def make_command(verb: str, context: str, **variables: str) -> str:
    """What a user types for a verb on the cluster of this context, if it is known; empty variables are left out."""
    given = {"CONTEXT": context, **variables}
    return " ".join([f"make {verb}", *(f"{name}={shlex.quote(value)}" for name, value in given.items() if value)])


def notify_url(variables: Mapping[str, str] = os.environ) -> str:
    """Where a run's verdict is posted; empty: nowhere."""
    return variables.get(NOTIFY_URL_OF_SECRET, "").strip() or variables.get(NOTIFY_URL, "").strip()


def _required(variable: str, variables: Mapping[str, str]) -> str:
    value = variables.get(variable, "").strip()
    if not value:
        raise BadInput(
            f"{variable} is not set: {DEPLOY_AGAIN}, or give ConfigMap dataplane-benchmark in the workflow's namespace "
            "a key of that name."
        )
    return value
