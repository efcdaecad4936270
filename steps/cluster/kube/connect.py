"""Find the way to a cluster: from within one of its pods, or by a kubeconfig's context of the environment's name."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from analysis.errors import BadInput, Unfit
from steps.cluster.kube.client import Client
from steps.cluster.kube.transport import PATIENCE_S
from steps.variables import NAMESPACE

_OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
DEFAULT_NAMESPACE: Final = "argo"
"""Where Argo's own quick start runs workflows."""

_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def connect(environment: str, variables: Mapping[str, str] = os.environ, patience_s: float = PATIENCE_S) -> Client:
    """A client for the cluster that the environment is the name of. Calls nothing.

    Within a pod it is the pod's own cluster, whatever the name. Elsewhere a kubeconfig must have a context or a cluster
    of that name: the current context is not guessed at, since the wrong cluster would be switched.

    Raises:
        BadInput: no context has that name.
        Unfit: there is no kubeconfig, or it can't be read.
    """
    from kubernetes.client import Configuration  # noqa: PLC0415 - half a second, for those who connect
    from kubernetes.config import ConfigException, load_incluster_config, load_kube_config  # noqa: PLC0415

    configuration = Configuration()
    namespace = _namespace(variables)
    try:
        if "KUBERNETES_SERVICE_HOST" in variables and "KUBECONFIG" not in variables:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            return Client(configuration, namespace, environment, patience_s)
        file = variables.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
        context = _context(environment, file)
        load_kube_config(config_file=file, context=context, client_configuration=configuration)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise Unfit(
            f"environment {environment!r}: there is no way to a cluster ({error}): set KUBECONFIG to a kubeconfig "
            f"with a context of that name."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        told = " ".join(str(error).split())
        raise Unfit(f"environment {environment!r}: the kubeconfig can't be read: {told}.") from None
    return Client(configuration, namespace, environment, patience_s)


def _context(environment: str, file: str) -> str:
    from kubernetes.config import list_kube_config_contexts  # noqa: PLC0415

    contexts, _current = list_kube_config_contexts(config_file=file)  # type: ignore[no-untyped-call]
    by_name = [c["name"] for c in contexts if c["name"] == environment]
    by_cluster = [c["name"] for c in contexts if c.get("context", {}).get("cluster") == environment]
    if found := by_name or by_cluster:
        return str(found[0])
    names = ", ".join(sorted(c["name"] for c in contexts)) or "none"
    raise BadInput(
        f"environment {environment!r} is neither the lab nor a context of the kubeconfig: it has {names}. "
        "Name the context of the cluster that is to be measured."
    )


def _namespace(variables: Mapping[str, str]) -> str:
    name = variables.get(NAMESPACE, "").strip()
    if not name and _OWN_NAMESPACE.exists():
        name = _OWN_NAMESPACE.read_text(encoding="ascii").strip()
    name = name or DEFAULT_NAMESPACE
    if _NAMESPACE.fullmatch(name) is None:
        raise BadInput(f"{NAMESPACE} is {name!r}, which is no namespace's name: use a-z, 0-9 and -.")
    return name
