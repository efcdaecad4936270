"""Who holds a cluster: a workflow, or a user at a machine."""

import getpass
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from pydantic import ConfigDict, Field

from analysis.console.excerpts import excerpt
from steps.cluster.kube.api.identity import WORKFLOW_NAME, WORKFLOW_UID
from steps.cluster.kube.ownership.snapshot import Label, ObjectName, Uid
from steps.lease import POD_NAME, POD_UID

_NODE_ID: Final = re.compile(r"(.+)-\d+")


@dataclass(frozen=True, slots=True)
class LockOwner:
    """The holder of a cluster: a workflow, by namespace, name and UID, or a user at a machine, `person`.

    Who puts a cluster back may also be the guard: its pod's namespace and UID, with `person` as its name.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    workflow: ObjectName | None
    namespace: Label | None
    person: Annotated[str, Field(max_length=300)] | None
    uid: Uid | None = None

    @property
    def is_guard(self) -> bool:
        """Whether it is a pod of the guard, which never holds a lock, but puts back what others left."""
        return self.workflow is None and self.uid is not None

    @property
    def is_person(self) -> bool:
        """Whether it is a user at a machine, of whom nobody knows whether they are still there."""
        return self.workflow is None and self.uid is None

    def __str__(self) -> str:
        return f"workflow {self.namespace}/{self.workflow}" if self.workflow else excerpt(self.person)


def current_owner(namespace: str, variables: Mapping[str, str] = os.environ) -> LockOwner:
    """The workflow that this process is a step of, the guard's pod that it runs in, or the user who started it."""
    if (pod := variables.get(POD_NAME)) and (uid := variables.get(POD_UID)):
        return LockOwner(None, namespace, f"guard {pod}", uid)
    node = variables.get("ARGO_NODE_ID", "")
    matched = _NODE_ID.fullmatch(node)
    if workflow := variables.get(WORKFLOW_NAME) or (matched[1] if matched else node):
        return LockOwner(workflow, namespace, None, variables.get(WORKFLOW_UID) or None)
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in many containers
        user = f"user {os.getuid()}"
    return LockOwner(None, None, f"{user}@{socket.gethostname()}")
