"""Find the way to a cluster: from within one of its pods, or by a kubeconfig's context of the environment's name."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from analysis.errors import BadInput, Unfit
from steps.cluster.kube.client import Client
from steps.cluster.kube.transport import PATIENCE_S
from steps.variables import NAMESPACE

if TYPE_CHECKING:
    from kubernetes.client import Configuration

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
    if _inside(variables):
        return Client(_loaded(environment, None, None), _namespace(variables), environment, patience_s)
    file = _file(variables)
    with _spoken(environment):
        context = _context(environment, file)
    return Client(_loaded(environment, file, context), _namespace(variables), environment, patience_s)


def way_to(context: str, variables: Mapping[str, str] = os.environ) -> "tuple[Configuration, str]":
    """How to reach the cluster of a kubeconfig's context, and that context's name. Calls nothing.

    For a person who deploys or submits, as kubectl would: an empty name is the current context. Within a pod, unless a
    kubeconfig is named, it is the pod's own cluster, and the name is empty.

    Raises:
        BadInput: there is no such context.
        Unfit: there is no kubeconfig, or it can't be read.
    """
    if _inside(variables):
        return _loaded("this pod's cluster", None, None), ""
    file = _file(variables)
    with _spoken(context or "the current context"):
        from kubernetes.config import list_kube_config_contexts  # noqa: PLC0415

        contexts, current = list_kube_config_contexts(config_file=file)  # type: ignore[no-untyped-call]
        names = [str(each["name"]) for each in contexts]
        chosen = context or str(current["name"])
    if chosen not in names:
        raise BadInput(f"the kubeconfig {file} has no context {chosen!r}: it has {', '.join(sorted(names)) or 'none'}.")
    return _loaded(chosen, file, chosen), chosen


def _inside(variables: Mapping[str, str]) -> bool:
    return "KUBERNETES_SERVICE_HOST" in variables and "KUBECONFIG" not in variables


def _file(variables: Mapping[str, str]) -> str:
    return variables.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())


def _loaded(who: str, file: str | None, context: str | None) -> "Configuration":
    from kubernetes.client import Configuration  # noqa: PLC0415 - half a second, for those who connect
    from kubernetes.config import load_incluster_config, load_kube_config  # noqa: PLC0415

    configuration = Configuration()
    with _spoken(who):
        if file is None:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            load_kube_config(config_file=file, context=context, client_configuration=configuration)  # type: ignore[no-untyped-call]
    return configuration


@contextmanager
def _spoken(who: str) -> Iterator[None]:
    """Turn what the kubeconfig's reader raises into a sentence."""
    from kubernetes.config import ConfigException  # noqa: PLC0415

    try:
        yield
    except ConfigException as error:
        raise Unfit(
            f"environment {who!r}: there is no way to a cluster ({error}): set KUBECONFIG to a kubeconfig "
            f"with a context of that name."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        told = " ".join(str(error).split())
        raise Unfit(f"environment {who!r}: the kubeconfig can't be read: {told}.") from None


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
