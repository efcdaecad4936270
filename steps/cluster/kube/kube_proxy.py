"""kube-proxy: in which mode its configuration puts it, whether it is parked, and which of its pods are old. Pure."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import yaml

Object = dict[str, Any]

PARKING_KEY: Final = "non-calico"
"""The node selector that no node satisfies, by which Calico's documentation parks kube-proxy."""

PARKING_VALUE: Final = "true"
PARKING_PATH: Final = ("spec", "template", "spec", "nodeSelector", PARKING_KEY)
DEFAULT_MODE: Final = "iptables"
"""What kube-proxy on Linux takes when no mode is given."""

_MODE_LINE: Final = re.compile(r"^mode:.*$", re.MULTILINE)


def config_key(config_map: Object | None) -> str | None:
    """Under which key of its ConfigMap kube-proxy's configuration lies; None where there is none."""
    for key, text in sorted(((config_map or {}).get("data") or {}).items()):
        if _parsed(text).get("kind") == "KubeProxyConfiguration":
            return str(key)
    return None


def mode(text: str | None) -> str | None:
    """The mode that a configuration asks for; None where there is no configuration."""
    if text is None:
        return None
    return str(_parsed(text).get("mode") or DEFAULT_MODE)


def with_mode(text: str, wanted: str) -> str:
    """The configuration with another mode; every other line stays as it is."""
    line = f"mode: {wanted}" if wanted else 'mode: ""'
    changed, count = _MODE_LINE.subn(line, text, count=1)
    return changed if count else text.rstrip("\n") + f"\n{line}\n"


def put_back(original: str, current: str) -> str:
    """The original text, or if somebody else edited it meanwhile, the present one with the original's mode."""
    ours = mode(current)
    if current == original or (ours is not None and current == with_mode(original, ours)):
        return original
    return with_mode(current, str(_parsed(original).get("mode") or ""))


def is_parked(daemon_set: Object) -> bool:
    """Whether its node selector keeps it off every node, in the way that we do it."""
    selector = daemon_set["spec"]["template"]["spec"].get("nodeSelector") or {}
    return bool(selector.get(PARKING_KEY) == PARKING_VALUE)


def stands_still(daemon_set: Object) -> bool:
    """Whether no node is meant to run it, whoever saw to that."""
    status = daemon_set.get("status") or {}
    return bool(status.get("desiredNumberScheduled", 0) == 0 and _observed(daemon_set))


def is_rolled_out(daemon_set: Object) -> bool:
    """Whether every node that should run it does, in its present version."""
    status = daemon_set.get("status") or {}
    desired = status.get("desiredNumberScheduled", 0)
    numbers = {status.get(name, 0) for name in ("updatedNumberScheduled", "numberAvailable", "numberReady")}
    return bool(_observed(daemon_set) and desired > 0 and numbers == {desired})


def selector(daemon_set: Object) -> str:
    """The label selector of its pods."""
    labels = daemon_set["spec"]["selector"].get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def written_at(found: Object | None, manager: str) -> datetime | None:
    """When this manager last changed a field of the object, by the server's clock; None if it never did."""
    fields = ((found or {}).get("metadata") or {}).get("managedFields") or []
    times = [entry["time"] for entry in fields if entry.get("manager") == manager and entry.get("time")]
    return max(map(datetime.fromisoformat, times), default=None)


def stale(pods: Iterable[Object], since: datetime | None) -> tuple[Object, ...]:
    """The pods that were made before the configuration changed, or in the same second; none if it never did."""
    if since is None:
        return ()
    return tuple(
        pod
        for pod in pods
        if datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) <= since
        and not pod["metadata"].get("deletionTimestamp")
    )


def _observed(daemon_set: Object) -> bool:
    status = daemon_set.get("status") or {}
    return bool(status.get("observedGeneration", 0) >= daemon_set["metadata"].get("generation", 0))


def _parsed(text: object) -> Object:
    try:
        found = yaml.safe_load(str(text))
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}
