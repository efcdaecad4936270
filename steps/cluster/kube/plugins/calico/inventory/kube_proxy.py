"""kube-proxy: the mode in its configuration, whether it is parked, and which of its pods are outdated. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from analysis.errors import Problem
from steps.cluster.kube.api.encoding import FIELD_MANAGER
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import KUBE_PROXY
from steps.cluster.kube.config import text
from steps.cluster.kube.config.text import TextError

PARKING_KEY: Final = "non-calico"
"""The key of the node selector by which Calico's documentation parks kube-proxy: no node satisfies it."""

PARKING_VALUE: Final = "true"
PARKING_PATH: Final = ("spec", "template", "spec", "nodeSelector", PARKING_KEY)
OPERATORS_KEY: Final = "operator.tigera.io/disable-kube-proxy"
"""The key of the node selector by which Calico's operator parks kube-proxy, and the only one that it removes."""

MODES: Final = frozenset({"iptables", "ipvs", "nftables"})
DEFAULT_MODE: Final = "iptables"
"""kube-proxy's mode on Linux when none is configured."""

_KIND: Final = "KubeProxyConfiguration"
_MODE: Final = "mode"


def config_key(config_map: Object | None) -> str | None:
    """The key of a ConfigMap under which kube-proxy's configuration is stored; None: there is none."""
    data = ((config_map or {}).get("data") or {}).items()
    return next((str(key) for key, value in sorted(data) if is_configuration(str(value))), None)


def is_configuration(configuration: str) -> bool:
    """Whether a text is a configuration of kube-proxy, in JSON or in YAML, alone or among other documents."""
    return text.has(configuration, _KIND)


def mode(configuration: str) -> str | None:
    """The mode that a configuration sets; None where it is no configuration."""
    try:
        return text.get(configuration, _KIND, _MODE) or DEFAULT_MODE
    except TextError:
        return None


def with_mode(configuration: str, wanted: str) -> str:
    """The configuration with another mode; everything else in it stays, which is verified by parsing the result.

    Raises:
        Problem: it can't be parsed, or its mode can't be set without changing something else.
    """
    try:
        return text.put(configuration, _KIND, _MODE, wanted)
    except TextError as error:
        raise Problem(
            f"mode {wanted or DEFAULT_MODE} can't be set in kube-proxy's configuration: {error}. Correct it: "
            "`kubectl -n kube-system edit configmap kube-proxy`."
        ) from None


def restore_mode(original: str, current: str) -> str:
    """The original text, byte for byte, if the mode alone differs; else the current text with the original's mode.

    Raises:
        TextError: a text can't be parsed, or its mode can't be set without changing something else.
    """
    if current == original:
        return original
    if current == text.put(original, _KIND, _MODE, mode(current)):
        return original
    return text.put(current, _KIND, _MODE, text.get(original, _KIND, _MODE), like=original)


def is_parked(daemon_set: Object) -> bool:
    """Whether its node selector has the key by which a switch parks it, with any value: an empty one parks it too."""
    return PARKING_KEY in (daemon_set["spec"]["template"]["spec"].get("nodeSelector") or {})


def runs_nowhere(daemon_set: Object) -> bool:
    """Whether its node selector matches no node, whatever set it."""
    status = daemon_set.get("status") or {}
    return bool(status.get("desiredNumberScheduled", 0) == 0 and _observed(daemon_set))


def stays_off(daemon_set: Object, key: str, nodes: Iterable[Mapping[str, str]]) -> bool:
    """Whether it runs nowhere, and would run nowhere either without this key of its node selector.

    `key`: that is removed when kube-proxy is to run again. `nodes`: the labels of each.
    """
    selector: Mapping[str, str] = daemon_set["spec"]["template"]["spec"].get("nodeSelector") or {}
    rest = {name: value for name, value in selector.items() if name != key}
    comes_back = key in selector and any(rest.items() <= labels.items() for labels in nodes)
    return runs_nowhere(daemon_set) and not comes_back


def is_rolled_out(daemon_set: Object, away: int = 0) -> bool:
    """Whether its present version runs on every node that should run it, but for so many that are not ready."""
    status = daemon_set.get("status") or {}
    desired = status.get("desiredNumberScheduled", 0)
    fewest = min(status.get(name, 0) for name in ("updatedNumberScheduled", "numberAvailable", "numberReady"))
    return bool(_observed(daemon_set) and desired > 0 and fewest >= desired - away)


def selector(daemon_set: Object) -> str:
    """The label selector of its pods as a query parameter; never empty, which would select every pod."""
    own = daemon_set["spec"]["selector"]
    parts = [f"{key}={value}" for key, value in sorted((own.get("matchLabels") or {}).items())]
    parts += [_expression(each) for each in own.get("matchExpressions") or []]
    return ",".join(parts) or f"k8s-app={KUBE_PROXY}"


def written_at(found: Object | None) -> datetime | None:
    """When this program last changed the object, by the server's clock; None: never."""
    fields = ((found or {}).get("metadata") or {}).get("managedFields") or []
    times = [entry["time"] for entry in fields if entry.get("manager") == FIELD_MANAGER and entry.get("time")]
    return max(map(datetime.fromisoformat, times), default=None)


def stale_pods(pods: Iterable[Object], since: datetime | None) -> tuple[Object, ...]:
    """The pods created before the configuration changed or in the same second; none if `since` is None."""
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
