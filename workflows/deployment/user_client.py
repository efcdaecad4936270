"""A cluster's API for the user who deploys and submits: with that user's rights, outside the steps' permissions."""

import copy
import os
import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal, Self
from urllib.parse import urlencode

from analysis.errors import BadInput, Problem
from steps.cluster.kube.api import permissions, watch
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.connect import find_access
from steps.cluster.kube.api.errors import ConflictError
from steps.cluster.kube.api.objects import Object, resource_version
from steps.cluster.kube.api.permissions import Resource
from steps.cluster.kube.api.transport import ApiTransport
from steps.cluster.kube.workloads.manifests import LABEL, NAME, NAMED
from steps.lease import DEPLOYED_PART
from steps.settings.environment import THIS_CLUSTER

ApplyOutcome = Literal["created", "changed", "unchanged"]

MANAGER: Final = "dataplane-benchmark-deploy"
"""The field manager of server-side apply."""

APPLY: Final = "application/apply-patch+yaml"
PATIENCE_S: Final = 15.0
"""For how long an unreachable API server is retried, in seconds: a user waits, and nothing switches the network."""

_RBAC: Final = "rbac.authorization.k8s.io"
_ARGO: Final = "argoproj.io"
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
WORKFLOW_TEMPLATES: Final = Resource(_ARGO, "v1alpha1", "workflowtemplates", "WorkflowTemplate")
CRON_WORKFLOWS: Final = Resource(_ARGO, "v1alpha1", "cronworkflows", "CronWorkflow")
CRON_JOBS: Final = Resource("batch", "v1", "cronjobs", "CronJob")
ROLE_BINDINGS: Final = Resource(_RBAC, "v1", "rolebindings", "RoleBinding")
ROLES: Final = Resource(_RBAC, "v1", "roles", "Role")
CLUSTER_ROLE_BINDINGS: Final = Resource(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding")

_ADMISSION: Final = "admissionregistration.k8s.io"
POLICIES: Final = Resource(_ADMISSION, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy")
POLICY_BINDINGS: Final = Resource(
    _ADMISSION, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"
)

PART: Final = DEPLOYED_PART
"""The value of the label LABEL on everything that a deployment creates."""

SELECTOR: Final = f"{NAME}={NAMED},{LABEL}={PART}"

BEGINNINGS: Final = (CRON_WORKFLOWS, WORKFLOW_TEMPLATES)
"""The kinds by which a run begins: without them none does any more."""

DEPLOYED: Final = (
    *BEGINNINGS,
    CRON_JOBS,
    POLICY_BINDINGS,
    POLICIES,
    permissions.CONFIGMAPS,
    CLUSTER_ROLE_BINDINGS,
    Resource(_RBAC, "v1", "clusterroles", "ClusterRole"),
    ROLE_BINDINGS,
    ROLES,
    Resource("", "v1", "serviceaccounts", "ServiceAccount"),
    SECRETS,
    NAMESPACES,
)
"""Every kind that a deployment creates, in the order in which they are deleted.

The guard goes after all that could still switch the cluster, and before the rights by which it puts it back.
"""

ELSEWHERE: Final = (ROLE_BINDINGS, ROLES)
"""Of these, the kinds that a deployment also creates in namespaces of the cluster's, such as kube-system."""

BY_KIND: Final = {resource.kind: resource for resource in DEPLOYED}
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class UserClient(Client):
    """The client without the table of permissions: the API server alone decides what the user may do."""

    @classmethod
    def of(
        cls,
        context: str,
        namespace: str,
        variables: Mapping[str, str] = os.environ,
        *,
        patience_s: float = PATIENCE_S,
    ) -> Self:
        """The user of a context of the kubeconfig; an empty context is the current one.

        Raises:
            BadInput: there is no such context, or the namespace's name is invalid.
            Unsupported: there is no kubeconfig, or it can't be read.
        """
        if _NAME.fullmatch(namespace) is None:
            raise BadInput(f"NAMESPACE is {namespace!r}, which is no namespace's name: use a-z, 0-9 and -.")
        way = find_access(context, variables)
        return cls(ApiTransport(way, way.context or THIS_CLUSTER, patience_s, at_prompt=True), namespace)

    def patient(self, patience_s: float) -> Self:
        """The same user, already logged in, with more patience."""
        other = copy.copy(self)
        other._transport = self._transport.patient(patience_s)  # noqa: SLF001 - a copy of this very object
        return other

    def _permit(self, verb: str, resource: Resource, namespace: str | None, name: str, subresource: str) -> None:
        """The API server decides."""

    def serves(self, resource: Resource) -> bool:
        """Whether this API server has the kind, in this version."""
        found = self._json("GET", f"/apis/{resource.api_version}", f"API group {resource.api_version}", missing=True)
        return any(each.get("name") == resource.plural for each in (found or {}).get("resources") or [])

    def apply(self, wanted: Object, *, force: bool) -> ApplyOutcome:
        """Server-side apply.

        `force`: take over fields that another manager has set to another value.

        Raises:
            Problem: another manager has set them, and `force` is false.
        """
        resource, metadata = BY_KIND[wanted["kind"]], wanted["metadata"]
        name, namespace = metadata["name"], metadata.get("namespace")
        before = self.get(resource, name, namespace)
        query = {"fieldManager": MANAGER, "force": str(force).lower()}
        path = f"{self._path(resource, namespace, name)}?{urlencode(query)}"
        try:
            after = self._must("PATCH", path, f"{resource.kind} {name}", wanted, content=APPLY)
        except ConflictError as conflict:
            raise Problem(
                f"{conflict} Keep that value and do not deploy, or overwrite it: `{self.make('deploy', FORCE='true')} "
                "...` with the other flags."
            ) from None
        if before is None:
            return "created"
        return "unchanged" if _content(before) == _content(after) else "changed"

    def follow(self, resource: Resource, name: str, namespace: str) -> Iterator[Object]:
        """An object now and after each change, until it is deleted.

        Raises:
            Problem: the API server can't be reached for longer than this client's patience.
        """

        def current() -> tuple[list[Object], str]:
            # not a list, so that permission to get and watch this object suffices
            found = self.get(resource, name, namespace)
            return ([], "") if found is None else ([found], resource_version(found))

        def events(version: str, seconds: int) -> Iterator[Object]:
            return self._watch(resource, namespace, version, seconds, fieldSelector=f"metadata.name={name}")

        for found in watch.changes(current, events):
            if not found:
                return
            yield found[0]


def is_deployed(found: Object) -> bool:
    """Whether a deployment created an object, rather than the user."""
    return bool((found["metadata"].get("labels") or {}).get(LABEL) == PART)


def build_secret(namespace: str, name: str, data: Mapping[str, str]) -> Object:
    """A Secret of a deployment; its values are in Base64."""
    metadata = {"name": name, "namespace": namespace, "labels": {NAME: NAMED, LABEL: PART}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": dict(data)}


def object_name(found: Object) -> str:
    """An object as messages show it: `ConfigMap argo/dataplane-benchmark`."""
    metadata = found["metadata"]
    return f"{found['kind']} " + "/".join(part for part in (metadata.get("namespace"), metadata["name"]) if part)


def _content(found: Object) -> Object:
    """An object without the API server's notes of who set what, and when: these change where nothing else does."""
    noted = {"managedFields", "resourceVersion"}
    return {**found, "metadata": {key: value for key, value in found["metadata"].items() if key not in noted}}
