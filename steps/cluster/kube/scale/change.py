"""Making, changing and removing the objects of a cluster's scale. Every call may be repeated, also after a kill.

What is there is read first, and only the difference is written: whole batches are removed in one call. The objects
belong to the workflow that created them, so that Kubernetes deletes them with it; those of another are replaced.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from analysis.errors import Problem
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ApiError
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK, ENDPOINTSLICES, NETWORK_POLICIES, SERVICES, Resource
from steps.cluster.kube.scale import objects
from steps.cluster.kube.scale.api_load import REMOVED_AT_ONCE, ApiLoad, in_parallel, recorded
from steps.cluster.kube.scale.objects import Quantity
from steps.cluster.kube.workloads import owned

_KINDS: Final = (SERVICES, ENDPOINTSLICES, NETWORK_POLICIES)


def change(client: Client, wanted: Quantity, version: int) -> ApiLoad:
    """Make the cluster's objects those of a scale. `version`: of IP, of the Services.

    Raises:
        Problem: the cluster has no addresses for so many Services, or a call failed.
    """
    with recorded(client) as load:
        found = {kind: client.metadata(kind, BENCHMARK, labels=objects.SELECTOR) for kind in _KINDS}
        if not all(owned.is_own(client, each) for kind in _KINDS for each in found[kind]):
            _remove_all(client, load, objects.SELECTOR)  # they would be deleted with the workflow that made them
            found = {kind: [] for kind in _KINDS}
        there = {kind: _batches(found[kind]) for kind in _KINDS}
        names = _names(wanted)
        removals = [each for kind in _KINDS for each in _removals(client, kind, there[kind], names[kind])]
        in_parallel(load, removals, REMOVED_AT_ONCE)
        if not wanted.policies:
            _remove_admitting(client, load, there[NETWORK_POLICIES])
        elif objects.ADMITS not in there[NETWORK_POLICIES]:
            load.write(partial(owned.create, client, NETWORK_POLICIES, objects.admitting_policy()))
        missing = (
            (kind, manifest)
            for kind, manifest in _manifests(wanted, version)
            if manifest["metadata"]["name"] not in there[kind]
        )
        try:
            in_parallel(load, (partial(owned.create, client, *each) for each in missing))
        except ApiError as error:
            if "range is full" not in str(error):
                raise
            raise Problem(
                f"{client.where}: there are no addresses for {wanted.services} Services more: choose fewer with "
                "services=N, or give the cluster a further range of Services (ServiceCIDR, Kubernetes 1.33)."
            ) from None
    return load


def clear(client: Client) -> ApiLoad:
    """Remove all of them. Safe to run twice, and after a kill anywhere."""
    with recorded(client) as load:
        _remove_all(client, load, objects.ALL)
    return load


def clear_programming(client: Client) -> None:
    """Remove those that were made and changed to learn how late the nodes follow."""
    _remove_all(client, ApiLoad(), objects.OF_PROGRAMMING)


def _remove_all(client: Client, load: ApiLoad, labels: str) -> None:
    there = {kind: _batches(client.metadata(kind, BENCHMARK, labels=labels)) for kind in _KINDS}
    removals = [each for kind in _KINDS for each in _removals(client, kind, there[kind], frozenset())]
    in_parallel(load, removals, REMOVED_AT_ONCE)
    _remove_admitting(client, load, there[NETWORK_POLICIES])


def count(client: Client) -> Quantity:
    """What the API server holds: `endpoints` is that of all Services together."""
    slices = client.list(ENDPOINTSLICES, BENCHMARK, labels=objects.SELECTOR)
    return Quantity(
        len(client.metadata(SERVICES, BENCHMARK, labels=objects.SELECTOR)),
        sum(len(each.get("endpoints") or []) for each in slices),
        len(client.metadata(NETWORK_POLICIES, BENCHMARK, labels=f"{objects.SELECTOR},{objects.BATCH}")),
    )


def _names(wanted: Quantity) -> dict[Resource, frozenset[str]]:
    numbers = range(1, wanted.services + 1)
    return {
        SERVICES: frozenset(map(objects.name_of, numbers)),
        ENDPOINTSLICES: frozenset(name for each in numbers for name in objects.slice_names(each, wanted.endpoints)),
        NETWORK_POLICIES: frozenset(map(objects.name_of, range(1, wanted.policies + 1))),
    }


def _manifests(wanted: Quantity, version: int) -> Iterable[tuple[Resource, Object]]:
    """All but the policy that admits, in the order in which they are made.

    A Service is last: agents have nothing to do with endpoints whose Service is unknown, and write both at once.
    """
    for number in range(1, wanted.policies + 1):
        yield NETWORK_POLICIES, objects.policy(number, version)
    numbers = range(1, wanted.services + 1)
    for number in numbers:
        for each in objects.endpoint_slices(number, wanted.endpoints, version):
            yield ENDPOINTSLICES, each
    for number in numbers:
        yield SERVICES, objects.service(number)


def _batches(found: Iterable[Object]) -> dict[str, str | None]:
    """The batch of each object, by its name."""
    metadata = (each["metadata"] for each in found)
    return {each["name"]: (each.get("labels") or {}).get(objects.BATCH) for each in metadata}


def _removals(
    client: Client, kind: Resource, there: Mapping[str, str | None], wanted: frozenset[str]
) -> Iterable[Callable[[], object]]:
    """The calls that remove what is not wanted, except the policy that admits: by batch where nothing of it stays."""
    stay = {batch for name, batch in there.items() if name in wanted}
    surplus = {name: batch for name, batch in there.items() if name not in wanted and name != objects.ADMITS}
    for batch in sorted({batch for batch in surplus.values() if batch is not None and batch not in stay}):
        yield partial(client.delete_all, kind, BENCHMARK, f"{objects.SELECTOR},{objects.BATCH}={batch}")
    single = (name for name, batch in surplus.items() if batch is None or batch in stay)
    yield from (partial(client.delete, kind, name, BENCHMARK) for name in single)


def _remove_admitting(client: Client, load: ApiLoad, there: Mapping[str, str | None]) -> None:
    """Remove the policy that admits, when no other is left that would keep connections out."""
    if objects.ADMITS in there:
        load.write(partial(client.delete, NETWORK_POLICIES, objects.ADMITS, BENCHMARK))
