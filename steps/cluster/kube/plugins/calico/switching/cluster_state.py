"""The state of a cluster: its objects, facts, and the values of the touchable fields."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from steps.catalogue.options import Settings
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.fields import Field, Ref, Value
from steps.cluster.kube.api.nodes import ClusterNode
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import DEFAULT, FELIX_CONFIGURATIONS
from steps.cluster.kube.plugins.calico.compatibility import direct_return
from steps.cluster.kube.plugins.calico.inventory import kube_proxy
from steps.cluster.kube.plugins.calico.inventory.facts import Facts, Install, read_facts
from steps.cluster.kube.plugins.calico.inventory.objects import ClusterObjects, read_objects
from steps.cluster.kube.plugins.calico.switching import fields
from steps.domain import Finding


@dataclass(frozen=True, slots=True)
class ClusterState:
    """One reading of a cluster.

    Attributes:
        inventory: everything that was read.
        facts: that follow from it.
        objects: those with touchable fields; None: absent.
        current: the values of the touchable fields.
    """

    inventory: ClusterObjects
    facts: Facts
    objects: Mapping[Ref, Object | None]
    current: dict[Field, Value]

    @property
    def dataplane(self) -> str | None:
        """The running dataplane, by its name in the catalogue; None: unknown."""
        return self.facts.dataplane

    @property
    def install(self) -> Install:
        """How Calico is installed, also while calico-node is missing."""
        return self.facts.install or ("operator" if self.inventory.installation is not None else "manifest")

    @property
    def nodes(self) -> tuple[ClusterNode, ...]:
        """All nodes of the cluster."""
        return self.facts.nodes

    def outside_findings(self, outside: ClusterNode, entry: str, settings: Settings) -> Iterator[Finding]:
        """What Felix's opt-outs from direct return mean for an outside client that connects to the node `entry`."""
        return direct_return.findings(self.inventory, outside, entry, settings)

    @property
    def kube_proxy_outdated(self) -> bool:
        """Whether kube-proxy has pods older than its configuration."""
        written = kube_proxy.written_at(self.inventory.kube_proxy_config)
        return bool(kube_proxy.stale_pods(self.inventory.kube_proxy_pods, written))

    @property
    def changed_at(self) -> datetime | None:
        """When this program last changed something by which Felix may restart, by the server's clock; None: never."""
        deciding = (
            self.inventory.felix_default,
            self.inventory.installation,
            self.inventory.kube_proxy if self.facts.watches_kube_proxy else None,
            self.inventory.kube_proxy_config,
        )
        times = [kube_proxy.written_at(each) for each in deciding]
        return max((at for at in times if at is not None), default=None)

    def lookup(self, refs: Iterable[Ref]) -> dict[Ref, Object | None]:
        """These objects as they were read; None: absent, or of a kind that this cluster does not serve."""
        return {ref: _lookup(self.inventory, ref) for ref in refs}

    def as_taken(self, refs: Collection[Ref]) -> "ClusterState":
        """The same, with the fields that a switch may set since a snapshot of these objects was taken."""
        bootstraps = fields.bootstrapped(self.facts, self.install, refs)
        if bootstraps == self.facts.bootstraps:
            return self
        return _state(self.inventory, replace(self.facts, bootstraps=bootstraps))


def read_state(client: Client, *, to_switch: bool) -> ClusterState:
    """Read the state of a cluster. `to_switch`: with what only the switching account may read."""
    found = read_objects(client, to_switch=to_switch)
    return _state(found, read_facts(found))


def _state(found: ClusterObjects, facts: Facts) -> ClusterState:
    wanted = fields.touchable(facts)
    objects = {field.ref: _lookup(found, field.ref) for field in wanted}
    return ClusterState(found, facts, objects, fields.state(objects, wanted))


def _lookup(found: ClusterObjects, ref: Ref) -> Object | None:
    known = {
        fields.PROXY: found.kube_proxy,
        fields.PROXY_CONFIG: found.kube_proxy_config,
        fields.INSTALLATION: found.installation,
        **{each: found.services_endpoints.get(str(each.namespace)) for each in fields.ENDPOINTS.values()},
    }
    if found.group is not None:
        known[Ref(FELIX_CONFIGURATIONS[found.group], DEFAULT)] = found.felix_default
    return known.get(ref)
