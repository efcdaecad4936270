"""Clients for a cluster: by the service account of a pod, or by a kubeconfig's context of the environment's name."""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from analysis.errors import BadInput, Unsupported
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.credentials import kubeconfig
from steps.cluster.kube.api.credentials.login import log_in
from steps.cluster.kube.api.identity import WORKFLOW_NAME, WORKFLOW_UID, Identity
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import WORKFLOWS
from steps.cluster.kube.api.transport import ApiTransport, ClusterAccess
from steps.lease import own_addresses
from steps.settings.environment import CONTEXT, DEPLOY_AGAIN, NAMESPACE

_OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def connect(environment: str, variables: Mapping[str, str] = os.environ, *, at_prompt: bool = False) -> Client:
    """A client for the cluster that the environment names. Makes no call.

    In a pod this is always the pod's own cluster. Elsewhere a kubeconfig must have a context or a cluster of that name:
    the current context is never the default, since the wrong cluster would be switched.

    Raises:
        BadInput: no context has that name, or the benchmark's namespace is unknown.
        Unsupported: there is no kubeconfig, or it can't be used.
    """
    if _in_pod(variables):
        others = tuple(f"https://{address}" for address in own_addresses(variables))
        access = replace(_by_service_account(variables.get(CONTEXT, "").strip()), others=others)
    else:
        try:
            found = kubeconfig.read_kubeconfigs(variables)
            access = _in_context(found, found.context_of(environment))
        except Unsupported as problem:
            raise Unsupported(f"environment {environment!r}: {problem}") from None
    namespace = _namespace(environment, variables)
    transport = ApiTransport(access, environment, at_prompt=at_prompt)
    return Client(transport, namespace, _owner_reference(namespace, variables))


def find_access(context: str, variables: Mapping[str, str] = os.environ) -> ClusterAccess:
    """How to reach the cluster of a kubeconfig's context. Makes no call.

    As in kubectl, an empty name is the current context. In a pod without KUBECONFIG this is the pod's own cluster.

    Raises:
        BadInput: there is no such context.
        Unsupported: there is no kubeconfig, or it can't be used.
    """
    return _by_service_account() if _in_pod(variables) else _in_context(kubeconfig.read_kubeconfigs(variables), context)


def _in_context(found: kubeconfig.Kubeconfig, context: str) -> ClusterAccess:
    chosen = found.choose(context)
    configuration, login = log_in(found, chosen)
    return ClusterAccess(configuration, login, chosen.name)


def _in_pod(variables: Mapping[str, str]) -> bool:
    return "KUBERNETES_SERVICE_HOST" in variables and "KUBECONFIG" not in variables


def _by_service_account(context: str = "") -> ClusterAccess:
    from kubernetes.client import Configuration  # noqa: PLC0415 - half a second, for those who connect
    from kubernetes.config import ConfigException, load_incluster_config  # noqa: PLC0415

    configuration = Configuration()
    try:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError, ValueError) as error:
        raise Unsupported(
            f"there is no way to this pod's cluster: {str(error).rstrip('.')}: give the pod a service account, or set "
            "KUBECONFIG."
        ) from None
    login = Identity("this pod's service account", DEPLOY_AGAIN)
    return ClusterAccess(configuration, login, context)


def _owner_reference(namespace: str, variables: Mapping[str, str]) -> Object | None:
    """To the workflow of this step, if it is in this namespace.

    Kubernetes deletes an object at once whose owner is not in the object's own namespace.
    """
    name, uid = variables.get(WORKFLOW_NAME), variables.get(WORKFLOW_UID)
    if not (name and uid and _own_namespace() == namespace):
        return None
    return {"apiVersion": WORKFLOWS.api_version, "kind": WORKFLOWS.kind, "name": name, "uid": uid}


def _own_namespace() -> str:
    """The namespace of the pod that this runs in; empty elsewhere."""
    return _OWN_NAMESPACE.read_text(encoding="ascii").strip() if _OWN_NAMESPACE.exists() else ""


def _namespace(environment: str, variables: Mapping[str, str]) -> str:
    name = variables.get(NAMESPACE, "").strip() or _own_namespace()
    if not name:  # a guess would look for workflows, and leave pods, where the deployment is not
        raise BadInput(
            f"environment {environment!r}: the benchmark's namespace is unknown, since no deployment of it was found "
            f"that these credentials may read: name it by NAMESPACE=... for make, or by the variable {NAMESPACE}."
        )
    if _NAMESPACE.fullmatch(name) is None:
        raise BadInput(f"{NAMESPACE} is {name!r}, which is no namespace's name: use a-z, 0-9 and -.")
    return name
