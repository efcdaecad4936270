"""kube-proxy: in which mode its configuration puts it, whether it is parked, and which of its pods are old. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from analysis.errors import Problem
from steps.cluster.kube.api.permissions import KUBE_PROXY
from steps.cluster.kube.config import text
from steps.cluster.kube.config.text import TextError

Object = dict[str, Any]

PARKING_KEY: Final = "non-calico"
"""The node selector that no node satisfies, by which Calico's documentation parks kube-proxy."""

PARKING_VALUE: Final = "true"
PARKING_PATH: Final = ("spec", "template", "spec", "nodeSelector", PARKING_KEY)
DEFAULT_MODE: Final = "iptables"
"""What kube-proxy on Linux takes when no mode is given."""

_KIND: Final = "KubeProxyConfiguration"
_MODE: Final = "mode"


def config_key(config_map: Object | None) -> str | None:
    """Under which key of its ConfigMap kube-proxy's configuration lies; None where there is none."""
    for key, held in sorted(((config_map or {}).get("data") or {}).items()):
        if is_configuration(str(held)):
            return str(key)
    return None


def is_configuration(configuration: str) -> bool:
    """Whether a text is a configuration of kube-proxy, in JSON or in YAML, alone or among other documents."""
    return text.has(configuration, _KIND)


def mode(configuration: str | None) -> str | None:
    """The mode that a configuration asks for; None where there is no configuration."""
    if configuration is None or not is_configuration(configuration):
        return None
    return text.get(configuration, _KIND, _MODE) or DEFAULT_MODE


def with_mode(configuration: str, wanted: str) -> str:
    """The configuration with another mode. Everything else in it stays, and was parsed again to see that it does.

    Raises:
        Problem: it can't be parsed, or its mode can't be set alone.
    """
    try:
        return text.put(configuration, _KIND, _MODE, wanted)
    except TextError as error:
        raise Problem(
            f"kube-proxy's configuration can't be given mode {wanted or DEFAULT_MODE}: {error}. Correct it: "
            "`kubectl -n kube-system edit configmap kube-proxy`."
        ) from None


def restore_mode(original: str, current: str) -> str:
    """The original text, byte for byte; if somebody else edited it meanwhile, theirs with the original's mode.

    A text that can't be parsed is nobody's configuration: kube-proxy can't start by it, so the original replaces it.
    """
    ours = mode(current)
    if ours is None or current == original:
        return original
    try:
        if current == text.put(original, _KIND, _MODE, ours):
            return original
        return text.put(current, _KIND, _MODE, text.get(original, _KIND, _MODE), like=original)
    except TextError:
        return original


def is_parked(daemon_set: Object) -> bool:
    """Whether its node selector keeps it off every node, in the way that we do it."""
    selector = daemon_set["spec"]["template"]["spec"].get("nodeSelector") or {}
    return bool(selector.get(PARKING_KEY) == PARKING_VALUE)


def stands_still(daemon_set: Object) -> bool:
    """Whether its node selector keeps it from every node, no matter who set that."""
    status = daemon_set.get("status") or {}
    return bool(status.get("desiredNumberScheduled", 0) == 0 and _observed(daemon_set))


def is_rolled_out(daemon_set: Object) -> bool:
    """Whether every node that should run it does, in its present version."""
    status = daemon_set.get("status") or {}
    desired = status.get("desiredNumberScheduled", 0)
    numbers = {status.get(name, 0) for name in ("updatedNumberScheduled", "numberAvailable", "numberReady")}
    return bool(_observed(daemon_set) and desired > 0 and numbers == {desired})


def selector(daemon_set: Object) -> str:
    """The label selector of its pods, as a query has it; never empty, for that would be every pod there is."""
    own = daemon_set["spec"]["selector"]
    parts = [f"{key}={value}" for key, value in sorted((own.get("matchLabels") or {}).items())]
    parts += [_expression(each) for each in own.get("matchExpressions") or []]
    return ",".join(parts) or f"k8s-app={KUBE_PROXY}"


def written_at(found: Object | None, manager: str) -> datetime | None:
    """When this manager last changed a field of the object, by the server's clock; None if it never did."""
    fields = ((found or {}).get("metadata") or {}).get("managedFields") or []
    times = [entry["time"] for entry in fields if entry.get("manager") == manager and entry.get("time")]
    return max(map(datetime.fromisoformat, times), default=None)


def stale_pods(pods: Iterable[Object], since: datetime | None) -> tuple[Object, ...]:
    """The pods that were made before the configuration changed, or in the same second; none if it never did."""
    if since is None:
        return ()
    return tuple(
        pod
        for pod in pods
        if datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) <= since
        and not pod["metadata"].get("deletionTimestamp")
    )


def _expression(expression: Object) -> str:
    key, operator = expression["key"], expression["operator"]
    values = ",".join(expression.get("values") or [])
    return {
        "In": f"{key} in ({values})",
        "NotIn": f"{key} notin ({values})",
        "DoesNotExist": f"!{key}",
    }.get(operator, str(key))


def _observed(daemon_set: Object) -> bool:
    status = daemon_set.get("status") or {}
    return bool(status.get("observedGeneration", 0) >= daemon_set["metadata"].get("generation", 0))
