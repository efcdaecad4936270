"""The environment variables by which a deployment, or a person, tells the steps about their surroundings.

On a cluster they come from a ConfigMap and a Secret beside the workflow, so that the submit form need not ask for what
is the same in every run; on one machine the command line gives them, or a person does.
"""

import os
from collections.abc import Mapping
from typing import Final

from analysis.errors import BadInput

ENVIRONMENT: Final = "BENCHMARK_ENVIRONMENT"
"""Under which name the figures are kept: lab, or the cluster's."""

RESULTS: Final = "BENCHMARK_RESULTS"
"""The store: a folder, file:// or s3://."""

IMAGE: Final = "BENCHMARK_IMAGE"
"""The image that holds this project's steps and iperf3."""

NAMESPACE: Final = "BENCHMARK_NAMESPACE"
"""Where the benchmark's own pods and Services live."""

NODES: Final = "BENCHMARK_NODES"
"""Two names, the client's first: the nodes that a person chose."""

OUTSIDE: Final = "BENCHMARK_OUTSIDE"
"""The node that the client outside runs on: one without a calico-node pod."""

ACCEPT: Final = "BENCHMARK_ACCEPT"
"""What a person takes upon themselves, separated by commas: gitops, environment."""

WORKFLOW_UID: Final = "BENCHMARK_WORKFLOW_UID"
"""On one machine: the uid of the run that a process in the lab's sandbox is about to make."""

NOTIFY_URL: Final = "BENCHMARK_NOTIFY_URL"
"""Where the verdict of each run is posted to as JSON; empty: nowhere."""

FROM_CONFIG_MAP: Final = (
    ENVIRONMENT,
    RESULTS,
    OUTSIDE,
    ACCEPT,
    NOTIFY_URL,
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)
"""What a deployment's ConfigMap may set in the steps' pods: never a variable that makes a program load other code."""

S3_KEYS: Final = {"AWS_ACCESS_KEY_ID": "accesskey", "AWS_SECRET_ACCESS_KEY": "secretkey"}
"""The store's credentials: each variable, and the key of a Secret that it comes from."""


def environment(variables: Mapping[str, str] = os.environ) -> str:
    """Under which name the figures are kept.

    Raises:
        BadInput: the deployment does not say.
    """
    return _told(ENVIRONMENT, variables)


def results(variables: Mapping[str, str] = os.environ) -> str:
    """Where the store is.

    Raises:
        BadInput: the deployment does not say.
    """
    return _told(RESULTS, variables)


def notify_url(variables: Mapping[str, str] = os.environ) -> str:
    """Where the verdict of a run is posted to; empty: nowhere."""
    return variables.get(NOTIFY_URL, "").strip()


def _told(variable: str, variables: Mapping[str, str]) -> str:
    value = variables.get(variable, "").strip()
    if not value:
        raise BadInput(
            f"{variable} is not set: deploy the workflow by `make deploy`, or give ConfigMap dataplane-benchmark in "
            "the workflow's namespace a key of that name."
        )
    return value
