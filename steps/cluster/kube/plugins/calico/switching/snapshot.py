"""The snapshot of a cluster from before a run, and the field values that it restores.

The snapshot is in a ConfigMap that others may be able to write. So it only provides values: which fields they are for
follows from the cluster itself, and a value that no switch could have found there is refused.
"""

from typing import Final

from analysis.errors import Problem
from steps.cluster.kube.api import nodes
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.fields import Field, FieldValues, Ref, Value
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import KUBE_SYSTEM, SERVICES_ENDPOINT, STATE
from steps.cluster.kube.config.text import TextError
from steps.cluster.kube.ownership import snapshot
from steps.cluster.kube.plugins.calico.inventory import kube_proxy
from steps.cluster.kube.plugins.calico.switching import fields
from steps.cluster.kube.plugins.calico.switching.cluster_state import ClusterState

LOCK_COMMAND: Final = f"kubectl -n {KUBE_SYSTEM} get configmap {STATE} -o yaml"
_GIVE_UP: Final = f"kubectl -n {KUBE_SYSTEM} delete configmap {STATE}"


def take_snapshot(client: Client, standing: ClusterState, asked_nodes: str) -> Object:
    """The snapshot of the present state."""
    chosen = nodes.choose_nodes(standing.facts.nodes, asked_nodes)
    return snapshot.take_snapshot(
        standing.objects,
        chosen,
        client.now(),
        dataplane=standing.facts.dataplane,
        kube_proxy_config_key=standing.facts.kube_proxy_config_key,
    )


def original_fields(standing: ClusterState, taken: Object) -> dict[Field, Value]:
    """The fields that a switch changes on this cluster, and their values in a snapshot.

    Raises:
        Problem: the snapshot has an object that no switch changes here, or lacks one that a switch changes; it has a
            value that no switch could have found; or a field can't be compared with its present value.
    """
    objects = snapshot.snapshot_objects(taken)
    standing = standing.as_taken(objects)
    changed = _snapshot_fields(standing, taken, objects)
    now = standing.lookup(objects)
    original, current = fields.state(objects, changed), fields.state(now, changed)
    for field, value in original.items():
        if fields.is_configuration(field):
            _check_configuration(field, value, current)
        elif field != fields.DIGEST and value != current[field] and not fields.may_have(field, value):
            raise _refusal(f"sets {field} to {fields.shown(value)}, which no switch could have found there")
    return {field: value if field != fields.DIGEST else None for field, value in original.items()}


def _snapshot_fields(standing: ClusterState, taken: Object, objects: dict[Ref, Object | None]) -> tuple[Field, ...]:
    facts = standing.facts
    key, key_then = facts.kube_proxy_config_key, taken.get("kube_proxy_config_key")
    changed = fields.restorable(facts, standing.install, key or key_then)
    permitted = dict.fromkeys((*(field.ref for field in changed), *((fields.PROXY_CONFIG,) if facts.group else ())))
    for ref in objects:
        if ref not in permitted:
            raise _refusal(f"has {ref} ({ref.resource.api_version}), which no switch changes on this cluster")
    for ref, found in standing.lookup(objects).items():
        if found is None and objects[ref] is not None and ref.name != SERVICES_ENDPOINT:
            raise Problem(
                f"{ref} is missing, which a switch changed, so nothing was restored, and the snapshot is kept. Create "
                f"it again, and repeat the restore; if it was removed for good, restore by hand what the snapshot "
                f"names (`{LOCK_COMMAND}`), and delete the snapshot: `{_GIVE_UP}`."
            )
    if fields.PROXY_CONFIG in objects and key is not None and key_then not in {None, key}:
        raise _refusal(f"names key {key_then} of {fields.PROXY_CONFIG}, and kube-proxy starts from key {key}")
    if fields.PROXY_CONFIG in objects and key is None and key_then is None:
        raise Problem(_unreadable(f"{fields.PROXY_CONFIG} has no configuration of kube-proxy"))
    optional = {fields.PROXY_CONFIG} if key_then is None or key is None else set()
    optional |= set() if facts.kube_proxy is not None and kube_proxy.is_parked(facts.kube_proxy) else {fields.PROXY}
    lacking = [str(ref) for ref in permitted if ref not in {*objects, *optional}]
    if lacking and (objects or facts.install is not None):
        raise _refusal(f"lacks {', '.join(lacking)}, which a switch changes on this cluster")
    return tuple(field for field in changed if field.ref in objects)


def _check_configuration(field: Field, value: Value, current: FieldValues) -> None:
    """Whether the text is known to be the original by its digest, or else its mode alone can be restored."""
    now = current[field]
    if isinstance(value, str) and current[fields.DIGEST] == fields.digest(field, value):
        return
    if not isinstance(value, str) or (value != now and not fields.may_have(field, value)):
        raise _refusal(f"has no configuration of kube-proxy with a known mode as {field}")
    try:
        kube_proxy.restore_mode(value, now if isinstance(now, str) else "")
    except TextError as error:
        raise Problem(_unreadable(f"kube-proxy's mode can't be restored in {field}: {error}")) from None


def _unreadable(reason: str) -> str:
    return (
        f"{reason}, so nothing was restored. Correct it (`kubectl -n {KUBE_SYSTEM} edit configmap kube-proxy`; the "
        f"text from before the run is in `{LOCK_COMMAND}`), and repeat the restore."
    )


def _refusal(what: str) -> Problem:
    return Problem(
        f"the snapshot in ConfigMap {KUBE_SYSTEM}/{STATE} {what}: another client may have written it, so nothing was "
        f"restored. Look into it (`{LOCK_COMMAND}`), restore by hand what a run changed, and delete it: `{_GIVE_UP}`."
    )
