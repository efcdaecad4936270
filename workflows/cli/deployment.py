"""The verbs deploy, submit and undeploy."""

from typing import Annotated

from cyclopts import Parameter

from workflows.deployment import deploy as deploying
from workflows.deployment import undeploy as undeploying
from workflows.flags.common import ContextFlag, flag
from workflows.flags.deploy import DeployFlags
from workflows.flags.run import SubmitFlags
from workflows.submission import submit as submitting

Deployed = Annotated[str, flag("Where the benchmark must be deployed; wherever it is if empty.")]


def deploy(flags: Annotated[DeployFlags | None, Parameter(name="*")] = None) -> int:
    """Deploy to a cluster."""
    return deploying.deploy(flags or DeployFlags())


def submit(flags: SubmitFlags | None = None) -> int:
    """Start a run on a cluster."""
    return submitting.submit(flags or SubmitFlags())


def undeploy(*, context: ContextFlag = "", namespace: Deployed = "") -> int:
    """Delete what was deployed."""
    return undeploying.undeploy(context, namespace)
